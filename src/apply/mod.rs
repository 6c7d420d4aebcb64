//! Carrying out a plan.
//!
//! - `schedule` decides what runs when: pure, fed and asked, without clock or threads.
//! - `run` is the shell around it: threads, a channel, the only loop that waits for them.
//! - `operation` says which operation an action stands for: pure.
//! - `preview` tells the calls of a plan without making them: `perform` carries it out on a target that is only
//!   `imagined`.
//! - `perform` carries out one action and looks after lost answers, moved VMs and deadlines; `host`, `power`, `image`,
//!   `cloud_init`, `inside` and `volumes` hold the actions.
//! - `program` runs a program in a guest to its end.
//! - `failure` keeps the fault behind a failure and finds the keys that it is about; `hints` has every way out.
//! - `listing` knows which volumes are there before a VM is made, and remembers that for a minute.
//! - `guard` looks once more before an operation that a target does not guard by a digest itself.
//! - `verify` looks into guests before anything is planned.
//!
//! Apply decides nothing the plan could have decided. What it adds is the check, before each write, that the VM is
//! still the one that was planned.
//!
//! # Why no undo
//! Half of what is done cannot be undone (a grown disk, a script that ran). A failed action stops what depends on it
//! and nothing else; the next apply goes on from there.

mod clock;
mod cloud_init;
mod copying;
mod disk;
mod earlier;
mod ends;
mod failure;
mod filesystems;
mod guard;
mod ha;
mod ha_member;
mod hints;
mod host;
mod image;
mod imagined;
mod imported;
mod inside;
mod listing;
mod migrate;
mod network;
mod operation;
mod perform;
mod plugged;
mod pool;
mod power;
mod preview;
mod program;
mod refused;
mod retry;
mod run;
pub mod schedule;
mod session;
mod snapshot;
mod snippets;
mod template;
mod unused;
mod verify;
mod volumes;

pub use clock::{Clock, RealClock};
pub use guard::guarded;
pub use imagined::Call;
pub use preview::{Preview, preview};
pub use retry::pause_before;
pub use run::{Inbox, Interrupter, Run, run};
pub use schedule::Limits;
pub use verify::{Addresses, addresses, at_once, in_a_minute, verify};
