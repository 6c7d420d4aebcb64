//! One write of a VM's configuration in the making.

use crate::model::Record;
use crate::observed::notes::{RecordError, with_description, with_record};
use crate::observed::{ConfigWrite, VmObserved};

/// The write of a VM's configuration while its rows say what they change.
#[derive(Debug)]
pub struct Edit<'a> {
    /// The VM as it is.
    pub(super) live: &'a VmObserved,
    /// The volume of a cloud-init drive that an interrupted run made and did not attach.
    pub(super) left_drive: Option<&'a str>,
    write: ConfigWrite,
    description: Option<String>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(live: &'a VmObserved, left_drive: Option<&'a str>) -> Self {
        Self { live, left_drive, write: ConfigWrite::default(), description: None }
    }

    /// An option as it will be; empty when it will not be set.
    pub(super) fn get(&self, option: &str) -> &str {
        match self.write.set.get(option) {
            Some(value) => value,
            None if self.write.delete.contains(option) => "",
            None => self.live.options.get(option).unwrap_or_default(),
        }
    }

    /// Sets an option; an empty value deletes it: Proxmox would store a space.
    pub(super) fn put(&mut self, option: &str, value: impl Into<String>) {
        let value = value.into();
        self.write.set.remove(option);
        self.write.delete.remove(option);
        if !value.is_empty() {
            self.write.set.insert(option.to_owned(), value);
        } else if self.live.options.get(option).is_some() {
            self.write.delete.insert(option.to_owned());
        }
    }

    /// Sets the notes that people read; the record among them stays.
    pub(super) fn describe(&mut self, description: &str) {
        self.description = Some(description.to_owned());
    }

    /// The write, with this record in the notes; `None` leaves the one that is there.
    pub(super) fn finish(mut self, record: Option<&Record>) -> Result<ConfigWrite, RecordError> {
        let old = self.live.notes.trim_end();
        let mut new = match &self.description {
            Some(description) => with_description(old, description)?,
            None => old.to_owned(),
        };
        if let Some(record) = record.filter(|record| self.live.record.valid() != Some(record)) {
            new = with_record(&new, record)?;
        }
        if new != old {
            if new.is_empty() {
                self.write.delete.insert("description".to_owned());
            } else {
                self.write.set.insert("description".to_owned(), new);
            }
        }
        Ok(self.write)
    }
}
