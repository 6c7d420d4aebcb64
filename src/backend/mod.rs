//! The targets behind the ports of [`hypervisor`](crate::hypervisor).

pub mod embedded;
pub mod qm;
