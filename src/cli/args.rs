//! What can be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::format::Output;

mod changing;
mod convert;
mod doctor;
mod fmt;
mod graph;
mod itself;
mod named;
mod node;
mod places;
mod reaching;
mod selecting;
mod when;

pub(super) use changing::{
    Allowing, Apply, Create, Destroy, Forget, Import, Options, Restart, Rollback, Running, Start, Stop,
};
pub(super) use convert::Convert;
pub(super) use doctor::Doctor;
pub(super) use fmt::Fmt;
pub(super) use graph::{Graph, GraphFormat};
pub(super) use itself::{Complete, Completions, Init, Man, Schema, SchemaOf, Shell};
pub(super) use node::{GuestKind, Node, Terminal};
pub(super) use reaching::{Inventory, Ssh};
pub(super) use selecting::Selecting;
pub(super) use when::When;

/// Plan and apply for Proxmox VE virtual machines, up to the finished guest.
/// The config where none is named.
pub(super) const DEFAULT_CONFIG: &str = "phoenix_vm_configs.json";

#[derive(Debug, Parser)]
#[command(
    name = "phoenix",
    version,
    about,
    max_term_width = 80,
    after_help = "Examples:
  phoenix plan
  phoenix apply --target qm+ssh://root@pve1

Exit codes:
  0 done  1 failed  2 changes present (plan --detailed-exitcode)
  3 config invalid  4 usage  5 plan stale  6 some actions failed
  7 interrupted  8 restart pending (apply --detailed-exitcode)"
)]
pub(super) struct Args {
    /// The config: a file, a directory whose `*.json` and `*.jsonc` files are one project, or `-` for standard input.
    #[arg(short, long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub(super) config: PathBuf,

    /// Where to act: `embedded:DIR`, `qm:` or `qm+ssh://[user@]host[:port]`; wins over the config.
    #[arg(long, global = true, value_name = "TARGET", env = "PHOENIX_TARGET", hide_env_values = true)]
    pub(super) target: Option<String>,

    /// The target stands in the environment and not on the command line.
    #[arg(skip)]
    pub(super) target_of_environment: bool,

    #[command(flatten)]
    pub(super) places: places::Places,

    /// What runs the guests of the embedded node from now on (kept in its node.json).
    #[arg(long, global = true, value_name = "KIND", value_enum)]
    pub(super) guests: Option<GuestKind>,

    /// Also show what is unchanged: every VM of a plan, every action of a run, every unused volume.
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,

    /// Colours.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto)]
    pub(super) color: When,

    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check config files; needs no target.
    #[command(after_help = "Examples:
  phoenix validate
  phoenix validate --format github --format sarif=phoenix.sarif
  phoenix validate --staged")]
    Validate(Validate),
    /// Lay config files out, comments and all, and print the names of those that change.
    #[command(after_help = "Examples:
  phoenix fmt
  phoenix fmt --check --diff lab.jsonc
  phoenix fmt - < lab.jsonc")]
    Fmt(Fmt),
    /// Show what apply would do; changes nothing.
    #[command(after_help = "Examples:
  phoenix plan --only web-server --detailed-exitcode
  phoenix plan --out plan.json --format markdown=plan.md
  phoenix plan --against live.json")]
    Plan(Plan),
    /// Show how the VMs are, beside what the config says; changes nothing.
    #[command(after_help = "Examples:
  phoenix status
  phoenix status --only web-server --json")]
    Status(Status),
    /// Check what is missing before the first plan, and say what corrects it; changes nothing.
    #[command(after_help = "Examples:
  phoenix doctor
  phoenix doctor --target qm+ssh://root@pve1 --format json")]
    Doctor(Doctor),
    /// Make the VMs what the config says.
    #[command(after_help = "Examples:
  phoenix apply
  phoenix apply --only 1001 --auto-approve
  phoenix apply plan.json")]
    Apply(Apply),
    /// Record the state of the target, without secrets, for `plan --against`.
    #[command(after_help = "Examples:
  phoenix observe --out live.json")]
    Observe(Observe),
    /// List the runs of apply that were logged here.
    #[command(after_help = "Examples:
  phoenix log")]
    Log,
    /// Show a saved plan, or a run that was logged.
    #[command(after_help = "Examples:
  phoenix show plan.json --format markdown")]
    Show(Show),
    /// Create these VMs, or complete them; changes nothing about finished ones.
    #[command(after_help = "Examples:
  phoenix create 1000")]
    Create(Create),
    /// Write VMs that exist into the config; the next apply takes them over.
    #[command(after_help = "Examples:
  phoenix import 104 105
  phoenix import --tag web-server --dry-run
  phoenix import --all")]
    Import(Import),
    /// Turn a config of the former shell system (`vms`, `vmid`, `cores`) into one of phoenix.
    #[command(after_help = "Examples:
  phoenix convert old.json --out phoenix_vm_configs.json")]
    Convert(Convert),
    /// Remove these VMs with their disks; asks for their names.
    #[command(after_help = "Examples:
  phoenix destroy web
  phoenix destroy 1000 1001 --yes-destroy web,db")]
    Destroy(Destroy),
    /// Give these VMs up: phoenix's record is taken out of their notes, and they stay as they are.
    #[command(after_help = "Examples:
  phoenix forget web
  phoenix forget 1000 1001 --auto-approve")]
    Forget(Forget),
    /// Take these VMs back to phoenix's own snapshot; asks for their names.
    #[command(after_help = "Examples:
  phoenix rollback 1000
  phoenix rollback 1000 --to phoenix_70d5c2fe6aad2d17 --yes-rollback web")]
    Rollback(Rollback),
    /// Start these VMs and wait for their guest agents.
    #[command(after_help = "Examples:
  phoenix start 1000")]
    Start(Start),
    /// Shut these VMs down.
    #[command(after_help = "Examples:
  phoenix stop 1000
  phoenix stop 1000 --force-stop --auto-approve")]
    Stop(Stop),
    /// Shut these VMs down and start them again.
    #[command(after_help = "Examples:
  phoenix restart 1000 --auto-approve")]
    Restart(Restart),
    /// Print the VMs with their addresses, for Ansible, ssh and others.
    #[command(after_help = "Examples:
  phoenix inventory > hosts.yml
  phoenix inventory --format ssh-config > phoenix.conf
  phoenix inventory --only web-server --format json")]
    Inventory(Inventory),
    /// Log in to the guest of a VM, or run a command there, by the system's ssh.
    #[command(after_help = "Examples:
  phoenix ssh web
  phoenix ssh 1000 --user admin -- uptime")]
    Ssh(Ssh),
    /// Print the graph of the actions of VMs that change.
    #[command(after_help = "Examples:
  phoenix graph
  phoenix graph --format dot | dot -Tsvg > graph.svg")]
    Graph(Graph),
    /// Print the JSON Schema of the config, a plan, a status, a run …, or check a copy of it.
    #[command(after_help = "Examples:
  phoenix schema --of plan
  phoenix schema --check schema/phoenix_vm_configs.schema.json")]
    Schema(Schema),
    /// Write a starter config, its schema and the settings of Git and editors; overwrites nothing.
    #[command(after_help = "Examples:
  phoenix init my-vms")]
    Init(Init),
    /// Manage the embedded node.
    #[command(
        subcommand,
        after_help = "Examples:
  phoenix node show
  phoenix node add-template debian-12
  phoenix node reset"
    )]
    Node(Node),
    /// Attach to the serial console of a QEMU guest of the embedded node.
    #[command(after_help = "Examples:
  phoenix console 1000")]
    Console(Terminal),
    /// Print the script that lets a shell complete phoenix's command lines.
    #[command(after_help = "Examples:
  phoenix completions bash")]
    Completions(Completions),
    /// Write the manual pages, one for each verb.
    #[command(after_help = "Examples:\n  phoenix man /usr/local/share/man/man1")]
    Man(Man),
    /// Answer the question of such a script.
    #[command(hide = true)]
    Complete(Complete),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Validate {
    /// Files, or directories with the files of one project, to check instead of what --config names.
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// human, json, github, gitlab, sarif or junit; NAME=FILE writes it into a file instead, and may be repeated.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = Output::of_validate)]
    pub(super) format: Vec<Output>,
    /// Check what is in the Git index (with the scripts there), not the files of the work tree; without a FILE every
    /// `phoenix_vm_configs.json` in and below the current directory.
    #[arg(long)]
    pub(super) staged: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Plan {
    #[command(flatten)]
    pub(super) selecting: Selecting,
    #[command(flatten)]
    pub(super) options: Options,
    #[command(flatten)]
    pub(super) allowing: Allowing,
    /// Exit with 2 when there are changes.
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
    /// Also print the commands that each action stands for.
    #[arg(long)]
    pub(super) commands: bool,
    /// human, json, markdown, html, github or sarif; NAME=FILE writes it into a file instead, and may be repeated.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = Output::of_plan)]
    pub(super) format: Vec<Output>,
    /// Save the plan for `apply FILE` and `show FILE`.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Plan against a recording of `phoenix observe` instead of the target itself.
    #[arg(long, value_name = "RECORDING", conflicts_with = "target")]
    pub(super) against: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Status {
    #[command(flatten)]
    pub(super) selecting: Selecting,
    #[command(flatten)]
    pub(super) allowing: Allowing,
    /// Also look into the guests of running VMs: what is mounted, and whether results of features are there.
    #[arg(long)]
    pub(super) verify_guest: bool,
    /// Print JSON; the same as `--format json`.
    #[arg(long)]
    pub(super) json: bool,
    /// human, json, markdown or html; NAME=FILE writes it into a file instead, and may be repeated.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = Output::of_status)]
    pub(super) format: Vec<Output>,
    /// Exit with 2 when a VM is not up to date, or not healthy.
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Show {
    /// A plan saved with `plan --out`, or a run that `phoenix log` lists.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// human, json, markdown, html, github, for a plan also sarif, for a run jsonl and junit; NAME=FILE writes it into
    /// a file instead, and may be repeated.
    #[arg(long, value_name = "FORMAT[=FILE]", value_parser = Output::of_plan_or_run)]
    pub(super) format: Vec<Output>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Observe {
    /// Write the recording into this file instead of printing it.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _, Parser as _};

    use super::Args;

    /// A verb and all verbs below it, as they can be typed.
    fn walk(command: &Command, seen: &mut Vec<String>, look: &mut dyn FnMut(&Command)) {
        look(command);
        seen.push(command.get_name().to_owned());
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).for_each(|verb| walk(verb, seen, look));
    }

    #[test]
    fn the_help_of_every_verb_fits_a_terminal_and_has_examples_that_can_be_typed() {
        let (mut all, mut seen) = (Args::command().term_width(80).disable_help_subcommand(true), Vec::new());
        all.build();
        walk(&all, &mut seen, &mut |verb| {
            let help = verb.clone().render_long_help().to_string();
            let widest = help.lines().map(unicode_width::UnicodeWidthStr::width).max();
            assert!(widest <= Some(80), "{help}");
            let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("no example:\n{help}"));
            assert!(examples.starts_with("  "), "{help}");
            let examples = examples.lines().map_while(|line| line.strip_prefix("  "));
            for example in examples {
                let command = example.split(['|', '>']).next().unwrap_or_default();
                let words = shlex::split(command).unwrap();
                if let Err(error) = Args::try_parse_from(&words) {
                    panic!("`{example}`: {error}");
                }
                let path = verb.get_bin_name().unwrap_or("phoenix");
                assert!(example.starts_with(path), "`{example}` is no example of `{path}`");
            }
        });
        assert!(seen.len() > 12, "{seen:?}");
    }
}
