//! A TCP proxy that simulates a bad network between the program and its database: it slows down, stops, or breaks
//! connections in the middle of an answer.

use std::io::{ErrorKind, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

/// How often an idle connection checks whether it has to break.
const TICK: Duration = Duration::from_millis(20);

/// The condition of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Each answer is delayed by this time.
    Slow(Duration),
    /// One answer in so many is cut off in the middle, and its connection is reset.
    Cuts(u64),
    /// No data passes, and no connection ends.
    Still,
}

/// A proxy. Dropping it closes all connections.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    weather: Mutex<Weather>,
    changed: Condvar,
    target: Mutex<u16>,
    answers: AtomicU64,
    /// Connections of an older generation break.
    generation: AtomicU64,
    ended: AtomicBool,
    /// The bytes that clients sent, to check whether they were encrypted.
    heard: Mutex<Vec<u8>>,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            weather: Mutex::new(Weather::Fair),
            changed: Condvar::new(),
            target: Mutex::new(target),
            answers: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            heard: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                shared.connect(client);
            }
        });
        Self { port, state }
    }

    pub fn set(&self, weather: Weather) {
        *self.state.weather.lock().unwrap() = weather;
        self.state.changed.notify_all();
    }

    /// Leads new connections to another port and breaks the old ones.
    pub fn turn_to(&self, target: u16) {
        *self.state.target.lock().unwrap() = target;
        self.reset_all();
    }

    /// Breaks every connection.
    pub fn reset_all(&self) {
        self.state.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub fn heard(&self) -> Vec<u8> {
        self.state.heard.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::Relaxed);
        self.set(Weather::Fair);
        self.reset_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn connect(self: &Arc<Self>, client: TcpStream) {
        let target = *self.target.lock().unwrap();
        let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { return };
        let broken = Arc::new(AtomicBool::new(false));
        let generation = self.generation.load(Ordering::Relaxed);
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(TICK)).unwrap();
            stream.set_nodelay(true).unwrap();
            // With this option, dropping the last handle resets the connection.
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
        }
        let pipes = [
            Pipe { from: client.try_clone().unwrap(), to: server.try_clone().unwrap(), answers: false },
            Pipe { from: server, to: client, answers: true },
        ];
        for pipe in pipes {
            let (state, broken) = (Arc::clone(self), Arc::clone(&broken));
            std::thread::spawn(move || {
                pipe.carry(&state, generation, &broken);
                broken.store(true, Ordering::Relaxed);
            });
        }
    }

    /// Waits while the network is still and returns its condition.
    fn weather(&self) -> Weather {
        let weather = self.weather.lock().unwrap();
        *self.changed.wait_while(weather, |weather| *weather == Weather::Still).unwrap()
    }
}

/// One direction of a connection.
struct Pipe {
    from: TcpStream,
    to: TcpStream,
    answers: bool,
}

impl Pipe {
    fn carry(mut self, state: &State, generation: u64, broken: &AtomicBool) {
        let mut buffer = [0; 16 * 1024];
        while !broken.load(Ordering::Relaxed) && state.generation.load(Ordering::Relaxed) == generation {
            let read = match self.from.read(&mut buffer) {
                Ok(0) => {
                    let _ = self.to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(read) => read,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => return,
            };
            let weather = state.weather();
            if self.answers {
                match weather {
                    Weather::Slow(by) => std::thread::sleep(by),
                    Weather::Cuts(one_in) if state.answers.fetch_add(1, Ordering::Relaxed) % one_in == one_in - 1 => {
                        let _ = self.to.write_all(&buffer[..read / 2]);
                        return;
                    }
                    _ => {}
                }
            } else {
                state.heard.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
            if self.to.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
    }
}
