//! Shows the progress of a long command on a terminal, and lets Ctrl-C stop it between two batches. Called by the commands
//! whose work takes long. Each batch is committed before [`Progress::after`] is called, so the next run goes on from there.
//!
//! Invariant: without a terminal on stderr, nothing is shown, and Ctrl-C ends the program at once, as usual.

use std::io::{IsTerminal as _, stderr};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use std::time::Duration;

use actix_web::rt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::base::error::{Error, Result};

/// How often the line moves while a batch takes long.
const TICK: Duration = Duration::from_millis(200);
const DRAWS_PER_SECOND: u8 = 5;
/// The exit status of a program that Ctrl-C ended, as shells know it.
const INTERRUPTED: i32 = 130;

/// The line on the terminal, and whether Ctrl-C was pressed.
pub struct Progress {
    bar: ProgressBar,
    stopped: Arc<AtomicBool>,
}

impl Progress {
    /// Begins to show what the command does.
    pub fn begin() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        if !stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), stopped };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {human_pos} ({per_sec}, {elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        let (line, stop) = (bar.clone(), Arc::clone(&stopped));
        rt::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.store(true, Ordering::Release);
                line.println("sessile: stopping after this batch; press Ctrl-C again to stop at once");
            }
            if tokio::signal::ctrl_c().await.is_ok() {
                // The batch under way is not committed.
                std::process::exit(INTERRUPTED);
            }
        });
        Self { bar, stopped }
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
        self.stopped.load(Ordering::Acquire)
    }

    /// Prints something else, for example on stdout.
    pub fn beside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Removes the line from the terminal.
    pub fn end(&self) {
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
