//! Whether this machine is fit for what the node does with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Embedded;
use super::guest_kind::GuestKind;
use crate::hypervisor::Examine;
use crate::model::{CloudImage, ImagePlace};
use crate::observed::{ALLOW_FILE, Examined};

/// Programs that real guests need, and the packages of Debian that bring them.
const PROGRAMS: [(&str, &str); 2] = [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils")];

impl Embedded {
    /// Programs that the node's guests need. Simulated guests need none.
    fn programs(&self) -> &'static [(&'static str, &'static str)] {
        match self.settings.guests {
            GuestKind::Simulated => &[],
            GuestKind::Qemu => &PROGRAMS,
        }
    }

    /// Those of them that are missing, with the packages that bring them.
    pub(super) fn missing_programs(&self) -> BTreeMap<String, String> {
        let missing = self.programs().iter().filter(|(program, _)| !is_there(program));
        missing.map(|(program, package)| ((*program).to_owned(), (*package).to_owned())).collect()
    }

    /// Examines this machine, whose clock is that of phoenix. Simulated guests need nothing of it.
    pub(super) fn examined(&self, asked: &Examine) -> Examined {
        let images = asked.images.iter().filter(|image| !matches!(image.place(), ImagePlace::Volume(_)));
        let images = images.filter(|image| Path::new(&self.image_path(image)).is_file());
        Examined {
            programs: self.programs().len(),
            missing: self.missing_programs(),
            allow_file: self.dir.join("root").join(&ALLOW_FILE[1..]).symlink_metadata().is_ok(),
            images: images.map(CloudImage::fetched).collect(),
            // Guests of the simulation reach every server.
            answering: asked.servers.iter().cloned().collect::<BTreeSet<String>>(),
            contents: BTreeMap::new(),
            ..Examined::default()
        }
    }
}

/// Whether a program can be started here.
fn is_there(program: &str) -> bool {
    let mut asked = Command::new(program);
    asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true)
}
