//! phoenix: plan and apply for Proxmox VE virtual machines, up to the finished guest, without a state file.
//!
//! The library is the program; `main.rs` only calls [`cli::main`]. What is public here is public for our own tests.
//!
//! # The map
//! A module imports only what stands below it, no files import in a circle, and none has over 400 lines
//! (`tests/layers.rs`); a function has at most 100 lines, and five parameters besides `self` (clippy).
//!
//! ```text
//!   cli          arguments → request, target, exit codes; one file per verb or family of verbs
//!   ui           faces: human text, JSON lines, graphs, diagnostics; folds over values
//!   apply        schedule (pure) · run (the loop over the plan) · perform (one action; each kind of work has a file
//!                beside it, with the loop in which it waits)
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
//! The memory of a VM: `config::raw` reads `memory_mb`, `config::places` finds where in the file it stands.
//! `config::values` puts profiles over `vm_defaults`, `config::lower` the VM's own values over both, and phoenix's
//! defaults below all, into [`model::DesiredVm`]. [`observed::options`] has one row for it: what the VM has, what
//! the file says of it, how it is written, how a running VM takes it over, what the record keeps.
//! [`observed::options::differing`] folds the rows into what the plan shows ([`plan::Change`]),
//! [`observed::options::render`] writes exactly the rows that were shown, and nothing else; `plan::lint` holds a plan
//! to that before it is carried out.
//!
//! # To add …
//! Generated, and so not written by hand: `docs/keys.md`, `docs/codes.md`, `schema/`, `fixtures/messages.txt`, outputs
//! under `fixtures`; `docs/development.md` says how.
//! - **an option of a VM**: its key in [`model::Key`], its field with type and documentation in `config::raw` and
//!   [`model::DesiredVm`] (`config::values` reads it and merges profiles, `config::lower` the defaults), one row in
//!   `observed::options::table`, and, if the row reads a field of its own, that field in [`observed::VmObserved`] and
//!   `observed::reading`. A plain row is planned, written, recorded and imported by that; what `import` writes of
//!   several options together is in `plan::import`. `plan::context` asks whether scripts see it; `tests/hash.rs` what
//!   changes with it; `tests/options.rs` for it in the schema and, without a default, among what is left alone;
//!   `tests/schema.rs` whether it has a default, and whether documents show it as a number
//!   (`plan::document::value`). Nothing asks for what another value costs (`config::schema::hovers`), for its unit
//!   (`config::units`), for the words by which people look for it (`config/vocabulary.json`), whether a fresh clone
//!   loses what its template had (`inherited` of the row), what `null` is answered with (`config::nulls`) and what
//!   random configs hold (`tests/properties.rs`). Its range is an attribute of the field; words out of a list
//!   are a `words!` of `model::desired`, their schema is in `config::raw::words`; a decimal is a number in
//!   `config::raw` and text in the model, and needs a kind of its own in `observed::options::value`: as text, `import`
//!   would write it in quotes. What it says together with other keys is a check.
//!   - One that could be set by Proxmox's own name so far leaves `options.json` of `model::proxmox` for `OWN` in its
//!     `refused`: files that have it there become errors, records under the old name match no row. The embedded node
//!     must then know by itself what it takes, and when a running VM does.
//! - **an action**: its kind in [`model::ActionKind`], its step with all operands in [`plan::Step`]. These ask about
//!   it: `ActionKind::timeout_seconds` how long it may take, `apply::failure` which keys its failure is about,
//!   `apply::perform` how it is carried out, `plan::document` what of it a saved plan shows, `plan::steps::guest`
//!   whether it needs the guest, `tests/binary/broken.rs` for a way on which it fails, is lost and is killed.
//!   `plan::steps` says when it acts; actions of a VM run in the order in which they are added there, which is that of
//!   their kinds (`plan::lint`). Nothing asks whether `create` may do it (`cli::apply`), whether it stops or starts a
//!   VM (`plan::planned`, `plan::steps::update`, `plan::hardware`) and whether the HA manager does it
//!   (`backend::embedded::ha`).
//!   - One inside a guest is a program in `guest` (`guest::success` says how it succeeds), which the simulated guest
//!     knows (`backend::embedded::programs`) and `cli::commands` has a name for; its reason is one of `wanted` in
//!     `plan::steps::follow`, so that the agent is waited for before it.
//!   - Guests boot by two ways: `plan::steps::follow` is that of apply and create, `plan::steps::power` that of the
//!     verbs that start and restart. What belongs to each boot stands in both.
//!   - One that another action calls for is noted in [`model::Record`] first, as `grow` is, so that a run that died in
//!     between is made up for.
//!   - What no port asks yet is one of the operations of `hypervisor`, or a method there: `HostOp::needs`, every back
//!     end, `backend::proxmox::call`, `apply::guard` and `apply::imagined` then ask for it. The embedded node's
//!     `rehearse::OPS` names it, and so does `docs/embedded.md`. A question to the guest's agent is a method of
//!     [`hypervisor::Guests`], which `backend::agent`, the embedded node's kinds of guests and the doubles answer.
//! - **a verb**: `cli::args`, its code in the file of its family in `cli` (`cli::mod` calls it), what it asks of a plan
//!   in `plan::request`, `docs/commands.md`; `tests/man.rs` and `tests/output.rs` ask for it.
//!   One with a document: `cli::schema`, `cli::format`, `tests/schema.rs`. One that changes VMs: `cli::consent` asks,
//!   `cli::again` repeats it. Nothing asks about a new `plan::Goal` in `plan`'s `quorum`, `obstacles`, `placement` and
//!   `unnamed`, nor for `LOOKS` in `tests/looks.rs`.
//! - **a check of the file alone**: a rule of `config` over what was written; `config::owner` knows what a VM has of
//!   profiles and defaults. `config::check` calls it; its code is in `config::codes`, its one case under
//!   `fixtures/config`. It is shown on the screen and by `validate`, not in the document of a plan. An error of the
//!   file stops before any plan.
//! - **a check against the target**, or a warning for the reviewers of a plan: a function in the file of `plan` about
//!   its subject (`addresses`, `cards`, `disk`, `drives`, `image`, `pool`, `size` …, else `preflight`) that takes facts
//!   and returns what it finds, a [`diag::Diagnostic`] each, with its VM, which the message does not name again, and
//!   the keys that it comes from; its code in [`plan::codes`], its case under `fixtures/plan`, or its cause and cure in
//!   `tests/docs/cures.txt`. The function that calls it gives what it returns to the draft of the VM's plan
//!   (`Draft::finds`); what is about all VMs, `plan::planner` calls. What it wants to know of a node it asks the VM's
//!   own: `plan::placement` says which that is. A fact that no node has yet is a field of [`observed::Node`], which
//!   each back end fills; one about all VMs is gathered once into `plan::Scene`. `plan::doctor` says what area of its
//!   report a code belongs to; a warning of none is not shown there.
//! - **a refusal of Proxmox**: a row of `MEANINGS` in `backend::proxmox::answer` (the first that fits counts), with its
//!   kind and whether something may have happened, where that is not "failed, and it may have happened"; its way out in
//!   `hint` there, or among the words beside it (`NO_SPACE` …), else `apply::hints` has one by kind.
//!   Faults of the kinds Busy and Unreachable are tried again (`Fault::is_transient`, `apply::retry`). A new kind is
//!   one of [`model::FaultKind`]. The embedded node refuses in Proxmox's words; `tests/contract` compares kind and
//!   effect, no test the hints of two back ends.
//!   - The sentence is Proxmox's own, behind the command (`backend::qm::answer`). `apply::failure` makes a failure of
//!     the fault, `apply::host` and `apply::refused` add to its sentence, [`event::Failure`] carries it, `cli::apply`
//!     adds the places in the file; `ui::run` and `ui::report::run` show it. What is refused before a run,
//!     `cli::console` shows.
//! - **a back end**: how it is written in [`model::Target`] (and in its `InvalidTarget::KNOWN`, the help in
//!   `cli::args`, `cli::completions` and `config::raw`); a directory in `backend` that implements
//!   [`hypervisor::Hypervisor`], [`hypervisor::Guests`] and, where it reaches files of a node,
//!   [`hypervisor::HostFiles`], and says what it can do in [`observed::Capabilities`]: `backend::proxmox` knows which
//!   calls and what answers mean. One without files of a node returns no `files` and says so there. `observed::source`
//!   reads a VM from the text of its file: a back end that gets options one by one needs a reader there, with the
//!   digest that came with them. It is opened in `cli::connect`, which reads what it needs of the environment; `plan
//!   --commands` stays that of `qm`. Nothing asks for the methods of
//!   [`hypervisor::Hypervisor`] that have a body, which say that it cannot tell, and for `ENVIRONMENT` in `cli::man`. Fetching an image and unlocking what an interrupted run left are no calls: each back end has its own
//!   way. A test in `tests/contract.rs`, with a double of what it talks to, runs every check
//!   over it (those of files only where it reaches any); `APART` in `tests/layers.rs` and `Place` in
//!   `tests/binary/places.rs` learn of it.
//! - **a field of a document** (`plan`, `status`, `run` …): its struct in [`plan::document`], [`plan::status`],
//!   [`plan::doctor`], [`plan::inventory`], [`event`] or `ui::report`, with a default, for documents that were saved
//!   are read again; `schema/` (generated), and, where its meaning changes, the format's version with a line in the
//!   changelog. A plan is filled in `plan::document::made`; the status of a VM in [`plan::status`] and, with what
//!   agents say, `cli::status`; shown in `ui::status` and `ui::html::status`; `is_well` decides the exit code.
//! - **what a plan's hash covers**: [`plan::document`] (`agreed`) lists it field by field; of the file it is what
//!   [`plan::document::meaning`] says: its values, not its text.
//! - **a face**: a file in `ui` (one for programs in `ui::report`) that folds a [`plan::document::PlanDocument`] or the
//!   `ui::story::Story` of a run (`ui::report::run`); its name, and which verbs know it, in `cli::format` and in the
//!   help in `cli::args`; texts pass [`ui::text::safe`] before its own escaping; its call in `cli::saved` (plans),
//!   `cli::reports` (runs) or `cli::validate`. Cases of plans and runs: `fixtures/faces`, `tests/faces.rs`,
//!   `tests/reports.rs`; of `validate`: `fixtures/formats`, `tests/formats.rs`; of all: `tests/fuzz/faces.rs`,
//!   `tests/hostile/documents.rs`, `tests/secrets.rs`; its row in `docs/commands.md`.
//!
//! # Words
//! *Target*: one or more *nodes*, one of which it stands on. *Desired*: what the file says, defaults merged. *Live*:
//! what a VM is. *Pending*: what it will be after its next stop and start; everything is compared with that. *Change*:
//! one value that differs. *Action*: one step of a plan, with what is expected of it. *Record*: what phoenix remembers
//! about a VM, in the VM's notes. *Drift*: a value that was changed outside phoenix since the last apply. *Channel*:
//! the volume through which scripts reach a guest, or the place on its own disk. *Fault*: what a target answered
//! instead of doing something; *failure*: what that means for an action.
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
//! - Every write of a configuration carries the digest of what was read just before, but for the one that takes away
//!   what an interrupted run left.
//! - A lost answer is followed by a look, never by a blind repetition.
//! - Nothing waits without a deadline. Nothing but `apply` waits for a guest or tries a failed call again; `qm` asks
//!   after its tasks, `cli::arriving` after VMs that move.
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
