//! A node, the programs on it, and a directory to work in.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use phoenix::backend::embedded::{Embedded, Settings};
use tempfile::TempDir;

use crate::doubles::Doubles;

/// A node, and the programs on it.
pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) doubles: Doubles,
}

impl Scene {
    pub(crate) fn new(tune: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = Embedded::open(&dir.path().join("node")).unwrap();
        let mut settings = node.settings().clone();
        tune(&mut settings);
        node.save_settings(&settings).unwrap();
        let doubles = Doubles::new(&dir.path().join("node"));
        let scene = Self { dir, doubles };
        // What `cicustom` of the recorded VMs names was there.
        scene.write("root/var/lib/vz/snippets/user.yaml", "#cloud-config\n");
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("node").join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn shell(&self, line: &str) -> Output {
        let line = line.replace("/etc/pve/", &format!("{}/", self.path("").display()));
        self.doubles.command("sh").args(["-c", &line]).output().unwrap()
    }

    pub(crate) fn faults(&self, faults: &str) {
        self.write("faults.json", faults);
    }
}
