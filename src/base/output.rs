//! Non-blocking stderr and stdout. Each stream has a bounded queue of lines and a thread that writes them, so a full
//! disk, a closed pipe or a stalled reader never blocks the caller. Called by the log, by `serve` for its start-up
//! lines and by `cli` for its final error; `metrics` reports the number of lost lines.
//!
//! Invariant: nothing in this module fails, panics or blocks, except [`Output::flush`] and [`Output::send_last`], which
//! block for a bounded time.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

/// The most bytes that a queue holds: enough for the log of about 10,000 requests. Further lines are lost.
const QUEUE_BYTES: usize = 2 * 1024 * 1024;
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
    changed: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    is_writing: bool,
    has_writer: bool,
}

impl Output {
    /// Starts the writer thread, which lives as long as the process.
    fn to(name: &str, stream: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let started =
            std::thread::Builder::new().name(format!("write {name}")).spawn(move || writer.write_lines(stream));
        shared.lock().has_writer = started.is_ok();
        Self(shared)
    }

    /// Queues a line, which must end in a newline. The line is lost if the queue is full.
    pub fn send(&self, line: Vec<u8>) {
        let mut queue = self.0.lock();
        if !queue.has_writer || queue.bytes + line.len() > QUEUE_BYTES {
            self.0.count_lost();
            return;
        }
        queue.push(line);
        drop(queue);
        self.0.changed.notify_all();
    }

    /// Queues a line even if the queue is full, then flushes. For the last line before the process exits.
    pub fn send_last(&self, line: Vec<u8>) {
        self.0.lock().push(line);
        self.0.changed.notify_all();
        self.flush();
    }

    /// Waits until the queue is written, for at most `PATIENCE`.
    pub fn flush(&self) {
        let until = Stopwatch::now() + PATIENCE;
        let mut queue = self.0.lock();
        while queue.has_writer && (queue.is_writing || !queue.lines.is_empty()) {
            let Some(remaining) = until.checked_duration_since(Stopwatch::now()) else { return };
            queue = self.0.changed.wait_timeout(queue, remaining).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn write_lines(&self, mut stream: impl Write) {
        let mut is_torn = false;
        loop {
            let line = self.next();
            let mut written = 0;
            // If the previous line was cut off, end it first, so that it does not run into this one.
            let begun = if is_torn { write_all(&mut stream, b"\n", &mut 0) } else { Ok(()) };
            match begun.and_then(|()| write_all(&mut stream, &line, &mut written)) {
                Ok(()) => is_torn = false,
                Err(_) => {
                    is_torn |= written > 0;
                    self.count_lost();
                }
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Blocks until a line is queued.
    fn next(&self) -> Vec<u8> {
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes -= line.len();
                queue.is_writing = true;
                return line;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(line);
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
