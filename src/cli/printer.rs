//! How text reaches standard output and standard error.
//!
//! A verb that only reads writes it itself, and waits for who reads. A verb that acts must never wait: from
//! [`Printer::detach`] on, threads write, and what was not read yet is kept. That is bounded: results are as many as
//! the plan has actions, and progress is left out while more than [`MOST_KEPT`] bytes wait.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::ui::progress::Live;

/// Bytes that may wait for a reader before progress is left out.
const MOST_KEPT: usize = 1 << 20;

/// Bytes that are written at once: each one that is taken shows that there is a reader.
const PIECE: usize = 4096;

/// How long a stream that is full for now is left alone. Only one that does not block by itself.
const FULL: Duration = Duration::from_millis(10);

/// How long a reader may take that keeps up. One that does not is waited for this long once, until it has caught up.
const KEEPS_UP: Duration = Duration::from_millis(250);

/// How often it is looked whether a signal ends a wait.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// How long what was not read yet is waited for when all is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Without a byte being read.
    pub(super) still: Duration,
    /// In all.
    pub(super) all: Duration,
}

impl Patience {
    /// After a run.
    pub(super) const RUN: Self = Self { still: Duration::from_secs(5), all: Duration::from_mins(1) };

    /// After a run that was left at once.
    pub(super) const LEFT: Self = Self { still: Duration::from_millis(500), all: Duration::from_millis(500) };
}

/// The two streams of the process.
#[derive(Debug, Default)]
pub(super) struct Printer {
    /// What came of writing to each stream.
    fates: [Mutex<Fate>; 2],
    /// Who writes to each stream, once that is not the verb itself.
    lanes: OnceLock<[Arc<Lane>; 2]>,
    /// How long to wait at the end; as long as it takes without it.
    patience: Mutex<Option<Patience>>,
    /// Signals so far.
    signals: AtomicU32,
    /// Signals before the waiting at the end began.
    before: AtomicU32,
}

/// What came of writing to a stream.
#[derive(Debug, Default)]
enum Fate {
    #[default]
    Fine,
    /// The reader went away (`| head`), which is no error.
    Gone,
    /// It cannot be written.
    Failed(io::Error),
}

/// Why not everything was written to standard output.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It cannot be written.
    Failed(io::Error),
    /// So many bytes were not read in time.
    Unread(usize),
}

/// What waits to be written by one thread. Both streams share it where they are one file, so that the order stays.
#[derive(Debug, Default)]
struct Lane {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Bytes that were not written yet.
    bytes: usize,
    /// Whether something taken out of `items` is being written.
    busy: bool,
    /// Counts the pieces written.
    pieces: u64,
    /// Lines of progress that were left out.
    dropped: u64,
}

#[derive(Debug)]
enum Item {
    Text(Stream, String),
    /// From here on text stands above a live part.
    Live(Live),
    /// The live part goes.
    End,
}

impl Printer {
    /// Lets threads write from now on, so that nothing printed is waited for.
    pub(super) fn detach(&'static self) {
        self.lanes.get_or_init(|| {
            let out = self.lane();
            let err = if is_one_file() { Arc::clone(&out) } else { self.lane() };
            [out, err]
        });
    }

    fn lane(&'static self) -> Arc<Lane> {
        let lane = Arc::new(Lane::default());
        let own = Arc::clone(&lane);
        // The process ends without it, if its stream stands still.
        thread::spawn(move || own.write(self));
        lane
    }

    /// Prints a text that must not be lost.
    pub(super) fn print(&self, stream: Stream, text: &str) {
        match self.lanes.get() {
            Some(lanes) => lanes[stream as usize].push(Item::Text(stream, text.to_owned())),
            None => self.write(stream, text.as_bytes(), &|| ()),
        }
    }

    /// Prints a line of progress to standard output, or leaves it out while too much waits.
    pub(super) fn progress(&self, line: &str) {
        match self.lanes.get() {
            Some([out, _]) => {
                let mut queue = out.queue();
                if queue.bytes > MOST_KEPT {
                    queue.dropped += 1;
                    return;
                }
                drop(queue);
                out.push(Item::Text(Stream::Out, line.to_owned()));
            }
            None => self.print(Stream::Out, line),
        }
    }

    /// Lines of progress that were left out so far.
    pub(super) fn dropped(&self) -> u64 {
        self.lanes.get().map_or(0, |[out, _]| out.queue().dropped)
    }

    /// Shows a live part below everything printed from now on. Only after [`Self::detach`].
    pub(super) fn live(&self, live: Live) {
        if let Some([out, _]) = self.lanes.get() {
            out.push(Item::Live(live));
        }
    }

    /// Removes the live part.
    pub(super) fn end_live(&self) {
        if let Some([out, _]) = self.lanes.get() {
            out.push(Item::End);
        }
    }

    /// Waits until everything printed so far is written, however long that takes.
    pub(super) fn settle(&self) {
        for lane in self.lanes.get().into_iter().flatten() {
            let mut queue = lane.queue();
            while queue.waits() {
                queue = lane.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Takes note of a signal.
    pub(super) fn signalled(&self) {
        self.signals.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on waiting for readers ends by itself, and at the next signal.
    pub(super) fn lose_patience(&self, patience: Patience) {
        self.before.store(self.signals.load(Ordering::SeqCst), Ordering::SeqCst);
        *self.patience.lock().unwrap_or_else(PoisonError::into_inner) = Some(patience);
    }

    /// Waits no longer than this for readers from now on, if waiting ends at all by itself.
    pub(super) fn hasten(&self, patience: Patience) {
        if let Some(before) = &mut *self.patience.lock().unwrap_or_else(PoisonError::into_inner) {
            *before = patience;
        }
    }

    /// How long to wait for readers now; `None`: as long as it takes.
    pub(super) fn patience(&self) -> Option<Patience> {
        *self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a signal ends all waiting.
    pub(super) fn is_hurried(&self) -> bool {
        self.patience().is_some() && self.signals.load(Ordering::SeqCst) > self.before.load(Ordering::SeqCst)
    }

    /// Waits until everything on a stream is written, if it is read.
    pub(super) fn finish(&self, stream: Stream) -> Result<(), Unwritten> {
        let left = self.lanes.get().map_or(0, |lanes| self.outwait(&lanes[stream as usize]));
        if left > 0 {
            return Err(Unwritten::Unread(left));
        }
        match std::mem::take(&mut *self.fate(stream)) {
            Fate::Failed(error) => Err(Unwritten::Failed(error)),
            Fate::Fine | Fate::Gone => Ok(()),
        }
    }

    /// Waits for a lane as long as there is patience. Returns how many bytes are left.
    fn outwait(&self, lane: &Lane) -> usize {
        let begin = Instant::now();
        let mut queue = lane.queue();
        let (mut pieces, mut since) = (queue.pieces, begin);
        while queue.waits() {
            if queue.pieces > pieces {
                (pieces, since) = (queue.pieces, Instant::now());
            }
            let over = |patience: Patience| since.elapsed() >= patience.still || begin.elapsed() >= patience.all;
            if self.is_hurried() || self.patience().is_some_and(over) {
                return queue.bytes;
            }
            let (next, _) = lane.changed.wait_timeout(queue, LOOK).unwrap_or_else(PoisonError::into_inner);
            queue = next;
        }
        0
    }

    fn fate(&self, stream: Stream) -> MutexGuard<'_, Fate> {
        self.fates[stream as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a text piece by piece, unless the stream has failed before.
    fn write(&self, stream: Stream, text: &[u8], written: &dyn Fn()) {
        if !matches!(*self.fate(stream), Fate::Fine) {
            return;
        }
        let (out, err) = (io::stdout(), io::stderr());
        let file = match stream {
            Stream::Out => out.as_fd(),
            Stream::Err => err.as_fd(),
        };
        if let Err(error) = write_all(file, text, written) {
            let gone = error.kind() == ErrorKind::BrokenPipe;
            *self.fate(stream) = if gone { Fate::Gone } else { Fate::Failed(error) };
        }
    }
}

impl Queue {
    /// Whether something is not written yet.
    fn waits(&self) -> bool {
        self.busy || !self.items.is_empty()
    }
}

impl Lane {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands something over. A reader that keeps up has it when this returns: whatever ends the process then, what it
    /// said is there. A lane on which something waits already is not waited for.
    fn push(&self, item: Item) {
        let mut queue = self.queue();
        let keeps_up = !queue.waits();
        queue.bytes += item.len();
        queue.items.push_back(item);
        self.changed.notify_all();
        let end = Instant::now() + KEEPS_UP;
        while keeps_up && queue.waits() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (queue, _) = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what is pushed, for ever.
    fn write(&self, printer: &Printer) {
        let mut live: Option<Live> = None;
        loop {
            let item = self.take();
            let bytes = item.len();
            match item {
                Item::Live(next) => {
                    next.begin();
                    live = Some(next);
                }
                Item::End => live = live.and_then(Live::end),
                Item::Text(stream, text) => {
                    let write = || printer.write(stream, text.as_bytes(), &|| self.queue().pieces += 1);
                    match &live {
                        Some(live) => live.above(write),
                        None => write(),
                    }
                }
            }
            let mut queue = self.queue();
            queue.busy = false;
            queue.bytes -= bytes;
            self.changed.notify_all();
        }
    }

    fn take(&self) -> Item {
        let mut queue = self.queue();
        loop {
            if let Some(item) = queue.items.pop_front() {
                queue.busy = true;
                return item;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Self::Text(_, text) => text.len(),
            Self::Live(_) | Self::End => 0,
        }
    }
}

/// Writes everything. Not by way of std, which takes a closed standard output for one that swallows everything, and
/// keeps half lines.
fn write_all(file: BorrowedFd<'_>, mut text: &[u8], written: &dyn Fn()) -> io::Result<()> {
    use rustix::io::Errno;
    while !text.is_empty() {
        match rustix::io::write(file, &text[..text.len().min(PIECE)]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => {
                text = &text[count..];
                written();
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => thread::sleep(FULL),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether standard output and standard error lead to the same place.
fn is_one_file() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let about = |file: io::Result<std::os::fd::OwnedFd>| std::fs::File::from(file?).metadata();
    let out = about(io::stdout().as_fd().try_clone_to_owned());
    let err = about(io::stderr().as_fd().try_clone_to_owned());
    matches!((out, err), (Ok(out), Ok(err)) if (out.dev(), out.ino()) == (err.dev(), err.ino()))
}
