//! `phoenix ssh VM`: the system's ssh, led to the guest of a VM.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use super::args::{Args, Selecting, Ssh};
use super::choosing::Known;
use super::console::Console;
use super::exit::Refusal;
use super::planning::{Looked, Wish, looked};
use super::{Exit, reach};
use crate::plan::give_names;
use crate::plan::inventory::{InventoryVm, SSH, reached};

/// Becomes ssh, which ends as it ends.
pub(super) fn run(args: &Args, verb: &Ssh, console: &Console) -> Result<Exit> {
    let looked = match looked(&Wish::new(args, &Selecting::default()), console)? {
        Ok(looked) => looked,
        Err(exit) => return Ok(exit),
    };
    let vm = Known::of_file(&looked.desired).one(&verb.vm, "ssh")?;
    let vm = looked.desired.vm(vm).with_context(|| format!("VM {vm} is not declared"))?;
    let mut ways = reach::ways(&looked, console);
    ways.reach.notices.retain(|notice| notice.vm == Some(vm.vm_id));
    give_names(&mut ways.reach.notices, &looked.desired, &looked.observed);
    console.findings(&ways.reach.notices, None);
    let Looked { desired, observed, target, .. } = &looked;
    let found = reached(vm, desired, observed, &ways).map_err(|why| {
        let what = format!("VM {} `{}` cannot be reached: {why}", vm.vm_id, vm.vm_name);
        Refusal::failed(what, format!("`phoenix status --only {}` shows how it is", vm.vm_id))
    })?;
    if target.simulated {
        // What has this address in the real world is another machine.
        let what = format!("VM {} is simulated: nothing answers at {}", vm.vm_id, found.ssh_host);
        return Err(Refusal::failed(what, "name a target with real guests, or `--guests qemu` for the embedded node"));
    }
    if let Some(user) = verb.user.as_deref().filter(|user| user.is_empty() || user.starts_with('-')) {
        return Err(Refusal::usage(
            format!("`{user}` is not the name of a user"),
            "name the user in the guest, e.g. `--user admin`",
        ));
    }
    // What is still to be written comes before anything of ssh.
    console.printer().settle();
    hand_over(&words(&found, verb.user.as_deref(), &verb.command))
}

/// The words of ssh's command line. Behind `--` nothing is an option; the destination is an address in any case.
fn words(vm: &InventoryVm, user: Option<&str>, command: &[OsString]) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["-o", "ForwardAgent=no"].map(OsString::from).into();
    let mut add = |option: &str, value: String| words.extend([option.into(), value.into()]);
    if let Some(alias) = &vm.host_key_alias {
        add("-o", format!("HostKeyAlias={alias}"));
    }
    if vm.ssh_port != SSH {
        add("-p", vm.ssh_port.to_string());
    }
    if let Some(user) = user.or(vm.user.as_deref()) {
        add("-l", user.to_owned());
    }
    words.extend(["--".into(), vm.ssh_host.to_string().into()]);
    words.extend(command.iter().cloned());
    words
}

/// Lets ssh take the place of this process. Returns only if there is none.
fn hand_over(words: &[OsString]) -> Result<Exit> {
    let error = Command::new("ssh").args(words).exec();
    Err(anyhow!(error)).context("cannot run ssh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_our_own_options_is_one() {
        let mut vm = InventoryVm {
            vm: 1000,
            name: "web".to_owned(),
            node: "pve".to_owned(),
            running: true,
            mac: None,
            addresses: Vec::new(),
            ssh_host: "2001:db8::1".parse().unwrap(),
            ssh_port: SSH,
            host_key_alias: None,
            user: None,
            tags: Vec::new(),
        };
        let line = |vm: &InventoryVm, user: Option<&str>, command: &[&str]| {
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            let words: Vec<String> =
                words(vm, user, &command).into_iter().map(|word| word.into_string().unwrap()).collect();
            words.join("|")
        };
        assert_eq!(line(&vm, None, &[]), "-o|ForwardAgent=no|--|2001:db8::1");
        vm.user = Some("admin".to_owned());
        vm.host_key_alias = Some("phoenix-1".to_owned());
        vm.ssh_port = 2222;
        let options = "-o|ForwardAgent=no|-o|HostKeyAlias=phoenix-1|-p|2222|-l";
        assert_eq!(line(&vm, None, &[]), format!("{options}|admin|--|2001:db8::1"));
        let command = ["-oProxyCommand=x", "a b", "$HOME"];
        let behind = "--|2001:db8::1|-oProxyCommand=x|a b|$HOME";
        assert_eq!(line(&vm, Some("root"), &command), format!("{options}|root|{behind}"));
    }
}
