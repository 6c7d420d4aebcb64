//! The real binary: as its users meet it (`cli`), and broken at every step (`loops`, `targets`, `broken`).

mod adopted;
mod attached;
mod broken;
mod cli;
mod cloud_data;
mod cloud_init;
mod cluster;
mod disks;
mod doctor;
#[path = "../support/doubles.rs"]
mod doubles;
mod drift;
mod drives;
#[path = "../support/executable.rs"]
mod executable;
mod exports;
mod forgotten;
mod ha;
mod ha_key;
mod hardware;
mod images;
mod import;
mod imported;
mod late;
mod lifecycle;
mod loops;
mod moving;
#[path = "../support/node.rs"]
mod node;
mod oracle;
mod order;
mod own_disk;
mod people;
mod places;
mod pools;
mod quorum;
mod reaching;
mod readdressed;
mod recreated;
mod secrets;
mod snapshots;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod surviving;
mod targets;
mod templates;
mod unnamed;
mod unused;
mod verify;
mod world;
mod written;
