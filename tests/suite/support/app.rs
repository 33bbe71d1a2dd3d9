//! The program, served in a thread of the test process: the same application behind the same listener, but nothing that
//! belongs to a process, such as its log, its signals and its standard output.

use std::ops::Deref;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use sessile::{
    serve::{
        run::{Host, run_on},
        shutdown::{Asked, Signals},
    },
    web::limits::Limits,
};

use super::{
    TestDb,
    served::{Served, secret_of_link},
};

/// A program that is served in this process. Stopped when dropped.
pub struct App {
    served: Served,
    lines: mpsc::Receiver<String>,
    stop: tokio::sync::mpsc::UnboundedSender<Asked>,
    serving: Option<JoinHandle<()>>,
}

impl App {
    /// Serves on a free port, under `http://localhost:PORT` unless told otherwise, with more variables.
    pub fn start(db: &TestDb, more: &[(&str, &str)]) -> Self {
        Self::start_within(db, more, Limits::default())
    }

    /// The same within other limits than the usual ones.
    pub fn start_within(db: &TestDb, more: &[(&str, &str)], limits: Limits) -> Self {
        let more: Vec<_> = [("SESSILE_LISTEN", "127.0.0.1:0")].iter().chain(more).copied().collect();
        let settings = db.settings(&more);
        let (say, lines) = mpsc::channel();
        let (stop, asked) = tokio::sync::mpsc::unbounded_channel();
        let serving = std::thread::spawn(move || {
            let announce = Box::new(move |line: &str| drop(say.send(line.to_owned())));
            let host = Host { signals: Signals::OfThread(asked), announce };
            actix_web::rt::System::new().block_on(run_on(settings, limits, host)).expect("a server that ends well");
        });
        let mut app = Self { served: Served::default(), lines, stop, serving: Some(serving) };
        app.served = Served::from_line(&app.line());
        app
    }

    /// The next line for standard output.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).expect("a line")
    }

    /// The secret of the link that the second line gives.
    pub fn setup_token(&self) -> String {
        secret_of_link(&self.line())
    }
}

impl Deref for App {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.served
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Asked twice, it waits for nothing.
        for _ in 0..2 {
            let _ = self.stop.send(Asked::AtTerminal);
        }
        let ended = self.serving.take().expect("a thread").join();
        if !std::thread::panicking() {
            ended.expect("a server that ends well");
        }
    }
}
