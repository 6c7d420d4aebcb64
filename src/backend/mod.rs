//! The targets behind the ports of [`hypervisor`](crate::hypervisor).

mod agent;
pub mod embedded;
mod proxmox;
pub mod qm;
pub mod runner;
