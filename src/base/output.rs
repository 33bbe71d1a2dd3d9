//! stderr and stdout of a process that must not depend on them. Lines wait in a bounded queue for a thread of their own,
//! which alone writes, so neither a full disk, a closed pipe nor a reader that does not read stops whoever has something
//! to say. Called by the log, by `serve` for its lines and by `cli` for its last words; `metrics` shows the count.
//!
//! Invariant: nothing here fails, panics or waits, but for [`Output::flush`], which waits for a bounded time.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Stopwatch};

/// Bytes that may wait. A burst of some 10,000 requests fits; what comes on top is lost.
const QUEUE_BYTES: usize = 2 * 1024 * 1024;
/// How long a flush waits for a stream that takes no more.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two tries of a pipe that is full and was made non-blocking by whoever else has it.
const PAUSE: Duration = Duration::from_millis(10);

static STDERR: LazyLock<Output> = LazyLock::new(|| Output::to("stderr", io::stderr()));
static STDOUT: LazyLock<Output> = LazyLock::new(|| Output::to("stdout", io::stdout()));

/// Where the log goes.
pub fn stderr() -> &'static Output {
    &STDERR
}

/// Where `serve` says that it listens.
pub fn stdout() -> &'static Output {
    &STDOUT
}

/// How many lines were not written: the queue was full, or the operating system refused.
pub fn lost_lines() -> u64 {
    used().map(|output| output.0.lost.load(Ordering::Relaxed)).sum()
}

/// The streams that somebody has used.
fn used() -> impl Iterator<Item = &'static Output> {
    [&STDERR, &STDOUT].into_iter().filter_map(LazyLock::get)
}

/// A stream and the lines that wait for it.
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
    /// The thread that writes lives as long as the process.
    fn to(name: &str, stream: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = Arc::clone(&shared);
        let started =
            std::thread::Builder::new().name(format!("write {name}")).spawn(move || writer.write_lines(stream));
        shared.lock().has_writer = started.is_ok();
        Self(shared)
    }

    /// Queues a line, which ends in a newline. It is lost if the queue is full.
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

    /// Queues a line however full the queue is, and waits for a bounded time until it is written: for last words.
    pub fn send_last(&self, line: Vec<u8>) {
        self.0.lock().push(line);
        self.0.changed.notify_all();
        self.flush();
    }

    /// Waits until all that was queued has been written, for a second at most.
    pub fn flush(&self) {
        let until = Stopwatch::now() + PATIENCE;
        let mut queue = self.0.lock();
        while queue.has_writer && (queue.is_writing || !queue.lines.is_empty()) {
            let Some(left) = until.checked_duration_since(Stopwatch::now()) else { return };
            queue = self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn write_lines(&self, mut stream: impl Write) {
        let mut is_torn = false;
        loop {
            let line = self.next();
            let mut written = 0;
            // A line that was cut off must not become the beginning of the next one.
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

    /// The next line, waited for.
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

/// As [`Write::write_all`], and counts what was written; a full pipe that does not block is waited for.
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

/// For `tracing_subscriber`, which writes each event with one call.
impl Write for &Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what waits when it is dropped, also when whoever holds it panics.
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

    /// Writes what it is allowed to, a number of bytes at a time; 0 is an error.
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
    fn a_line_that_is_refused_is_counted_and_the_next_begins_on_a_line_of_its_own() {
        let (output, allow, written) = output();
        for count in [3, 0, 0, 9, 9] {
            allow.send(count).unwrap();
        }
        // Cut off after three bytes; not begun, for want of its newline; written after one.
        for line in ["first\n", "second\n", "third\n"] {
            output.send(line.into());
        }
        output.flush();
        assert_eq!(text(&written), "fir\nthird\n");
        assert_eq!(output.0.lost.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_stream_that_takes_nothing_stops_nobody_and_the_queue_is_bounded() {
        let (output, allow, written) = output();
        let line = vec![b'.'; 64 * 1024];
        for _ in 0..100 {
            output.send(line.clone());
        }
        let queued = output.0.lock().bytes;
        assert!(queued <= QUEUE_BYTES && queued > QUEUE_BYTES - line.len() * 2, "{queued}");
        let lost = output.0.lost.load(Ordering::Relaxed);
        // One may be in the hands of the thread.
        assert!((67..=68).contains(&lost), "{lost}");
        let began = Stopwatch::now();
        output.send_last(b"last\n".to_vec());
        assert!(began.elapsed() < PATIENCE * 5, "{:?}", began.elapsed());
        drop(allow);
        output.flush();
        assert!(text(&written).ends_with(".last\n"));
    }
}
