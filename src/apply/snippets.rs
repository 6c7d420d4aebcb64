//! The snippets of a VM on its node.

use super::perform::Performing;
use crate::event::Failure;
use crate::hypervisor::FileOp;
use crate::model::Outcome;
use crate::plan::SnippetStep;

impl Performing<'_> {
    /// Writes a snippet. It may be written twice: its name says what it holds.
    pub(super) fn write_snippet(&mut self, step: &SnippetStep) -> Result<Outcome, Failure> {
        let live = self.live()?;
        self.must_not_have_moved(&live)?;
        let (path, text) = (step.path.clone(), step.text.clone());
        self.write_files(&FileOp::WriteSnippet { vm: self.id(), path, text })?;
        Ok(self.action.outcome)
    }

    /// Removes a snippet that the VM was seen not to name, or that goes with it.
    pub(super) fn remove_snippet(&mut self, path: &str) -> Result<Outcome, Failure> {
        let id = self.id();
        // What was left half made of its VM may have gone before it.
        if let Some(live) = self.ask(|hypervisor| hypervisor.vm(id))? {
            self.must_not_have_moved(&live)?;
        }
        self.write_files(&FileOp::RemoveSnippet { vm: id, path: path.to_owned() })?;
        Ok(self.action.outcome)
    }
}
