//! The targets behind the ports of [`hypervisor`](crate::hypervisor).

mod agent;
pub mod embedded;
pub mod qm;
pub mod runner;
