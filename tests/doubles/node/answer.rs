//! What a program prints and how it ends.

use phoenix::hypervisor::Fault;

/// Status of a call that the doubles do not know.
pub(crate) const UNKNOWN: u8 = 99;

/// Output and exit status of a program.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: u8,
}

impl Answer {
    /// A program that prints something and succeeds.
    pub(crate) fn said(out: impl Into<String>) -> Self {
        Self { out: out.into(), ..Self::default() }
    }

    /// A refusal. One of parameters ends with how the program is used.
    pub(crate) fn refused(fault: &Fault, usage: &str) -> Self {
        let what = &fault.what;
        let mut err = format!("{what}\n");
        if what.starts_with("400 ") {
            // Each message that ends in a line break of its own adds one.
            let blank = what.matches("invalid format").count() + what.matches("hotplug problem").count();
            err.push_str(&"\n".repeat(blank));
            err.push_str(&format!("{usage}\n"));
        }
        Self { err, status: status(what, usage), ..Self::default() }
    }

    /// A refusal of parameters that the program itself makes.
    pub(crate) fn bad_parameter(why: &str, usage: &str) -> Self {
        let blank = "\n".repeat(why.matches("invalid format").count());
        let err = format!("400 Parameter verification failed.\n{why}\n{blank}{usage}\n");
        Self { err, status: 255, ..Self::default() }
    }

    /// The doubles themselves failed.
    pub(crate) fn broken(why: impl std::fmt::Display) -> Self {
        Self { err: format!("doubles: {why}\n"), status: UNKNOWN, ..Self::default() }
    }

    /// A call that the doubles do not know: whoever makes it has to teach it to them first.
    pub(crate) fn unknown(program: &str, words: &[&str]) -> Self {
        let err = format!("doubles: unknown call: {program} {}\n", words.join(" "));
        Self { err, status: UNKNOWN, ..Self::default() }
    }
}

/// The exit status that was recorded with a message.
fn status(what: &str, usage: &str) -> u8 {
    let missing = what.starts_with("Configuration file") && !usage.starts_with("qm start");
    let not_found = ["config file already exists", "unable to find configuration file", "for linked clones"];
    let off = what.starts_with("VM ") && what.ends_with(" is not running");
    if missing || off || not_found.iter().any(|text| what.contains(text)) {
        2
    } else if what.ends_with("is running - destroy failed")
        || what.ends_with("template if VM is running")
        || what.ends_with("without --online")
    {
        25
    } else if what.starts_with("Agent error") {
        29
    } else {
        255
    }
}
