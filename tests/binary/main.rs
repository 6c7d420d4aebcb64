//! The real binary: as its users meet it (`cli`), and broken at every step (`loops`, `targets`).

mod adopted;
mod cli;
mod cloud_init;
mod disks;
#[path = "../support/doubles.rs"]
mod doubles;
mod drift;
#[path = "../support/executable.rs"]
mod executable;
mod images;
mod import;
mod later;
mod lifecycle;
mod loops;
#[path = "../support/node.rs"]
mod node;
mod oracle;
mod order;
mod places;
mod snapshots;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod targets;
mod verify;
mod world;
