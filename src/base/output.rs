//! Non-blocking stderr and stdout. Each stream has a bounded queue of lines and a thread that writes them, so a full
//! disk, a closed pipe or a stalled reader never blocks the caller. The thread also formats the lines about answered
//! requests. Called by the log, by `serve` for its start-up lines and by `cli` for its final error; `metrics` reports
//! the number of lost lines.
//!
//! Invariant: nothing in this module fails, panics or blocks, except [`Output::flush`] and [`Output::send_last`], which
//! block for a bounded time.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

use crate::base::answered_line::AnsweredLine;

/// The most bytes that a queue holds: enough for the log of about 10,000 requests. Further lines are lost.
const QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// The most bytes of lines that one write combines. The system writes this many bytes to a pipe as a whole (`PIPE_BUF`),
/// so that lines of processes that share the pipe do not mix.
const WRITE_BYTES: usize = 4096;
/// How long the writer waits for more lines about answered requests before it writes, so that a busy server does not
/// wake it for each one.
const GATHER: Duration = Duration::from_millis(10);
/// The writer does not wait for more lines if this many bytes are queued.
const GATHERED_BYTES: usize = QUEUE_BYTES / 4;
/// How long a flush waits for a blocked stream.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause before the next write to a full non-blocking pipe. Another process that shares the pipe may have made it
/// non-blocking.
const PAUSE: Duration = Duration::from_millis(10);

static STDERR: LazyLock<Output> = LazyLock::new(|| Output::to("stderr", io::stderr()));
static STDOUT: LazyLock<Output> = LazyLock::new(|| Output::to("stdout", io::stdout()));

pub fn stderr() -> &'static Output {
    &STDERR
}

pub fn stdout() -> &'static Output {
    &STDOUT
}

/// Number of lines that were not written because the queue was full or the write failed.
pub fn lost_lines() -> u64 {
    used().map(|output| output.0.lost.load(Ordering::Relaxed)).sum()
}

/// The streams that have been used so far.
fn used() -> impl Iterator<Item = &'static Output> {
    [&STDERR, &STDOUT].into_iter().filter_map(LazyLock::get)
}

/// A stream with its queue of lines.
pub struct Output(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the writer.
    queued: Condvar,
    /// Wakes those who wait for a flush.
    written: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    /// The size of the queued lines and of those that the writer has taken but not written.
    bytes: usize,
    /// Whether a line is to be written without waiting for more.
    is_urgent: bool,
    writer: Writer,
}

/// What the writer thread does.
#[derive(Debug, Default, PartialEq, Eq)]
enum Writer {
    /// It could not be started.
    #[default]
    Missing,
    Writing,
    /// It waits for the first line.
    Idle,
    /// It waits for more lines, for at most [`GATHER`].
    Gathering,
}

/// A queued line, which ends in a newline.
enum Line {
    Text(Vec<u8>),
    Answered(AnsweredLine),
}

impl Line {
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Answered(line) => line.size(),
        }
    }
}

impl Output {
    /// Starts the writer thread, which lives as long as the process.
    fn to(name: &str, stream: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        // The thread cannot run before this lock is released.
        let mut queue = shared.lock();
        let started =
            std::thread::Builder::new().name(format!("write {name}")).spawn(move || writer.write_lines(stream));
        queue.writer = if started.is_ok() { Writer::Writing } else { Writer::Missing };
        drop(queue);
        Self(shared)
    }

    /// Queues a line, which must end in a newline. The line is lost if the queue is full.
    pub fn send(&self, line: Vec<u8>) {
        self.queue(Line::Text(line), true);
    }

    /// Queues a line about an answered request. The writer thread formats it. The line is lost if the queue is full.
    pub fn send_answered(&self, line: AnsweredLine) {
        self.queue(Line::Answered(line), false);
    }

    fn queue(&self, line: Line, is_urgent: bool) {
        let mut queue = self.0.lock();
        if queue.writer == Writer::Missing || queue.bytes + line.size() > QUEUE_BYTES {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.push(line, is_urgent);
        self.0.wake(queue);
    }

    /// Queues a line even if the queue is full, then flushes. For the last line before the process exits.
    pub fn send_last(&self, line: Vec<u8>) {
        self.0.lock().push(Line::Text(line), true);
        self.flush();
    }

    /// Waits until the queue is written, for at most `PATIENCE`.
    pub fn flush(&self) {
        let until = Stopwatch::now() + PATIENCE;
        let mut queue = self.0.lock();
        queue.is_urgent = true;
        self.0.queued.notify_one();
        while queue.writer != Writer::Missing && queue.bytes > 0 {
            let Some(remaining) = until.checked_duration_since(Stopwatch::now()) else { return };
            queue = self.0.written.wait_timeout(queue, remaining).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    /// Wakes the writer if it waits for what was queued.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let wakes = match queue.writer {
            Writer::Idle => true,
            Writer::Gathering => queue.is_urgent,
            Writer::Writing | Writer::Missing => false,
        };
        if wakes {
            queue.writer = Writer::Writing;
            drop(queue);
            self.queued.notify_one();
        }
    }

    fn write_lines(&self, mut stream: impl Write) {
        let (mut is_torn, mut batch) = (false, Batch::default());
        loop {
            for line in self.take() {
                if !batch.text.is_empty() && batch.text.len() + line.size() > WRITE_BYTES {
                    self.write(&mut stream, &mut batch, &mut is_torn);
                }
                batch.push(line);
            }
            self.write(&mut stream, &mut batch, &mut is_torn);
        }
    }

    /// Waits for lines and takes all of them.
    fn take(&self) -> VecDeque<Line> {
        let mut queue = self.lock();
        while queue.lines.is_empty() {
            queue.is_urgent = false;
            queue.writer = Writer::Idle;
            queue = self.queued.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if !queue.is_urgent {
            queue.writer = Writer::Gathering;
            let is_patient = |queue: &mut Queue| !queue.is_urgent;
            let gathered = self.queued.wait_timeout_while(queue, GATHER, is_patient);
            queue = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue.is_urgent = false;
        queue.writer = Writer::Writing;
        std::mem::take(&mut queue.lines)
    }

    /// Writes the lines of a batch. Counts those that cannot be written, and empties the batch.
    fn write(&self, stream: &mut impl Write, batch: &mut Batch, is_torn: &mut bool) {
        let mut written = 0;
        while written < batch.text.len() {
            // If the previous line was cut off, end it first, so that it does not run into this one.
            let begun = if *is_torn { write_all(stream, b"\n", &mut 0) } else { Ok(()) };
            let from = written;
            *is_torn &= begun.is_err();
            if begun.and_then(|()| write_all(stream, &batch.text, &mut written)).is_ok() {
                break;
            }
            // The line that was being written is lost. Continue with the next one.
            let lost = batch.ends.iter().copied().find(|end| *end > written).unwrap_or(batch.text.len());
            let begins = batch.ends.iter().copied().rfind(|end| *end <= written).unwrap_or(0);
            *is_torn |= written > begins.max(from);
            self.lost.fetch_add(1, Ordering::Relaxed);
            written = lost;
        }
        self.lock().bytes -= std::mem::take(&mut batch.size);
        batch.text.clear();
        batch.ends.clear();
        self.written.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, line: Line, is_urgent: bool) {
        self.bytes += line.size();
        self.lines.push_back(line);
        self.is_urgent |= is_urgent || self.bytes > GATHERED_BYTES;
    }
}

/// Lines that are written together.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    /// The size of the lines as the queue counts it.
    size: usize,
}

impl Batch {
    fn push(&mut self, line: Line) {
        self.size += line.size();
        match line {
            Line::Text(text) => self.text.extend_from_slice(&text),
            Line::Answered(line) => line.write_to(&mut self.text),
        }
        self.ends.push(self.text.len());
    }
}

/// Like [`Write::write_all`], but counts the bytes written and retries when a non-blocking pipe is full.
fn write_all(stream: &mut impl Write, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while let Some(rest) = bytes.get(*written..).filter(|rest| !rest.is_empty()) {
        match stream.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}

/// For `tracing_subscriber`, which writes each event in one call.
impl Write for &Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Flushes the streams when it is dropped, including during a panic.
pub struct FlushAtEnd;

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        used().for_each(Output::flush);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Each write takes the next number from `allowed` and writes at most that many bytes. 0 makes the write fail.
    struct Stream {
        allowed: mpsc::Receiver<usize>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.allowed.recv().unwrap_or(usize::MAX) {
                0 => Err(io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())),
                count => {
                    let count = count.min(bytes.len());
                    self.written.lock().unwrap().extend_from_slice(&bytes[..count]);
                    Ok(count)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output() -> (Output, mpsc::Sender<usize>, Arc<Mutex<Vec<u8>>>) {
        let (allow, allowed) = mpsc::channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let stream = Stream { allowed, written: Arc::clone(&written) };
        (Output::to("test", stream), allow, written)
    }

    fn text(written: &Mutex<Vec<u8>>) -> String {
        String::from_utf8(written.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_failed_line_is_counted_and_the_next_starts_on_a_new_line() {
        let (output, allow, written) = output();
        for count in [3, 0, 0, 9, 9] {
            allow.send(count).unwrap();
        }
        // The first line is cut off after three bytes. The second fails at the newline that ends the first. The third
        // is written after that newline.
        for line in ["first\n", "second\n", "third\n"] {
            output.send(line.into());
        }
        output.flush();
        assert_eq!(text(&written), "fir\nthird\n");
        assert_eq!(output.0.lost.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_blocked_stream_blocks_no_caller_and_the_queue_is_bounded() {
        let (output, allow, written) = output();
        let line = vec![b'.'; 64 * 1024];
        for _ in 0..100 {
            output.send(line.clone());
        }
        let queued = output.0.lock().bytes;
        assert!(queued <= QUEUE_BYTES && queued > QUEUE_BYTES - line.len() * 2, "{queued}");
        let lost = output.0.lost.load(Ordering::Relaxed);
        // The thread may have taken one line from the queue already.
        assert!((67..=68).contains(&lost), "{lost}");
        let began = Stopwatch::now();
        output.send_last(b"last\n".to_vec());
        assert!(began.elapsed() < PATIENCE * 5, "{:?}", began.elapsed());
        drop(allow);
        output.flush();
        assert!(text(&written).ends_with(".last\n"));
    }
}
