//! phoenix: plan and apply for Proxmox VE virtual machines.

pub mod apply;
pub mod backend;
pub mod cli;
pub mod config;
pub mod dag;
pub mod diag;
pub mod event;
pub mod guest;
pub mod hypervisor;
pub mod model;
pub mod observed;
pub mod plan;
pub mod ui;
