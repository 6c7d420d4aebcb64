//! A failure whose every text is one that a node, a guest or a config could choose.

use phoenix::event::{Failure, KeyPlace};
use phoenix::hypervisor::{Fault, FaultKind};

/// A failure with this text wherever one can stand, and a second line behind what went wrong.
pub(crate) fn failure_saying(text: &str) -> Failure {
    let fault = Fault::harmless(FaultKind::Refused, text).about([text]);
    let place = |keys: &[&str]| KeyPlace {
        file: text.to_owned(),
        line: 7,
        column: 1,
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    };
    Failure {
        may_have_happened: true,
        keys: vec![text.to_owned()],
        places: vec![place(&[text]), place(&[])],
        ..Failure::new(format!("{text}\nmore"), Some(text)).because_of(fault)
    }
}
