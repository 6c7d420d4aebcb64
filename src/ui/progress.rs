//! Live progress on a terminal: one line per running action, and a total.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::style::ProgressTracker;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::layout::cut;
use super::text::safe;
use crate::event::Event;

/// Most running actions that get a line; the rest are counted.
const MOST_LINES: usize = 12;

/// Columns that a VM's name may take, so that there is room for what it waits for.
const LONGEST_NAME: usize = 28;

/// What the live part of the screen shows. Taking note of an event never waits for the terminal.
#[derive(Debug)]
pub struct Progress {
    shown: Arc<Mutex<Shown>>,
    /// What is typed meanwhile, `^C` above all, would push the lines up, and some of them would stay for ever.
    _echo: NoEcho,
}

/// The live part of the screen. It disappears when the run ends; what stays is printed above it. Everything it does
/// waits for the terminal, which may be stopped for any time.
#[derive(Debug)]
pub struct Live {
    /// One bar that draws all lines: several bars leave pieces behind when one of them goes away.
    bar: ProgressBar,
}

/// While it lives, the terminal does not show what is typed.
#[derive(Debug)]
struct NoEcho {
    /// How the terminal was before.
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

#[cfg(unix)]
impl NoEcho {
    fn new() -> Self {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};
        let input = std::io::stdin();
        // A job in the background would be stopped for it.
        let in_front = tcgetpgrp(&input).is_ok_and(|group| group == rustix::process::getpgrp());
        let before = tcgetattr(&input).ok().filter(|_| in_front).and_then(|before| {
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO);
            tcsetattr(&input, OptionalActions::Now, &modes).ok().map(|()| before)
        });
        Self { before }
    }
}

#[cfg(unix)]
impl Drop for NoEcho {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The process that took the terminal meanwhile has set it up for itself.
            let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

#[cfg(not(unix))]
impl NoEcho {
    fn new() -> Self {
        Self {}
    }
}

/// The running actions in the order in which they began, by id: what they are, since when, what they wait for.
type Running = BTreeMap<(Instant, String), (String, String)>;

#[derive(Debug, Default)]
struct Shown {
    running: Running,
    /// Acting actions that have ended, and how many there are.
    ended: usize,
    acting: usize,
}

/// Draws the lines of the running actions, anew at each tick.
#[derive(Clone)]
struct Lines(Arc<Mutex<Shown>>);

impl ProgressTracker for Lines {
    fn clone_box(&self) -> Box<dyn ProgressTracker> {
        Box::new(self.clone())
    }

    fn tick(&mut self, _: &ProgressState, _: Instant) {}

    fn reset(&mut self, _: &ProgressState, _: Instant) {}

    fn write(&self, _: &ProgressState, out: &mut dyn std::fmt::Write) {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = &shown.running;
        // Asked for anew each time: a terminal may have been resized. A line that went on in the next row would stay
        // there when the live part goes away.
        let size = terminal_size::terminal_size_of(std::io::stderr());
        let width = size.map_or(usize::MAX, |(width, _)| usize::from(width.0).saturating_sub(1));
        for ((since, _), (title, goal)) in running.iter().take(MOST_LINES) {
            let elapsed = match since.elapsed().as_secs() {
                0 => String::new(),
                seconds @ 1..60 => format!("  {seconds} s"),
                seconds => format!("  {} min {:02} s", seconds / 60, seconds % 60),
            };
            // A line that cannot be drawn is drawn at the next tick.
            let _ = writeln!(out, "{}", cut(&format!("… {title}{elapsed}{goal}"), width));
        }
        if running.len() > MOST_LINES {
            let _ = writeln!(out, "… and {} more", running.len() - MOST_LINES);
        }
    }
}

/// Draws how many actions have ended.
#[derive(Clone)]
struct Total(Arc<Mutex<Shown>>);

impl ProgressTracker for Total {
    fn clone_box(&self) -> Box<dyn ProgressTracker> {
        Box::new(self.clone())
    }

    fn tick(&mut self, _: &ProgressState, _: Instant) {}

    fn reset(&mut self, _: &ProgressState, _: Instant) {}

    fn write(&self, _: &ProgressState, out: &mut dyn std::fmt::Write) {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that cannot be drawn is drawn at the next tick.
        let _ = write!(out, "{} of {}", shown.ended, shown.acting);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { shown: Arc::default(), _echo: NoEcho::new() }
    }

    /// A live part on standard error that shows this.
    #[must_use]
    pub fn live(&self) -> Live {
        // The template is ours; one that does not parse falls back to the crate's own.
        let style = ProgressStyle::with_template("{running}{spinner} {total} actions  {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .with_key("running", Lines(Arc::clone(&self.shown)))
            .with_key("total", Total(Arc::clone(&self.shown)));
        Live { bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10)).with_style(style) }
    }

    /// Takes note of an event.
    pub fn on(&mut self, event: &Event) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::RunStarted { acting, .. } => shown.acting = *acting,
            Event::ActionStarted { action, .. } => {
                let name = safe(&action.name);
                let title = format!("{} {}  {}", action.vm, cut(&name, LONGEST_NAME), safe(&action.action));
                shown.running.insert((Instant::now(), action.id.clone()), (title, String::new()));
            }
            Event::ActionWaiting { action, goal, .. } => {
                if let Some((_, (_, words))) = shown.running.iter_mut().find(|((_, id), _)| *id == action.id) {
                    *words = format!("  waits for {}", safe(goal));
                }
            }
            Event::ActionEnded { action, .. } | Event::ActionFailed { action, .. } => {
                let before = shown.running.len();
                shown.running.retain(|(_, id), _| *id != action.id);
                shown.ended += before - shown.running.len();
            }
            Event::ActionNoticed { .. }
            | Event::ActionSkipped { .. }
            | Event::Interrupted { .. }
            | Event::RunEnded { .. } => {}
        }
    }
}

impl Live {
    /// Begins to draw.
    pub fn begin(&self) {
        self.bar.enable_steady_tick(Duration::from_millis(120));
    }

    /// Prints something that stays, above the live part.
    pub fn above(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Removes it; nothing is left.
    #[must_use]
    pub fn end(self) -> Option<Self> {
        self.bar.finish_and_clear();
        None
    }
}
