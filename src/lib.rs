//! phoenix: plan and apply for Proxmox VE virtual machines, up to the finished guest, without a state file.
//!
//! The library is the program; `main.rs` only calls [`cli::main`]. What is public here is public for our own tests.
//!
//! # The map
//! A module imports only what stands below it, and inside a module no files import in a circle (`tests/layers.rs`
//! enforces both).
//!
//! ```text
//!   cli          arguments → request, target, exit codes; one file per verb
//!   ui           faces: human text, JSON lines, graphs, diagnostics; folds over values
//!   apply        schedule (pure) · run (the loop over the plan) · perform (one action; a file each for what it takes,
//!                waiting included)
//!   backend      embedded: a node in a directory · qm: a Proxmox VE node, driven by its own programs · proxmox: what
//!                they say of Proxmox itself (calls of its API, what its answers mean; pure) · runner: programs here and
//!                over ssh · agent: the guest agent's own protocol
//!   guest        what a step inside a guest means: programs and their answers
//!   hypervisor   the ports: what is asked of a target
//!   plan         request · scene · checks · changes · steps · order · lint           pure
//!   config       text in, (Desired, diagnostics) out; schema; places                pure
//!   observed     live state in normal form; Proxmox files, notes; table of options  pure
//!   event        what can happen in a run, and how an action fails                 pure
//!   diag, dag    problems as values; the one module that names petgraph             pure
//!   model        the vocabulary, and Fault: what a target refused                   pure
//! ```
//!
//! # One plan, end to end
//! `cli::load` reads the file → [`config::load`] gives [`model::Desired`] or everything that is wrong → a back end's
//! [`hypervisor::Hypervisor::observe`] gives [`observed::Observed`] → [`plan::plan`] compares the two and gives a
//! [`plan::Plan`]: every action of every VM, what it waits for, what is expected of it and why → [`apply::run()`] walks
//! it and tells [`event::Event`]s → [`ui`] shows them.
//!
//! # One value, end to end
//! The memory of a VM: `config::raw` reads `memory_mb` with its place in the file, `config::lower` merges it with its
//! profiles and the defaults into [`model::DesiredVm`]. [`observed::options`] has one row for it: what the VM has, what
//! the file says of it, how it is written, how a running VM takes it over, what the record keeps.
//! [`observed::options::differing`] folds the rows into what the plan shows ([`plan::Change`]),
//! [`observed::options::render`] writes exactly the rows that were shown, and nothing else; `plan::lint` holds a plan to that before it is carried out.
//!
//! # To add …
//! - **an option of a VM**: its key in [`model::Key`], its field with type and documentation in `config::raw` and
//!   [`model::DesiredVm`] (`config::values` reads it and merges profiles, `config::lower` the defaults), one row in
//!   `observed::options::table`, which reads the VM's options where no field of [`observed::VmObserved`] says it.
//!   `plan::context` asks whether scripts see it, `tests/hash.rs` what changes with it, `tests/options.rs` for it in
//!   the schema and `docs/keys.md`. Its range is an attribute of the field; words out of a list are a `words!` of
//!   `model::desired`, their schema is in `config::raw::words`; a decimal is a number in `config::raw` and text in the
//!   model. What `import` writes folds over the rows, too. An option that could be set by Proxmox's own name so far
//!   leaves `options.json` of `model::proxmox` for `OWN` in its `refused` (the embedded node must then know by itself
//!   what it takes), and `config/vocabulary.json` names the key for people who look for it. What it says together with other
//!   keys is a check.
//! - **an action**: its kind in [`model::ActionKind`], its step with all operands in [`plan::Step`];
//!   `ActionKind::timeout_seconds` asks how long it may take, `apply::failure` which keys its failure is about;
//!   `apply::perform` asks how it is carried out (in a file of its own beside it; one that waits has its loop there),
//!   `plan::document` what of it a saved plan shows, `plan::steps::guest` whether it needs the guest (and
//!   `only_prepares` there whether it only prepares another one); `plan::steps` says when it acts, and actions of a VM
//!   run in the order in which they are added there, which is that of their kinds (`plan::lint`);
//!   `tests/binary/broken.rs` asks for a way on which it fails, is lost and is killed. One inside a guest is a program
//!   in `guest` (`guest::success` says how it succeeds), which the simulated guest knows
//!   (`backend::embedded::programs`) and `cli::commands` has a name for, and for which `plan::steps::follow` waits for
//!   the agent. One that another action calls for is noted in [`model::Record`] first, as `grow` is, so that a run that
//!   died in between is made up for. What no port asks yet is a method in `hypervisor`, or one of its operations: every
//!   back end, `apply::guard` and `apply::imagined` then ask for it.
//! - **a check**: what the file alone shows is a rule of `config` (`config::check` calls it; its code in
//!   `config::codes`, its case under `fixtures/config`): it is shown on the screen and by `validate`, not in the
//!   document of a plan. An error of the file stops before any plan; what reviewers of a plan are to see as a warning,
//!   and what only shows against a target, is a function in the file of `plan` about its subject (`cards`, `disk`,
//!   `drives`, `image`, `pool`, `size` …, else `preflight`) that takes facts and returns what it finds, a
//!   [`diag::Diagnostic`] each, with its VM, which the message does not name again, and the keys that it comes from;
//!   its code in [`plan::codes`]. `plan::steps`, or `plan::preflight` for it, calls it and gives what it returns to the
//!   draft of the VM's plan (`Draft::finds`), `plan::planner` where it is about all VMs. What it wants to know of a
//!   node it asks the VM's own: `plan::placement` says which that is. Its case stands under `fixtures/plan`;
//!   `docs/codes.md`, `docs/keys.md`, `schema/` and `fixtures/messages.txt` are made by the program and its tests.
//! - **a back end**: how it is written in [`model::Target`] (and in its `InvalidTarget::KNOWN`, the help in
//!   `cli::args`, `cli::completions` and `config::raw`); a directory in `backend` that implements
//!   [`hypervisor::Hypervisor`], [`hypervisor::Guests`] and, where it reaches files of a node,
//!   [`hypervisor::HostFiles`], and says what it can do in [`observed::Capabilities`]: `backend::proxmox` knows which
//!   calls and what answers mean. One without files of a node returns no `files` and says so there. It is opened in
//!   `cli::connect`, which reads what it needs of the environment. A test in `tests/contract.rs`, with a double of what
//!   it talks to, runs every check over it (those of files only where it reaches any); `APART` in `tests/layers.rs` and
//!   `Place` in `tests/binary` learn of it.
//! - **a face**: a file in `ui` (one for programs in `ui::report`) that folds a [`plan::document::PlanDocument`] or the
//!   `ui::story::Story` of a run (`ui::report::run`); its name, and which verbs know it, in `cli::format` and in the
//!   help in `cli::args`; texts pass [`ui::text::safe`] before its own escaping; its call in `cli::saved` (plans; it
//!   names the formats of runs, too), `cli::reports` (runs) or `cli::validate`; its cases under `fixtures/faces`, its
//!   line in `tests/faces.rs` and `tests/fuzz/faces.rs` and `tests/secrets.rs`, its row in `docs/commands.md`.
//!
//! # Words
//! *Target*: one or more *nodes*, one of which it stands on. *Desired*: what the file says, defaults merged. *Live*:
//! what a VM is. *Pending*: what it will be after its next stop and start; everything is compared with that. *Change*:
//! one value that differs. *Action*: one step of a plan, with what is expected of it. *Record*: what phoenix remembers
//! about a VM, in the VM's notes. *Drift*: a value that was changed outside phoenix since the last apply. *Channel*:
//! the volume through which scripts reach a guest, or the place on its own disk. *Fault*: what a target answered instead of doing something;
//! *failure*: what that means for an action.
//!
//! # Invariants
//! - The plan is complete. Apply builds, sorts and prunes no graph and decides nothing the plan could have decided.
//! - The plan is pure: no clock, no environment, no randomness, no I/O; the same values give the same bytes.
//! - There is no state file. What phoenix must remember about a VM stands in the VM's own notes ([`model::Record`]) and
//!   on its own disk, so that it lives, moves, is restored and dies with the VM.
//! - A VM without a valid record of this project is never changed; one whose uuid the file names, and that an
//!   administrator agreed to take over, gets that record before anything else.
//! - Before a VM's first write it must still be the one that was planned; before every later one, what this run left.
//!   If a look after a success failed, it is taken as it is found next, as long as it bears the project's record.
//! - What is known to have succeeded stays a success when the look after it fails: that is a notice.
//! - Every write of a configuration carries the digest of what was read just before.
//! - A lost answer is followed by a look, never by a blind repetition.
//! - Nothing waits without a deadline, and nothing but `apply` waits for a guest or repeats a call.
//! - Values from a config or a node reach programs as arguments, never as part of a script, and screens only through
//!   [`ui::text`].
//! - Only `cli` reads the environment, prints, and chooses exit codes.
//!
//! # Why one crate, why threads
//! The layers need enforcing, not separate compilation; a test does that. A run is a few dozen long waits: threads and
//! a channel say that more plainly than an async runtime.

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
