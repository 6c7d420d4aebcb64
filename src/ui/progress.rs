//! Live progress on a terminal: one line per running action, and a total.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::safe;
use crate::event::Event;

/// The live part of the screen. It disappears when the run ends; what stays is printed above it.
#[derive(Debug)]
pub struct Progress {
    screen: MultiProgress,
    total: Option<ProgressBar>,
    running: BTreeMap<String, ProgressBar>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// A live part on standard error.
    #[must_use]
    pub fn new() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self { screen, total: None, running: BTreeMap::new() }
    }

    /// Takes note of an event.
    pub fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted { acting, .. } => {
                let total = self.screen.add(ProgressBar::new(u64::try_from(*acting).unwrap_or(u64::MAX)));
                total.set_style(style("{pos}/{len} actions, {elapsed}"));
                self.total = Some(total);
            }
            Event::ActionStarted { action, .. } => {
                let bar = ProgressBar::new_spinner();
                bar.set_style(style("{spinner} {prefix}  {elapsed}  {msg}"));
                bar.set_prefix(format!("{} {}  {}", action.vm, safe(&action.name), safe(&action.action)));
                let bar = match &self.total {
                    Some(total) => self.screen.insert_before(total, bar),
                    None => self.screen.add(bar),
                };
                bar.enable_steady_tick(Duration::from_millis(120));
                self.running.insert(action.id.clone(), bar);
            }
            Event::ActionWaiting { action, goal, .. } => {
                if let Some(bar) = self.running.get(&action.id) {
                    bar.set_message(format!("waits for {}", safe(goal)));
                }
            }
            Event::ActionEnded { action, .. } | Event::ActionFailed { action, .. } => {
                if let Some(bar) = self.running.remove(&action.id) {
                    self.take_away(&bar);
                    if let Some(total) = &self.total {
                        total.inc(1);
                    }
                }
            }
            Event::RunEnded { .. } => {
                for bar in std::mem::take(&mut self.running).into_values().chain(self.total.take()) {
                    self.take_away(&bar);
                }
            }
            Event::ActionNoticed { .. } | Event::ActionSkipped { .. } | Event::Interrupted { .. } => {}
        }
    }

    /// Takes a line off the screen. Not finished first: a finished line would stay behind when text is printed above.
    fn take_away(&self, bar: &ProgressBar) {
        bar.disable_steady_tick();
        self.screen.remove(bar);
    }

    /// Prints something that stays, above the live part.
    pub fn above(&self, print: impl FnOnce()) {
        self.screen.suspend(print);
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are ours; one that does not parse falls back to the crate's own.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
