//! The working state of one sync call. It reads everything that the operations name at the beginning, and writes all
//! their effects at the end, regardless of their number. Used by `apply`.
//!
//! Invariant: while a batch exists, the account's row is locked and the session is live.

use std::collections::{BTreeMap, BTreeSet};

use super::sender::{LockedAccount, Sender};
use crate::{
    base::{
        db::{Conn, Instant},
        error::{Error, Result},
        text,
    },
    records::{
        audit::{self, Event, Kind},
        device::known::{self, Facts, Named},
        draft::{
            book::{Book, Outcome, Usage},
            operation::{Action, Operation, Sent},
            result::{First, FirstDraft, OperationResult, Status},
            statements::{self as rows, Remembered},
        },
        session::{EndReason, Scope, Who, ends, former, listing, statements},
    },
};

/// The working state of one sync call.
pub(super) struct Batch<'s> {
    sender: &'s Sender,
    pub(super) book: Book,
    /// Operations that were applied, in earlier calls or in this one.
    remembered: BTreeMap<String, Remembered>,
    /// Ids of the operations that were applied in this call.
    fresh: Vec<String>,
    /// Names of the devices that operations refer to.
    names: BTreeMap<String, String>,
    renamed: BTreeSet<String>,
    /// The sessions that operations refer to, and their devices.
    sessions: BTreeMap<String, Option<String>>,
    /// Current ids of the sessions that operations refer to by a former id.
    present_ids: BTreeMap<String, String>,
    ending: Vec<String>,
    events: Vec<Event>,
    changes: usize,
    pub(super) ended_itself: bool,
    now: Instant,
}

impl<'s> Batch<'s> {
    pub(super) async fn open(
        conn: &mut Conn<'_>,
        sender: &'s Sender,
        sent: &[Sent],
        locked: &LockedAccount,
    ) -> Result<Self> {
        let account_id = sender.who.account_id.as_str();
        let valid = || sent.iter().filter_map(|one| one.operation.as_ref().ok());
        let actions = || valid().map(|one| &one.action);
        let named: BTreeSet<&str> = actions().filter_map(Action::draft).collect();
        let usage = if named.is_empty() { Usage::default() } else { rows::usage(conn, account_id).await? };
        let drafts = rows::load(conn, account_id, &named).await?;
        let devices: BTreeSet<&str> = actions().filter_map(Action::device).filter(|id| text::is_id(id)).collect();
        let sessions: BTreeSet<&str> = actions().filter_map(Action::session).filter(|id| text::is_id(id)).collect();
        let present_ids = former::present_ids(conn, account_id, &sessions).await?;
        let sessions: BTreeSet<&str> =
            sessions.into_iter().map(|id| present_ids.get(id).map_or(id, String::as_str)).collect();
        let ids: BTreeSet<&str> = valid().map(|one| one.id.as_str()).collect();
        Ok(Self {
            sender,
            book: Book::new(drafts, locked.revision, locked.moment, sender.device_name.clone())
                .within(usage, sender.room),
            remembered: rows::remembered(conn, account_id, &ids).await?,
            fresh: Vec::new(),
            names: known::names(conn, account_id, &devices).await?,
            renamed: BTreeSet::new(),
            sessions: listing::devices_of(conn, account_id, &sessions).await?,
            present_ids,
            ending: Vec::new(),
            events: Vec::new(),
            changes: 0,
            ended_itself: false,
            now: locked.moment.now,
        })
    }

    /// Stores the facts that the client reported about itself and its device. Call this before the operations.
    pub(super) async fn note(&mut self, conn: &mut Conn<'_>, facts: &Facts) -> Result<()> {
        let Some(id) = self.sender.who.device_id.as_deref() else { return Ok(()) };
        let Some(Named { name, was }) = known::note_facts(conn, &self.sender.who.account_id, id, facts).await? else {
            return Ok(());
        };
        if let Some(was) = was {
            let event = self.event(Kind::DeviceRenamed).device(Some(id), Some(&name));
            self.events.push(event.detail(&format!("was {was}")));
        }
        if let Some(known) = self.names.get_mut(id) {
            known.clone_from(&name);
        }
        self.book.device_name = name;
        match facts.installed {
            Some(installed) => {
                let who = &self.sender.who;
                statements::note_installed(conn, &who.account_id, &who.session_id, installed).await
            }
            None => Ok(()),
        }
    }

    pub(super) fn carry_out(&mut self, sent: Sent) -> Result<OperationResult> {
        let operation = match sent.operation {
            Ok(operation) => operation,
            Err(error) => return Ok(OperationResult::rejected(sent.id, error)),
        };
        if let Some(before) = self.remembered.get(&operation.id) {
            return Ok(if operation.has_digest(&before.digest) {
                before.first.again(sent.id, &operation.action)
            } else {
                let words = "something else was saved under this id before: save once more to keep this".to_owned();
                OperationResult::rejected(sent.id, Error::Conflict(words))
            });
        }
        let before = self.book.revision;
        let outcome = match &operation.action {
            Action::Put { draft, text, base } => self.book.put(draft, text, *base)?,
            Action::Keep { draft, text, version } => self.book.keep(draft, text, *version)?,
            Action::Delete { draft, base } => self.book.delete(draft, *base),
            Action::Rename { device, name } => self.rename(device, name),
            Action::LogOut { session } => self.log_out(session),
        };
        self.changes += usize::from(self.book.revision > before);
        Ok(self.remember(sent.id, operation, outcome))
    }

    fn remember(&mut self, id: Option<String>, operation: Operation, outcome: Outcome) -> OperationResult {
        let (status, draft) = match outcome {
            Outcome::Rejected(error) => return OperationResult::rejected(id, error),
            Outcome::Applied(draft) => (Status::Applied, draft),
            Outcome::Conflict(draft) => (Status::Conflict, draft),
        };
        if status == Status::Conflict {
            let about = operation.action.draft().unwrap_or_default();
            self.events.push(self.event(Kind::SyncConflict).detail(about));
        }
        let first = First { status, draft: draft.as_ref().map(FirstDraft::from) };
        self.fresh.push(operation.id.clone());
        self.remembered.insert(operation.id, Remembered { digest: operation.digest, first });
        OperationResult { id, status, first: None, draft, problem: None }
    }

    fn rename(&mut self, id: &str, name: &str) -> Outcome {
        let Some(was) = self.names.insert(id.to_owned(), name.to_owned()) else {
            self.names.remove(id);
            return Outcome::Rejected(Error::NotFound);
        };
        if self.sender.who.device_id.as_deref() == Some(id) {
            name.clone_into(&mut self.book.device_name);
        }
        if was != name {
            self.renamed.insert(id.to_owned());
            let event = self.event(Kind::DeviceRenamed).device(Some(id), Some(name));
            self.events.push(event.detail(&format!("was {was}")));
        }
        Outcome::Applied(None)
    }

    /// A session of another device can be ended only with a recent confirmation, as on the devices page.
    fn log_out(&mut self, id: &str) -> Outcome {
        let id = self.present_ids.get(id).map_or(id, String::as_str);
        let Who { session_id, device_id, .. } = &self.sender.who;
        let Some(device) = self.sessions.get(id) else { return Outcome::Rejected(Error::NotFound) };
        let is_here = id == session_id || (device_id.is_some() && device == device_id);
        if !(is_here || self.sender.is_confirmed) {
            return Outcome::Rejected(Error::ConfirmationRequired);
        }
        self.ended_itself |= id == session_id;
        self.ending.push(id.to_owned());
        Outcome::Applied(None)
    }

    fn event(&self, kind: Kind) -> Event {
        let Sender { who, ip, .. } = self.sender;
        Event::of(kind, &who.account_id)
            .session(&who.session_id)
            .device(who.device_id.as_deref(), Some(&self.book.device_name))
            .ip(ip.as_deref())
    }

    /// Writes the effects of all operations. Returns the account's new revision.
    pub(super) async fn close(&mut self, conn: &mut Conn<'_>) -> Result<i64> {
        let account_id = self.sender.who.account_id.as_str();
        rows::write(conn, account_id, &self.book).await?;
        let fresh: Vec<_> = self.fresh.iter().filter_map(|id| Some((id, self.remembered.get(id)?))).collect();
        rows::remember(conn, account_id, &fresh, self.now).await?;
        for id in &self.renamed {
            known::set_name(conn, account_id, id, &self.names[id]).await?;
        }
        self.note_changes(conn).await?;
        if !self.events.is_empty() {
            audit::record(conn, &self.events).await?;
        }
        if !self.ending.is_empty() {
            let those = Scope::These { account: account_id.to_owned(), ids: self.ending.clone() };
            ends::end(conn, &those, EndReason::LoggedOut, account_id, self.sender.ip.as_deref()).await?;
        }
        Ok(self.book.revision)
    }

    /// Records that drafts changed. Pages save at each pause in typing, so mere edits are recorded only once in a
    /// while.
    async fn note_changes(&mut self, conn: &mut Conn<'_>) -> Result<()> {
        if self.changes == 0 {
            return Ok(());
        }
        let is_news = match &self.sender.who.device_id {
            Some(device) => {
                known::note_sync(conn, &self.sender.who.account_id, device, self.book.is_more_than_edited).await?
            }
            None => true,
        };
        if is_news {
            let words = if self.changes == 1 { "1 change".to_owned() } else { format!("{} changes", self.changes) };
            self.events.insert(0, self.event(Kind::SyncApplied).detail(&words));
        }
        Ok(())
    }
}
