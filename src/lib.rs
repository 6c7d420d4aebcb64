//! phoenix: plan and apply for Proxmox VE virtual machines.

pub mod backend;
pub mod dag;
pub mod diag;
pub mod event;
pub mod hypervisor;
pub mod model;
pub mod observed;
