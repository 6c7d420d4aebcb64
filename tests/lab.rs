//! The lab: real guests, booted by QEMU on an embedded node, and looked at from outside phoenix.
//!
//! Only with `PHOENIX_LAB=1`, because each boot takes a minute where there is no KVM. `tests/lab/setup` installs what
//! it needs, `tests/lab/image` builds the guest's disk image, once for each of its recipes.

#[path = "lab/docker.rs"]
mod docker;
#[path = "lab/guest.rs"]
mod guest;
#[path = "lab/node.rs"]
mod node;
#[path = "lab/run.rs"]
mod run;
#[path = "support/mod.rs"]
mod support;

#[path = "lab/boot.rs"]
mod boot;
#[path = "lab/missing.rs"]
mod missing;
#[path = "lab/story.rs"]
mod story;
#[path = "lab/trouble.rs"]
mod trouble;
