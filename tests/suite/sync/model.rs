//! Devices that go online and offline at random, write, delete and sync. Their answers get lost and their queues are
//! sent again. The model client follows the rules of `static/js/outbox.js`: each draft has at most one operation in
//! flight, which is unchanged until it is answered, and at most one operation waiting, whose base comes from that
//! answer.
//!
//! From time to time old deletions are forgotten, so that clients begin anew and keep what they have not sent.
//!
//! In the end all devices have the same drafts. No text is lost unless a device that had seen it wrote over it or
//! deleted it. No operation had two effects. 10,000 runs with `SESSILE_TEST_LONG`, 300 on PostgreSQL.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, value::to_raw_value};
use sessile::{
    actions::sync::{
        apply::{self, Applied},
        sender::Sender,
    },
    base::db::Conn,
    records::{
        device::known::Facts,
        draft::{
            Draft,
            operation::Sent,
            portion::{self, Listed},
            result::{OperationResult, Status},
            revision::{ClientRevision, Revision},
        },
        session::{Acting, SessionKey, Sessions, Who},
    },
};

use super::{delete, put, uuid};
use crate::{
    store::Node,
    support::{Engine, TestDb, is_long, on_both_engines_and_citus},
};

on_both_engines_and_citus! {
    devices_that_come_and_go_converge_and_lose_nothing,
}

fn runs(engine: Engine) -> u64 {
    match (is_long(), engine) {
        (true, Engine::Sqlite) => 10_000,
        (true, Engine::Postgres) => 300,
        (false, Engine::Sqlite) => 40,
        (false, Engine::Postgres) => 8,
    }
}

async fn devices_that_come_and_go_converge_and_lose_nothing(db: TestDb) {
    let node = Node::new(&db).await;
    let keys = [node.create().await, node.create().await, node.create().await];
    let (mut operations, mut conflicts) = (0, 0);
    let runs = runs(db.engine);
    for seed in 0..runs {
        db.sql("DELETE FROM drafts; DELETE FROM operations; UPDATE accounts SET revision = 0, drafts_floor = 0");
        let mut world = World::new(seed);
        let count = 2 + usize::from(seed % 2 == 0);
        let mut devices: Vec<Device> =
            keys[..count].iter().enumerate().map(|(n, key)| Device::new(&node, key, &format!("Device {n}"))).collect();
        for _ in 0..40 {
            let at = world.below(devices.len());
            if world.below(30) == 0 {
                world.log.push("deletions are forgotten".into());
                db.sql("DELETE FROM drafts WHERE deleted_at IS NOT NULL; UPDATE accounts SET drafts_floor = revision");
            }
            world.step(&node.sessions, &mut devices[at]).await;
        }
        world.settle(&node.sessions, &mut devices).await;
        operations += world.answered.len();
        conflicts += world.conflicts;
    }
    // Otherwise the model has not tested anything.
    let runs = usize::try_from(runs).unwrap();
    assert!(operations > 5 * runs && 2 * conflicts > runs, "{operations} operations, {conflicts} conflicts");
}

/// The record of what all devices have done.
struct World {
    seed: u64,
    random: u64,
    /// Each text that was written, and each text that a device has seen and then overwritten or deleted.
    written: BTreeSet<String>,
    over: BTreeSet<String>,
    /// The first answer to each operation.
    answered: BTreeMap<String, Status>,
    conflicts: usize,
    /// The actions so far, for the investigation of a failed run.
    log: Vec<String>,
}

struct Device {
    sender: Sender,
    known: Option<Revision>,
    copies: BTreeMap<String, Draft>,
    outbox: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    draft: String,
    /// None for a deletion.
    text: Option<String>,
    base: Option<i64>,
    /// The operation as sent. It does not change from then on.
    sent: Option<Value>,
}

impl World {
    fn new(seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self {
            seed,
            random,
            written: BTreeSet::new(),
            over: BTreeSet::new(),
            answered: BTreeMap::new(),
            conflicts: 0,
            log: Vec::new(),
        }
    }

    fn below(&mut self, most: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap() % most
    }

    async fn step(&mut self, sessions: &Sessions, device: &mut Device) {
        match self.below(10) {
            0..5 => self.write(device),
            5 => self.delete(device),
            6 => drop(self.exchange(sessions, device, Loss::Answer).await),
            7 => drop(self.exchange(sessions, device, Loss::Request).await),
            _ => drop(self.exchange(sessions, device, Loss::Nothing).await),
        }
    }

    fn write(&mut self, device: &mut Device) {
        let seen = device.seen();
        let at = self.below(seen.len() + 2);
        let text = format!("text {} of run {}", self.written.len(), self.seed);
        self.written.insert(text.clone());
        let (draft, before) = match seen.into_iter().nth(at) {
            Some((draft, before)) => (draft, Some(before)),
            None => (uuid(), None),
        };
        self.over.extend(before.clone());
        self.log.push(format!("{} writes {draft} {text:?} over {before:?}", device.sender.device_name));
        device.write(&draft, text, before.as_deref());
    }

    fn delete(&mut self, device: &mut Device) {
        let seen = device.seen();
        if seen.is_empty() {
            return;
        }
        let at = self.below(seen.len());
        let (draft, text) = seen.into_iter().nth(at).unwrap();
        self.log.push(format!("{} deletes {draft} {text:?}", device.sender.device_name));
        self.over.insert(text);
        device.delete(&draft);
    }

    /// Sends a call, unless the call or its answer is lost. Returns the number of operations left to send.
    async fn exchange(&mut self, sessions: &Sessions, device: &mut Device, loss: Loss) -> usize {
        let batch = device.begin();
        let sent: Vec<_> = batch.iter().map(|entry| (&entry.draft, &entry.text, entry.base)).collect();
        self.log.push(format!("{} sends {sent:?}, lost: {loss:?}", device.sender.device_name));
        if loss == Loss::Request {
            return device.outbox.len();
        }
        let applied = device.send(sessions, &batch).await;
        for (entry, result) in batch.iter().zip(&applied.results) {
            self.log.push(format!("    {:?} {:?} {:?}", result.status, result.first, result.draft));
            self.judge(entry, result);
        }
        if loss == Loss::Nothing {
            device.take(&batch, applied);
        }
        device.outbox.len()
    }

    fn judge(&mut self, entry: &Entry, result: &OperationResult) {
        let id = entry.sent.as_ref().unwrap()["id"].as_str().unwrap().to_owned();
        let first = result.first.unwrap_or(result.status);
        // The deleted draft was forgotten.
        if entry.text.is_none() && result.problem.as_ref().is_some_and(|problem| problem.slug() == "not-found") {
            return;
        }
        self.conflicts += usize::from(result.status == Status::Conflict);
        match self.answered.insert(id, first) {
            None => assert!(result.first.is_none(), "run {}: {result:?}", self.seed),
            Some(before) => {
                assert_eq!((result.status, first), (Status::Duplicate, before), "run {}: {result:?}", self.seed);
            }
        }
        assert_ne!(first, Status::Rejected, "run {}: {entry:?} {result:?}", self.seed);
    }

    /// Brings all devices online and compares them.
    async fn settle(&mut self, sessions: &Sessions, devices: &mut [Device]) {
        for device in devices.iter_mut() {
            while self.exchange(sessions, device, Loss::Nothing).await > 0 {}
        }
        for device in devices.iter_mut() {
            self.exchange(sessions, device, Loss::Nothing).await;
        }
        let account_id = devices[0].sender.who.account_id.clone();
        let list =
            async move |conn: &mut Conn<'_>| portion::list(conn, &account_id, None, portion::MOST_IN_A_PORTION).await;
        let Listed { drafts: stored, revision, .. } = sessions.db.read(list).await.unwrap();
        for device in devices.iter() {
            let copies: BTreeSet<_> =
                device.copies.values().map(|draft| (&draft.id, &draft.text, draft.version)).collect();
            let stored: BTreeSet<_> = stored.iter().map(|draft| (&draft.id, &draft.text, draft.version)).collect();
            assert_eq!(copies, stored, "run {}", self.seed);
            assert_eq!(device.known.as_ref(), Some(&revision), "run {}", self.seed);
        }
        let mut texts: Vec<&str> = stored.iter().map(|draft| draft.text.as_str()).collect();
        texts.sort_unstable();
        assert!(
            texts.windows(2).all(|two| two[0] != two[1]),
            "run {}: an operation had two effects: {texts:?}",
            self.seed
        );
        for text in self.written.difference(&self.over) {
            assert!(texts.contains(&text.as_str()), "run {}: lost {text:?} of {texts:?}\n{:#?}", self.seed, self.log);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    Request,
    Answer,
}

impl Device {
    fn new(node: &Node, session: &SessionKey, name: &str) -> Self {
        let who = Who { account_id: node.account_id.clone(), session_id: session.id().to_owned(), device_id: None };
        let acting = Acting::new(who.clone(), session.clone());
        let sender = Sender { who, acting, device_name: name.to_owned(), ip: None, is_confirmed: true, room: 8 << 20 };
        Self { sender, known: None, copies: BTreeMap::new(), outbox: Vec::new() }
    }

    /// The drafts that the device shows, with their texts; sorted by text, because ids are random.
    fn seen(&self) -> Vec<(String, String)> {
        let mut seen: Vec<(String, String)> = self.by_draft().into_iter().collect();
        seen.sort_by(|one, other| one.1.cmp(&other.1));
        seen
    }

    fn by_draft(&self) -> BTreeMap<String, String> {
        let mut seen: BTreeMap<String, String> =
            self.copies.iter().map(|(id, draft)| (id.clone(), draft.text.clone())).collect();
        for entry in &self.outbox {
            match &entry.text {
                Some(text) => drop(seen.insert(entry.draft.clone(), text.clone())),
                None => drop(seen.remove(&entry.draft)),
            }
        }
        seen
    }

    fn write(&mut self, draft: &str, text: String, before: Option<&str>) {
        let last = self.outbox.iter_mut().rev().find(|entry| entry.draft == draft);
        let base = match last {
            Some(waiting) if waiting.sent.is_none() && waiting.text.is_some() => {
                waiting.text = Some(text);
                return;
            }
            Some(_) => None,
            None => {
                let copy = self.copies.get(draft);
                assert_eq!(copy.map(|copy| copy.text.as_str()), before);
                Some(copy.map_or(0, |copy| copy.version))
            }
        };
        self.outbox.push(Entry { draft: draft.to_owned(), text: Some(text), base, sent: None });
    }

    fn delete(&mut self, draft: &str) {
        let waiting = self.outbox.iter().find(|entry| entry.draft == draft && entry.sent.is_none());
        // A waiting text builds on the version that was seen, even if another version has arrived since.
        let seen = waiting.and_then(|waiting| waiting.base).or_else(|| Some(self.copies.get(draft)?.version));
        self.outbox.retain(|entry| entry.draft != draft || entry.sent.is_some());
        let is_sent = self.outbox.iter().any(|entry| entry.draft == draft);
        let base = if is_sent { None } else { seen.filter(|base| *base > 0) };
        if is_sent || base.is_some() {
            self.outbox.push(Entry { draft: draft.to_owned(), text: None, base, sent: None });
        }
    }

    /// The first operation of each draft, which does not change from now on.
    fn begin(&mut self) -> Vec<Entry> {
        let mut drafts = BTreeSet::new();
        let mut batch = Vec::new();
        for entry in &mut self.outbox {
            if !drafts.insert(entry.draft.clone()) {
                continue;
            }
            let base = entry.base.expect("the first of a draft knows its base");
            entry.sent.get_or_insert_with(|| match &entry.text {
                Some(text) => put(&entry.draft, text, base),
                None => delete(&entry.draft, base),
            });
            batch.push(entry.clone());
        }
        batch
    }

    async fn send(&self, sessions: &Sessions, batch: &[Entry]) -> Applied {
        let raw: Vec<_> = batch.iter().map(|entry| to_raw_value(&entry.sent).unwrap()).collect();
        let known = self.known.clone().map(|revision| ClientRevision { revision, is_sealed: true });
        let sent = || raw.iter().map(|raw| Sent::read(raw)).collect();
        let facts = Facts::default();
        let applied = apply::apply(&sessions.db, &self.sender, sent, known.as_ref(), &facts);
        applied.await.unwrap().expect("a live session")
    }

    fn take(&mut self, batch: &[Entry], applied: Applied) {
        for (entry, result) in batch.iter().zip(applied.results) {
            self.outbox.retain(|one| one.sent != entry.sent || one.sent.is_none());
            if result.status == Status::Rejected {
                self.copies.remove(&entry.draft);
            }
            if let Some(draft) = &result.draft {
                self.copies.insert(draft.id.clone(), draft.clone());
            }
            let next = self.outbox.iter_mut().find(|one| one.draft == entry.draft && one.base.is_none());
            if let Some(next) = next {
                next.base = Some(result.draft.as_ref().map_or(entry.base.unwrap(), |draft| draft.version));
                if let Some(draft) = result.draft {
                    next.draft = draft.id;
                }
            }
        }
        if applied.changes.reset {
            self.copies.clear();
        }
        for draft in applied.changes.drafts {
            if draft.lives() {
                self.copies.insert(draft.id.clone(), draft);
            } else {
                self.copies.remove(&draft.id);
            }
        }
        self.known = Some(applied.revision);
    }
}
