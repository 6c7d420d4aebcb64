//! How far a copy is that works on the node, or on another one, and how far a download.

use std::time::Duration;

use super::super::proxmox::copied::copied;
use super::super::proxmox::task::{self, Task};
use super::super::runner::Command;
use super::perform::job;
use super::{Qm, command, script};
use crate::hypervisor::image::{FETCHING, fetching};
use crate::hypervisor::{Copied, Copying, Fault, HostOp};
use crate::model::{CloudImage, IMAGE_CACHE, ImagePlace, VmId};

/// How long such a look may take.
const GLANCE: Duration = Duration::from_secs(10);

/// `phoenix-job-output DIRECTORY…`: prints the end of what the jobs wrote that have not ended.
const OUTPUT: &str = r#"for job; do
  [ -f "$job/status" ] || tail -c 4096 -- "$job/out" 2>/dev/null
done
exit 0
"#;

impl Qm {
    /// How far a copy is: as its job wrote so far, or its task on another node. How far a download is: as its file has
    /// grown.
    pub(super) fn how_far(&self, copying: Copying<'_>) -> Result<Option<Copied>, Fault> {
        match copying {
            Copying::Of(HostOp::FetchImage { image, .. }) => self.fetched(image),
            Copying::Of(op) => {
                let Some(name) = job(op) else { return Ok(None) };
                match self.seen.task(&name) {
                    Some((node, upid)) => self.in_log(&node, &upid),
                    None => self.in_output(&[name]),
                }
            }
            Copying::Making(vm) => self.of_earlier(vm, &[format!("clone-{vm}"), format!("import-{vm}")]),
            Copying::Moving(vm) => self.of_earlier(vm, &[format!("move-{vm}")]),
        }
    }

    /// How far the copy of an earlier run is: its job is one of these, or it is a task of the other node that the VM is
    /// on.
    fn of_earlier(&self, vm: VmId, jobs: &[String]) -> Result<Option<Copied>, Fault> {
        let Some(node) = self.seen.node(vm) else { return self.in_output(jobs) };
        let tasks: Vec<Task> = self.tasks_elsewhere("")?.into_iter().filter(|task| task.is_plain_on(&node)).collect();
        let targets = self.clone_targets(&tasks)?;
        let clones = tasks.iter().filter(|task| task.clones()).zip(targets);
        let clone = clones.filter(|(_, target)| *target == Some(vm)).map(|(task, _)| task);
        let mut working = clone.chain(tasks.iter().filter(|task| task.is_on_disks_of(vm)));
        working.next().map_or(Ok(None), |task| self.in_log(&node, task.upid()))
    }

    fn in_output(&self, jobs: &[String]) -> Result<Option<Copied>, Fault> {
        let directories: Vec<String> = jobs.iter().map(|name| self.directory_of(name)).collect();
        let words: Vec<&str> = directories.iter().map(String::as_str).collect();
        let command = Command::look(script("phoenix-job-output", OUTPUT, &words), GLANCE);
        Ok(copied(&String::from_utf8_lossy(&self.run(&command)?.stdout)))
    }

    fn in_log(&self, node: &str, upid: &str) -> Result<Option<Copied>, Fault> {
        let [_, log] = task::looks(node, upid);
        Ok(copied(&task::log(&self.run(&Command::look(command::command(&log), GLANCE))?.stdout)))
    }

    fn fetched(&self, image: &CloudImage) -> Result<Option<Copied>, Fault> {
        let (ImagePlace::Url(_), Some(digest)) = (image.place(), image.digest()) else { return Ok(None) };
        let cache = format!("{}{IMAGE_CACHE}", self.layout.root);
        let command = Command::look(script("phoenix-image-fetching", FETCHING, &[digest, &cache]), GLANCE);
        Ok(fetching(&String::from_utf8_lossy(&self.run(&command)?.stdout)))
    }
}
