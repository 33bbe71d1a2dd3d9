//! The application served in a thread of the test process. It uses the same listener as the program, but has no log,
//! signals or standard output of its own.

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

/// A running application. Dropping it stops the server.
pub struct App {
    served: Served,
    lines: mpsc::Receiver<String>,
    stop: tokio::sync::mpsc::UnboundedSender<Asked>,
    serving: Option<JoinHandle<()>>,
}

impl App {
    /// Serves on a free port with additional settings. The public origin is `http://localhost:PORT` unless they change
    /// it.
    pub fn start(db: &TestDb, more: &[(&str, &str)]) -> Self {
        Self::start_within(db, more, Limits::default())
    }

    /// Like [`App::start`], but with other timeouts.
    pub fn start_within(db: &TestDb, more: &[(&str, &str)], limits: Limits) -> Self {
        let more: Vec<_> = [("SESSILE_LISTEN", "127.0.0.1:0")].iter().chain(more).copied().collect();
        let settings = db.settings(&more);
        let (say, lines) = mpsc::channel();
        let (stop, asked) = tokio::sync::mpsc::unbounded_channel();
        let serving = std::thread::spawn(move || {
            let announce = Box::new(move |line: &str| drop(say.send(line.to_owned())));
            let host = Host { signals: Signals::OfThread(asked), announce };
            actix_web::rt::System::new()
                .block_on(run_on(settings, limits, host))
                .expect("the server stops without an error");
        });
        let mut app = Self { served: Served::default(), lines, stop, serving: Some(serving) };
        app.served = Served::from_line(&app.line());
        app
    }

    /// The next line of standard output.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).expect("a line")
    }

    /// The secret in the setup link on the second line.
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
        // The second signal makes the server stop without waiting for requests.
        for _ in 0..2 {
            let _ = self.stop.send(Asked::AtTerminal);
        }
        let ended = self.serving.take().expect("a thread").join();
        if !std::thread::panicking() {
            ended.expect("the server stops without an error");
        }
    }
}
