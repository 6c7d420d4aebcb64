//! Whether a node is fit for phoenix. One script, which needs a shell and `id` and answers in lines: what is missing
//! there must not keep it from saying so.

use std::collections::BTreeMap;

use super::super::proxmox::storage::sections;
use super::{LOOK, Qm, script};
use crate::hypervisor::{Examine, Fault};
use crate::model::{CloudImage, ImagePlace};
use crate::observed::Examined;

/// Programs of phoenix's scripts, and the packages of Debian and Proxmox VE that bring them. `exportfs` is no part of
/// them: a node need not export anything.
const PROGRAMS: [(&str, &str); 17] = [
    ("qm", "qemu-server"),
    ("pvesh", "pve-manager"),
    ("pvesm", "libpve-storage-perl"),
    ("perl", "perl"),
    ("qemu-img", "pve-qemu-kvm"),
    ("tar", "tar"),
    ("awk", "mawk"),
    ("grep", "grep"),
    ("flock", "util-linux"),
    ("ps", "procps"),
    ("ip", "iproute2"),
    ("bash", "bash"),
    ("mktemp", "coreutils"),
    ("realpath", "coreutils"),
    ("sha256sum", "coreutils"),
    ("stat", "coreutils"),
    ("timeout", "coreutils"),
];

/// Fetches images; looked for where the config names one by its URL.
const FETCHES: (&str, &str) = ("curl", "curl");

/// `phoenix-examine PVE ROOT QUESTION…`: lines of a word and what it says. Questions are `program:NAME`, `image:PATH`
/// and `server:NAME`, each answered only by what is so: `missing NAME`, `image PATH`, `answers NAME`. At the end the
/// file of the storages.
///
/// A server has three seconds; all are asked at once. A name is an argument of `bash` and never part of its text.
const SCRIPT: &str = r#"set -u
pve=$1 root=$2
shift 2
printf 'user %s\n' "$(id -u)"
printf 'clock %s\n' "$(date +%s)"
version=$(pveversion 2>/dev/null) && printf 'version %s\n' "$version"
threads=0
{ read -r threads <"$root/proc/fs/nfsd/threads"; } 2>/dev/null || threads=0
printf 'nfsd %s\n' "$threads"
allow=$root/etc/phoenix/allow.json
if [ -e "$allow" ] || [ -L "$allow" ]; then echo 'allow file'; fi
for question do
  name=${question#*:}
  case $question in
    program:*) command -v -- "$name" >/dev/null 2>&1 || printf 'missing %s\n' "$name" ;;
    image:*) [ ! -f "$name" ] || printf 'image %s\n' "$name" ;;
    server:*)
      # shellcheck disable=SC2016
      { timeout 3 bash -c ': <"/dev/tcp/$1/2049"' phoenix "$name" 2>/dev/null && printf 'answers %s\n' "$name"; } & ;;
  esac
done
wait
echo 'storages follow'
cat -- "$pve/storage.cfg" 2>/dev/null
exit 0
"#;

impl Qm {
    /// Examines the node.
    pub(super) fn examined(&self, asked: &Examine) -> Result<Examined, Fault> {
        let is_url = |image: &CloudImage| matches!(image.place(), ImagePlace::Url(_));
        let fetches = asked.images.iter().any(is_url).then_some(FETCHES);
        let programs: BTreeMap<&str, &str> = PROGRAMS.into_iter().chain(fetches).collect();
        let images: BTreeMap<String, String> = asked.images.iter().filter_map(|image| self.place_of(image)).collect();
        let words = programs.keys().map(|name| format!("program:{name}"));
        let words = words.chain(images.keys().map(|path| format!("image:{path}")));
        let words: Vec<String> = words.chain(asked.servers.iter().map(|name| format!("server:{name}"))).collect();
        let mut arguments = vec![self.layout.pve.as_str(), self.layout.root.as_str()];
        arguments.extend(words.iter().map(String::as_str));
        let command = super::Command::look(script("phoenix-examine", SCRIPT, &arguments), LOOK);
        let output = self.run(&command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let package = |name: &str| programs.get(name).map(|package| (name.to_owned(), (*package).to_owned()));
        Ok(Examined { programs: programs.len(), ..read(&text, &package, &images) })
    }

    /// The file that an image is on the node, and what is imported; `None`: it is a volume.
    fn place_of(&self, image: &CloudImage) -> Option<(String, String)> {
        let root = match image.place() {
            ImagePlace::File(_) => "",
            ImagePlace::Url(_) => self.layout.root.as_str(),
            ImagePlace::Volume(_) => return None,
        };
        Some((format!("{root}{}", image.fetched()), image.fetched()))
    }
}

/// Makes sense of the answer. What was not asked for does not count.
fn read(text: &str, package: &dyn Fn(&str) -> Option<(String, String)>, images: &BTreeMap<String, String>) -> Examined {
    let (answers, storages) = text.split_once("storages follow\n").unwrap_or((text, ""));
    let mut examined = Examined::default();
    for (word, rest) in answers.lines().filter_map(|line| line.split_once(' ')) {
        match word {
            "user" => examined.user = rest.parse().ok(),
            "clock" => examined.clock = rest.parse().ok(),
            "version" => examined.version = version(rest).or(examined.version),
            "nfsd" => examined.nfs_threads = rest.trim().parse().ok(),
            "allow" => examined.allow_file = true,
            "missing" => examined.missing.extend(package(rest)),
            "image" => examined.images.extend(images.get(rest).cloned()),
            "answers" => _ = examined.answering.insert(rest.to_owned()),
            _ => {}
        }
    }
    let contents = sections(storages).into_iter().filter_map(|(id, section)| {
        let contents = section.get("content")?.split(',').map(|content| content.trim().to_owned()).collect();
        Some((id, contents))
    });
    examined.contents = contents.collect();
    examined
}

/// The version in what `pveversion` prints (recorded): `pve-manager/9.2.11/14a22df35955d97d (running kernel: …)`.
fn version(line: &str) -> Option<String> {
    let version = line.strip_prefix("pve-manager/")?.split('/').next()?;
    let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && version.len() < 40;
    is_version.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::{Command, Stdio};

    use super::{SCRIPT, read, version};

    #[test]
    fn a_version_is_read_as_it_was_recorded() {
        let recorded = "pve-manager/9.2.11/14a22df35955d97d (running kernel: 6.18.44-fc-v669)";
        assert_eq!(version(recorded).as_deref(), Some("9.2.11"));
        assert_eq!((version("9.2.11"), version("pve-manager/;/x")), (None, None));
    }

    #[test]
    fn only_what_was_asked_for_counts() {
        let text = "user 0\nclock 17\nnfsd 8\nmissing tar\nmissing evil\nimage /a\nimage /b\nanswers 192.0.2.1\n\
            storages follow\ndir: local\n\tpath /x\n\tcontent iso,import\n";
        let package = |name: &str| (name == "tar").then(|| (name.to_owned(), "tar".to_owned()));
        let found = read(text, &package, &BTreeMap::from([("/a".to_owned(), "A".to_owned())]));
        assert_eq!((found.user, found.clock, found.nfs_threads), (Some(0), Some(17), Some(8)));
        assert_eq!(found.missing.len() + found.images.len() + found.answering.len(), 3);
        assert!(found.contents["local"].contains("import") && found.images.contains("A"));
        assert_eq!(read("", &package, &BTreeMap::new()), super::Examined::default());
    }

    /// No word that is handed to the script is run.
    #[test]
    fn names_are_no_commands() {
        let dir = tempfile::tempdir().unwrap();
        let evil = "$(touch pwned)`touch pwned`;touch pwned\n\"'";
        let words = ["program", "image", "server"].map(|kind| format!("{kind}:{evil}"));
        let mut script = Command::new("/bin/sh");
        script.args(["-c", SCRIPT, "phoenix-examine", "/no/such", "/no/such"]).args(words);
        let output = script.current_dir(dir.path()).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("\nnfsd 0\n") && !said.contains("answers"), "{said}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
