//! `phoenix console VM`: the serial console of a QEMU guest of the embedded node.
//!
//! What a guest writes there reaches the terminal as it is, as on every console.

use std::io::{IsTerminal as _, Read, Write};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Context as _, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::args::{Args, Terminal};
use super::choosing::Known;
use super::connect::Intent;
use super::console::Console;
use super::exit::Refusal;
use super::{Exit, connect, node};
use crate::hypervisor::Hypervisor as _;

/// The key that leaves the console, as in `qm terminal`: Ctrl-O.
const LEAVE: u8 = b'O' & 0x1F;

/// The terminal, handing on every key as it is until this goes out of scope.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Self> {
        let before = tcgetattr(std::io::stdin()).context("cannot read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).context("cannot change the terminal's settings")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Why a console was left.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The key was typed, or there is nothing more to type.
    Left,
    /// The VM closed it.
    Closed,
}

pub(super) fn run(args: &Args, verb: &Terminal, console: &Console) -> Result<Exit> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        let hint = "`phoenix node show` names the file that has what the guest wrote to its console";
        return Err(Refusal::usage("a console needs a terminal", hint));
    }
    let chosen = match node::target(args, console)? {
        Ok(chosen) => chosen,
        Err(exit) => return Ok(exit),
    };
    let target = &chosen.target;
    let node = connect::embedded(&chosen, args.guests, Intent::Look)?;
    let vm = Known::of_target(&node.observe().with_context(|| format!("cannot read target {target}"))?)
        .one(&verb.vm, "console")?;
    let line = node.console(vm)?;
    console.note(&format!("Console of VM {vm} on {target}; Ctrl-O leaves it. Enter may show a prompt.\n"));
    let end = {
        let _raw = Raw::new()?;
        let (done, ended) = channel();
        let (mut typed, mut shown) = (line.stream.try_clone()?, line.stream.try_clone()?);
        let left = done.clone();
        thread::spawn(move || left.send(hand_on(&mut std::io::stdin(), &mut typed)));
        thread::spawn(move || {
            let _ = std::io::copy(&mut shown, &mut Shown);
            done.send(End::Closed)
        });
        ended.recv().unwrap_or(End::Left)
    };
    console.note(match end {
        End::Left => "\nLeft the console; the VM keeps running.\n",
        End::Closed => "\nThe VM has stopped.\n",
    });
    Ok(Exit::Done)
}

/// Hands keys on until the one that leaves.
fn hand_on(keys: &mut dyn Read, to: &mut dyn Write) -> End {
    let mut buffer = [0; 1024];
    loop {
        let Ok(count @ 1..) = keys.read(&mut buffer) else { return End::Left };
        let typed = &buffer[..count];
        let leave = typed.iter().position(|key| *key == LEAVE);
        if to.write_all(&typed[..leave.unwrap_or(count)]).is_err() {
            return End::Closed;
        }
        if leave.is_some() {
            return End::Left;
        }
    }
}

/// Standard output, shown at once.
struct Shown;

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{End, hand_on};

    #[test]
    fn keys_are_handed_on_until_the_one_that_leaves() {
        let mut to = Vec::new();
        assert_eq!(hand_on(&mut b"ls\r\x03\x0fmore".as_slice(), &mut to), End::Left);
        assert_eq!(to, b"ls\r\x03");
        assert_eq!(hand_on(&mut b"".as_slice(), &mut to), End::Left);
    }
}
