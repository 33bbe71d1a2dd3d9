//! Shows the progress of a long command on a terminal, and lets Ctrl-C stop it between two batches. Called by the commands
//! whose work takes long. Each batch is committed before [`Progress::after`] is called, so the next run goes on from there.
//!
//! Invariant: without a terminal on stderr, nothing is shown, and Ctrl-C ends the program at once, as usual.

use std::io::{IsTerminal as _, stderr};
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
    mpsc,
};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use crate::base::error::{Error, Result};

/// How often the line moves while a batch takes long.
const TICK: Duration = Duration::from_millis(200);
const DRAWS_PER_SECOND: u8 = 5;
/// The exit status of a program that Ctrl-C ended, as shells know it.
const INTERRUPTED: i32 = 130;

/// The line on the terminal, and whether Ctrl-C was pressed.
pub struct Progress {
    bar: ProgressBar,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_stopped: AtomicBool,
    /// Set when the line was removed. From then on, Ctrl-C ends the program at once.
    is_over: AtomicBool,
    /// A file to be removed if Ctrl-C ends the program.
    draft: Mutex<Option<PathBuf>>,
}

impl Progress {
    /// Begins to show what the command does.
    pub fn begin() -> Self {
        let state = Arc::new(State::default());
        if !stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), state };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} ({per_sec}, {elapsed})") {
            bar.set_style(style);
        }
        let (ready, is_ready) = mpsc::channel();
        let (line, shared) = (bar.clone(), Arc::clone(&state));
        // A thread of its own, because a command may keep the main thread busy with SQLite.
        let watching = thread::Builder::new().spawn(move || watch(&line, &shared, &ready));
        // If the thread or its signal handler cannot be had, Ctrl-C ends the program as usual.
        let _ = watching.map(|_| is_ready.recv());
        bar.enable_steady_tick(TICK);
        Self { bar, state }
    }

    /// Says what is counted from now on.
    pub fn about(&self, what: &'static str) {
        self.bar.reset();
        self.bar.set_message(what);
    }

    /// Notes that a batch is done. Returns whether to go on.
    pub fn after(&self, rows: impl TryInto<u64>) -> bool {
        self.bar.inc(rows.try_into().unwrap_or_default());
        !self.is_stopped()
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_stopped(&self) -> bool {
        self.state.is_stopped.load(Ordering::Acquire)
    }

    /// Removes this file if Ctrl-C ends the program.
    pub fn remove_if_interrupted(&self, draft: &Path) {
        *self.state.draft.lock().unwrap_or_else(PoisonError::into_inner) = Some(draft.to_owned());
    }

    /// Hides the line while `print` runs.
    pub fn with_line_hidden<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Removes the line from the terminal.
    pub fn end(&self) {
        self.state.is_over.store(true, Ordering::Release);
        self.bar.finish_and_clear();
    }

    /// Removes the line from the terminal.
    ///
    /// # Errors
    /// [`Error::Invalid`] with `advice`, if Ctrl-C was pressed.
    pub fn finish(self, advice: &str) -> Result<()> {
        self.end();
        if self.is_stopped() { Err(Error::Invalid(format!("stopped: {advice}"))) } else { Ok(()) }
    }
}

/// Waits for Ctrl-C twice. Sends on `ready` once the signal handler is installed.
fn watch(line: &ProgressBar, state: &State, ready: &mpsc::Sender<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let Ok(mut pressed) = signal(SignalKind::interrupt()) else { return };
        if ready.send(()).is_err() {
            return;
        }
        while pressed.recv().await.is_some() {
            if state.is_over.load(Ordering::Acquire) || state.is_stopped.swap(true, Ordering::AcqRel) {
                if let Some(draft) = state.draft.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    // Ignore errors: it was renamed meanwhile, or nothing can be done.
                    let _ = std::fs::remove_file(draft);
                }
                // The batch under way is not committed.
                std::process::exit(INTERRUPTED);
            }
            line.println("sessile: stopping after this batch; press Ctrl-C again to stop at once");
        }
    });
}
