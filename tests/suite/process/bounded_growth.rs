//! Attacks that try to make the server's resources grow without bound, from another address and at full speed, while a
//! person signs in and works. Short by default; with `SESSILE_TEST_LONG` long enough for meaningful figures.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::{Value, json};

use super::{
    KIM,
    flood::{memory, raise_open_files},
    is_long,
};
use crate::support::{Client, Engine, PASSWORD, Server, TestDb, add_user};

/// The limit on the program's peak memory, in KiB.
const MOST_MEMORY: usize = 384 * 1024;
/// The number of concurrent attackers.
const ATTACKERS: usize = 8;

/// The loop of one attacker.
type Attack = fn(&Target<'_>, usize);

struct Target<'a> {
    port: u16,
    /// The cookie of the attacker's own account.
    cookie: &'a str,
    device: &'a str,
    over: &'a AtomicBool,
    done: &'a AtomicUsize,
    refused: &'a AtomicUsize,
}

impl Target<'_> {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    /// Connects from another address than the person's.
    fn connect(&self) -> Option<TcpStream> {
        let one = socket(AddressFamily::INET, SocketType::STREAM, None).ok()?;
        bind(&one, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), 0)).ok()?;
        connect(&one, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let stream = TcpStream::from(one);
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        Some(stream)
    }

    /// Sends a request on a new connection and reads the beginning of the answer.
    fn ask(&self, request: &str) {
        let Some(mut stream) = self.connect() else { return };
        let mut head = [0; 16];
        if stream.write_all(request.as_bytes()).is_ok() && stream.read_exact(&mut head).is_ok() {
            let status = String::from_utf8_lossy(&head[9..12]).into_owned();
            let counted = if matches!(status.as_str(), "429" | "503") { self.refused } else { self.done };
            counted.fetch_add(1, Ordering::Relaxed);
        }
        let _ = stream.read_to_end(&mut Vec::new());
    }

    fn post(&self, path: &str, content_type: &str, body: &str) {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n");
        let cookie = format!("Cookie: aiq_session={}\r\n", self.cookie);
        let fields = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
        self.ask(&format!("{head}{cookie}{fields}\r\n{body}"));
    }
}

fn connections(target: &Target<'_>, _: usize) {
    let mut held = Vec::new();
    while target.goes_on() {
        held.extend(target.connect());
        target.done.fetch_add(1, Ordering::Relaxed);
        if held.len() > 400 {
            held.remove(0);
        }
    }
}

fn streams(target: &Target<'_>, _: usize) {
    let mut held = Vec::new();
    while target.goes_on() {
        let Some(mut stream) = target.connect() else { continue };
        let cookie = target.cookie;
        let request = format!("GET /api/events HTTP/1.1\r\nHost: localhost\r\nCookie: aiq_session={cookie}\r\n\r\n");
        if stream.write_all(request.as_bytes()).is_ok() && stream.read(&mut [0; 512]).is_ok() {
            target.done.fetch_add(1, Ordering::Relaxed);
            held.push(stream);
        }
        if held.len() > 200 {
            held.remove(0);
        }
    }
}

/// Requests all drafts and reads almost nothing of the answers.
fn slow_readers(target: &Target<'_>, _: usize) {
    let mut held = Vec::new();
    while target.goes_on() {
        let Some(mut stream) = target.connect() else { continue };
        let request =
            format!("GET /api/drafts HTTP/1.1\r\nHost: localhost\r\nCookie: aiq_session={}\r\n\r\n", target.cookie);
        let mut head = [0; 16];
        if stream.write_all(request.as_bytes()).is_ok() && stream.read_exact(&mut head).is_ok() {
            let counted = if head[9] == b'2' { target.done } else { target.refused };
            counted.fetch_add(1, Ordering::Relaxed);
            held.push(stream);
        }
        if held.len() > 100 {
            held.remove(0);
        }
    }
}

fn renames(target: &Target<'_>, who: usize) {
    let mut round = 0;
    while target.goes_on() {
        round += 1;
        let id = |n: usize| format!("{:08x}-{who:04x}-4000-8000-{n:012x}", round);
        let rename = |n| json!({"id": id(n), "kind": "device.rename", "deviceId": target.device, "name": format!("{round} {n}")});
        let operations: Vec<Value> = (0..200).map(rename).collect();
        target.post("/api/session/sync", "application/json", &json!({"operations": operations}).to_string());
    }
}

fn passwords(target: &Target<'_>, who: usize) {
    let long = "correct horse ".repeat(9);
    let mut n = 0;
    while target.goes_on() {
        n += 1;
        let form = "application/x-www-form-urlencoded";
        match n % 3 {
            0 => target.post("/setup", form, &format!("token=made-up&email=a%40example.com&name=A&password={long}")),
            1 => target.post("/signup", form, &format!("email=a{who}x{n}%40example.com&name=A&password={long}")),
            _ => {
                let sent = json!({"email": format!("nobody{who}x{n}@example.com"), "password": long});
                target.post("/api/establish-session", "application/json", &sent.to_string());
            }
        }
    }
}

#[test]
fn a_person_signs_in_and_works_while_each_bound_is_under_attack() {
    let attacks: [(&str, Attack); 5] = [
        ("connections", connections),
        ("event streams", streams),
        ("slow readers of drafts", slow_readers),
        ("renames by sync", renames),
        ("passwords and sign-ups", passwords),
    ];
    raise_open_files();
    let db = TestDb::new(Engine::Sqlite);
    add_user(&db, KIM, "owner");
    add_user(&db, "mallory@example.com", "member");
    let server = Server::start(&db, &[("SESSILE_LOG", "error"), ("SESSILE_SIGNUP", "open")]);
    let mut mallory = server.client();
    mallory.log_in("mallory@example.com");
    fill(&mut mallory);
    let cookie = mallory.cookies["aiq_session"].clone();
    let device = mallory.get("/api/session").json()["session"]["deviceId"].as_str().expect("an id").to_owned();
    let mut kim = server.client();
    kim.log_in(KIM);
    let time = Duration::from_secs(if is_long() { 20 } else { 2 });
    report("nothing", &server, work(&mut kim, time), (0, 0));
    for (name, attack) in attacks {
        let (over, done, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        let target =
            Target { port: server.port, cookie: &cookie, device: &device, over: &over, done: &done, refused: &refused };
        let worked = std::thread::scope(|scope| {
            for who in 0..ATTACKERS {
                let target = &target;
                scope.spawn(move || attack(target, who));
            }
            let worked = work(&mut kim, time);
            over.store(true, Ordering::Relaxed);
            worked
        });
        report(name, &server, worked, (done.into_inner(), refused.into_inner()));
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
    let events: usize = db.sql("SELECT count(*) FROM audit WHERE kind = 'device.renamed'").parse().expect("a number");
    assert!(events < 20, "{events}");
}

/// Creates drafts for one full answer.
fn fill(client: &mut Client) {
    for some in 0..5 {
        let put = |n| {
            let id = sessile::records::draft::book::random_uuid().expect("an id");
            let text = "\u{1F980}".repeat(10_000);
            json!({"id": id, "kind": "draft.put", "draftId": format!("d{some}-{n}"), "text": text, "baseVersion": 0})
        };
        let operations: Vec<Value> = (0..6).map(put).collect();
        assert_eq!(client.json("POST", "/api/session/sync", &json!({"operations": operations})).status, 200);
    }
}

struct Worked {
    sign_ins: Vec<Duration>,
    reads: f64,
}

/// Signs in again and again, reading and writing in between. Everything must succeed.
fn work(person: &mut Client, time: Duration) -> Worked {
    let (started, mut sign_ins, mut reads, mut reading) = (Instant::now(), Vec::new(), 0_u32, Duration::ZERO);
    while started.elapsed() < time {
        let began = Instant::now();
        let answer = person.try_log_in(KIM, PASSWORD);
        assert_eq!(answer.status, 200, "{answer:?}");
        sign_ins.push(began.elapsed());
        let began = Instant::now();
        for n in 0..20 {
            assert_eq!(person.get("/api/session").status, 200);
            reads += 1;
            if n == 0 {
                assert_eq!(person.json("PATCH", "/api/session/data", &json!({"n": n})).status, 200);
            }
        }
        reading += began.elapsed();
    }
    sign_ins.sort_unstable();
    Worked { sign_ins, reads: f64::from(reads) / reading.as_secs_f64() }
}

fn report(attack: &str, server: &Server, Worked { sign_ins, reads }: Worked, (done, refused): (usize, usize)) {
    let at = |percent: usize| sign_ins[(sign_ins.len() * percent / 100).min(sign_ins.len() - 1)].as_millis();
    let peak = memory(server, "VmHWM:");
    println!(
        "{attack}: peak memory {} MiB; {} sign-ins, median {} ms, p99 {} ms; {reads:.0} reads a second; attackers did {done} \
         and were refused {refused} times",
        peak / 1024,
        sign_ins.len(),
        at(50),
        at(99)
    );
    assert!(peak < MOST_MEMORY, "{peak} KiB");
}
