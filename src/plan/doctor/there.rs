//! How the commands that correct a target get to where they run.

use crate::model::Target;

/// Where the commands of a target's node run, seen from where phoenix runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    /// On this machine, where an embedded node is: the commands are those of the node that it stands for.
    ThisMachine,
    /// On this machine, which is the node.
    ThisNode,
    /// On a node that ssh reaches.
    Ssh {
        /// What stands before a command, e.g. `ssh -p 2222 admin@pve1 sudo`.
        command: String,
        /// What stands before a path of the node for `scp`, e.g. `-P 2222 IMAGE admin@pve1:`.
        copy: String,
    },
}

impl There {
    /// Where those of this target run.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        let (user, host, port) = match target {
            Target::QmSsh { user, host, port } => (user, host, port),
            Target::Qm => return Self::ThisNode,
            Target::Embedded(_) => return Self::ThisMachine,
        };
        let at = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        // As phoenix itself does it.
        let sudo = if user.as_ref().is_some_and(|user| user != "root") { " sudo" } else { "" };
        let [by_ssh, by_scp] =
            ["-p", "-P"].map(|option| port.map(|port| format!("{option} {port} ")).unwrap_or_default());
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        Self::Ssh {
            command: format!("ssh {by_ssh}{at}{host}{sudo}"),
            copy: format!("{by_scp}IMAGE {at}{open}{host}{close}:"),
        }
    }

    /// What stands before a command of the node; `None`: nothing.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        match self {
            Self::Ssh { command, .. } => Some(command),
            Self::ThisMachine | Self::ThisNode => None,
        }
    }

    /// A command as it is typed, with where that is. It has no character that a shell would take for more than a word.
    pub(super) fn run(&self, command: &str) -> String {
        match self {
            Self::ThisMachine | Self::ThisNode => format!("`{command}` on the node"),
            Self::Ssh { command: ssh, .. } => format!("`{ssh} {command}`"),
        }
    }

    /// How a package gets to where a program is missing.
    pub(super) fn install(&self, package: &str) -> String {
        match self {
            Self::ThisMachine => format!("`apt-get install {package}` on this machine"),
            Self::ThisNode | Self::Ssh { .. } => self.run(&format!("apt-get install {package}")),
        }
    }

    /// How an image gets to a path of the node.
    pub(super) fn copied_to(&self, path: &str) -> String {
        match self {
            Self::ThisMachine | Self::ThisNode => format!("put it there (`cp IMAGE {path}`)"),
            Self::Ssh { copy, .. } => format!("copy it there (`scp {copy}{path}`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::There;
    use crate::model::Target;

    #[test]
    fn a_command_says_where_it_runs() {
        for (target, command, copy) in [
            ("embedded:node", "`id` on the node", "put it there (`cp IMAGE /a`)"),
            ("qm:", "`id` on the node", "put it there (`cp IMAGE /a`)"),
            ("qm+ssh://pve1", "`ssh pve1 id`", "copy it there (`scp IMAGE pve1:/a`)"),
            ("qm+ssh://root@pve1", "`ssh root@pve1 id`", "copy it there (`scp IMAGE root@pve1:/a`)"),
            ("qm+ssh://me@pve1:22", "`ssh -p 22 me@pve1 sudo id`", "copy it there (`scp -P 22 IMAGE me@pve1:/a`)"),
            ("qm+ssh://[2001:db8::1]", "`ssh 2001:db8::1 id`", "copy it there (`scp IMAGE [2001:db8::1]:/a`)"),
        ] {
            let there = There::of(&Target::parse(target, Path::new("")).unwrap());
            assert_eq!((there.run("id"), there.copied_to("/a")), (command.to_owned(), copy.to_owned()), "{target}");
        }
    }
}
