//! Checks every password that a person types to prove their identity, and counts the attempts. Called by
//! [`sign_in`](super::sign_in), [`confirm`](super::confirm) and [`password`](super::password).
//!
//! A check has two halves. [`Prover::check`] counts the attempt in its own transaction, then hashes. The action
//! [settles](Checked::settle) the attempt in the transaction that acts on the result, so that the result and the count
//! cannot disagree. Run both halves within [`run_to_completion`], so that a client cannot get a free attempt by
//! disconnecting.
//!
//! Locks of the first half: the counts of the attempt, in the order of their subjects. Locks of the second half: the
//! account's row, then the counts.
//!
//! Invariant: an attempt is counted before its password is hashed.

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use tokio::sync::Semaphore;

use crate::records::account::{
    Admission, Credentials, EmailAddress, admit, find_credentials,
    hasher::{ChosenPassword, Hasher, Place, Source},
    rehash,
    turns::Turns,
};
use crate::{
    base::{
        db::{Conn, Db, Instant},
        error::{Error, Result},
        request_log,
        secret::Secret,
    },
    records::{
        audit::{self, Event, Kind},
        device::{self, Browser},
        throttle::{
            Network, Subject,
            count::{self, Begun, Try},
        },
    },
};

/// A password, and the account that it is claimed to belong to.
pub struct Proof {
    /// The claimed account.
    pub claim: Claim,
    pub password: String,
    /// Called once if the password is right, before anything is committed. It charges the caller's own limit on right
    /// passwords.
    pub on_right: Box<dyn FnOnce()>,
}

/// A claimed account, and the browser and network that the claim comes from.
#[derive(Debug, Clone)]
pub struct Claim {
    email_key: String,
    device_secrets: Vec<Secret>,
    /// The device of the session that makes the claim.
    device_id: Option<String>,
    ip: Option<String>,
    network: Network,
}

impl Claim {
    /// Claims the account with this e-mail address, for a browser with these device secrets. The attempt is counted for
    /// `network`.
    pub fn new(email: &EmailAddress, device_secrets: Vec<Secret>, ip: Option<String>, network: Network) -> Self {
        Self { email_key: email.key().to_owned(), device_secrets, device_id: None, ip, network }
    }

    pub fn email_key(&self) -> &str {
        &self.email_key
    }

    /// The client's IP address.
    pub fn ip(&self) -> Option<&str> {
        self.ip.as_deref()
    }

    /// Makes the claim in a session on this device. The device then needs no secret to be recognised.
    #[must_use]
    pub fn on_device(mut self, id: Option<String>) -> Self {
        self.device_id = id;
        self
    }
}

/// Checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Prover {
    pub db: Db,
    /// The hashing threads.
    pub hasher: Hasher,
    /// Requests that wait for another login of the same form.
    pub turns: Turns,
    /// Permits for attempts that wait for the outcome of other attempts.
    waiting_permits: Arc<Semaphore>,
}

/// A checked password. Its attempt counts as wrong until this is [settled](Self::settle).
pub struct Checked {
    claim: Claim,
    found: Option<Credentials>,
    source: Source,
    right: bool,
    new_hash: Option<String>,
    counted: Try,
}

/// The data read for a claim before its password is checked.
struct Lookup {
    found: Option<Credentials>,
    /// The subjects that the attempt is counted for.
    subjects: Vec<Subject>,
    source: Source,
    wait: Option<Duration>,
}

/// An attempt whose password may be hashed.
struct Entered {
    place: Place,
    source: Source,
    found: Option<Credentials>,
    counted: Try,
}

/// The result of an attempt to start hashing.
enum Entry {
    /// The password may be hashed.
    In(Box<Entered>),
    /// The limit is reached only if attempts still in progress fail. Wait for them. Contains the time to wait if they
    /// do fail.
    Busy(Duration),
}

/// How long an attempt waits for the outcome of others. Most outcomes are known by then. The wait is no longer than the
/// delay after the first penalised failure, so that no request waits out that delay.
const LONGEST_WAIT: Duration = Duration::from_millis(900);
/// The first and the longest pause between two checks. Each pause is twice the previous one.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];
/// Attempts that may wait at once on this node. Further attempts are refused with a time to retry.
const MOST_WAITING: usize = 64;

impl Prover {
    pub fn new(db: Db, hasher: Hasher) -> Self {
        Self { db, hasher, turns: Turns::default(), waiting_permits: Arc::new(Semaphore::new(MOST_WAITING)) }
    }

    /// Counts the attempt and checks the password. The cheap steps that may refuse the attempt come before the
    /// expensive hash: a read, a place in the queue, and the count.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] after too many wrong passwords; this password is then not checked. If the database is
    /// unavailable, or too many passwords wait to be checked, nothing is counted.
    pub async fn check(&self, proof: Proof) -> Result<Checked> {
        let Proof { claim, password, on_right } = proof;
        let Entered { place, source, found, counted } = *self.enter(&claim).await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let may_sign_in = found.as_ref().is_some_and(|found| found.disabled_at.is_none());
        let verified = self.hasher.verify(place, password, hash, may_sign_in).await?;
        // A disabled account must not reveal whether the password was right.
        let right = verified.right && may_sign_in;
        if right {
            on_right();
        }
        Ok(Checked { claim, found, source, right, new_hash: verified.new_hash, counted })
    }

    /// Counts the attempt and takes a place in the hashing queue. If only attempts in progress stand against this one,
    /// it waits briefly, so that a right password is not refused because of another attempt. It holds neither a
    /// connection nor a place in the queue while it waits.
    async fn enter(&self, claim: &Claim) -> Result<Box<Entered>> {
        let (began, [mut pause, longest]) = (Stopwatch::now(), PAUSES);
        let mut waits = None;
        loop {
            let wait = match self.try_to_enter(claim).await? {
                Entry::In(entered) => return Ok(entered),
                Entry::Busy(wait) => wait,
            };
            if waits.is_none() {
                waits = self.waiting_permits.try_acquire().ok();
            }
            if waits.is_none() || began.elapsed() + pause > LONGEST_WAIT {
                return Err(Error::TooManyAttempts(wait));
            }
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    async fn try_to_enter(&self, claim: &Claim) -> Result<Entry> {
        let asked = claim.clone();
        let known = self.db.read(async move |conn: &mut Conn<'_>| look_up(conn, &asked).await).await?;
        if let Some(wait) = known.wait {
            return Err(Error::TooManyAttempts(wait));
        }
        let source = known.source.clone();
        let place = self.place(&source)?;
        match self.begin(known, claim).await? {
            (found, Begun::Yes(counted)) => Ok(Entry::In(Box::new(Entered { place, source, found, counted }))),
            (_, Begun::No { wait, is_busy: true, .. }) => Ok(Entry::Busy(wait)),
            (_, Begun::No { wait, .. }) => Err(Error::TooManyAttempts(wait)),
        }
    }

    /// Hashes a new password for a person whose current password was right.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a weak password, with a message to show in the form; [`Error::Unavailable`] when too many
    /// passwords wait to be hashed.
    pub async fn replace(&self, checked: &Checked, new: String, about: Vec<String>) -> Result<ChosenPassword> {
        let place = self.place(&checked.source)?;
        let has_second_factor = checked.found.as_ref().is_some_and(|found| found.account.has_second_factor());
        self.hasher.choose(place, new, about, has_second_factor).await
    }

    /// Takes a place in the hasher's queue. Counts a refusal in the metrics.
    pub(super) fn place(&self, source: &Source) -> Result<Place> {
        self.hasher.place(source).inspect_err(|_| self.db.metrics().hash_refused())
    }

    /// Counts the attempt. Returns the account, if there is one, and the result of the count.
    async fn begin(&self, known: Lookup, claim: &Claim) -> Result<(Option<Credentials>, Begun)> {
        let claim = claim.clone();
        self.db
            .write(async move |conn: &mut Conn<'_>| {
                let begun = count::begin(conn, &known.subjects).await?;
                if let Begun::No { is_news: true, .. } = begun {
                    record(conn, Kind::LoginThrottled, known.found.as_ref(), &claim).await?;
                }
                Ok((known.found, begun))
            })
            .await
    }
}

impl Checked {
    /// Whether the password was right when it was checked. The password may have changed since, so
    /// [`settle`](Self::settle) checks again.
    pub fn is_right(&self) -> bool {
        self.right
    }

    /// Where the password came from.
    pub(super) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// When the account's password was set. `None` if the password was not right.
    pub(super) fn password_changed_at(&self) -> Option<Instant> {
        self.found.as_ref().filter(|_| self.right).map(|found| found.password_changed_at)
    }

    /// The account that the password belongs to. Call this only after [`settle`](Self::settle) returned `true`.
    ///
    /// # Errors
    /// An internal error if the password was not right, which is a bug of the caller.
    pub fn into_account(self) -> Result<crate::records::account::Account> {
        let found = self.found.filter(|_| self.right);
        found.map(|found| found.account).ok_or_else(|| Error::bug("into_account called without a right password"))
    }

    /// Settles the attempt. Returns whether the password was right, is still the account's password, and the account
    /// may sign in. If so, the attempt is given back and the account's row is locked for this transaction. If not, the
    /// attempt counts and is recorded. If the transaction fails, the attempt counts for a while.
    pub async fn settle(&self, conn: &mut Conn<'_>) -> Result<bool> {
        // After a wrong password, query a row that does not exist. A disabled account must answer a right and a wrong
        // password alike.
        let right = self.found.as_ref().filter(|_| self.right);
        let (id, since) =
            right.map_or(("", Instant::from_micros(0)), |found| (&found.account.id, found.password_changed_at));
        let admitted = admit(conn, id, since).await?;
        if let Some(found) = right.filter(|_| admitted != Admission::No) {
            if admitted == Admission::Kept {
                let kept = Event::of(Kind::AccountKept, &found.account.id).ip(self.claim.ip.as_deref());
                audit::record(conn, &[kept]).await?;
            }
            if let Some(new) = &self.new_hash {
                rehash(conn, &found.account.id, &found.password_hash, new).await?;
            }
            count::give_back(conn, &self.counted).await?;
            return Ok(true);
        }
        count::keep(conn, &self.counted).await?;
        record(conn, Kind::LoginFailed, self.found.as_ref(), &self.claim).await?;
        Ok(false)
    }
}

/// Runs `work` to completion even if the waiting request is dropped.
pub async fn run_to_completion<T: 'static>(work: impl Future<Output = Result<T>> + 'static) -> Result<T> {
    tokio::task::spawn_local(request_log::of_current(work)).await.map_err(Error::bug)?
}

async fn look_up(conn: &mut Conn<'_>, claim: &Claim) -> Result<Lookup> {
    let found = find_credentials(conn, &claim.email_key).await?;
    let (subjects, source) = subjects_of(conn, claim, id_or_nobody(found.as_ref())).await?;
    let wait = count::known_wait(conn, &subjects).await?;
    Ok(Lookup { found, subjects, source, wait })
}

/// The subjects that a try of this claim counts for, and whose place in the queue it takes. `id` is the account's.
pub(super) async fn subjects_of(conn: &mut Conn<'_>, claim: &Claim, id: &str) -> Result<(Vec<Subject>, Source)> {
    let browser = match &claim.device_id {
        Some(device) => device::browser_with_id(conn, id, device).await?,
        None => None,
    };
    let browser = match browser {
        None => device::browser(conn, id, &claim.device_secrets).await?,
        known => known,
    };
    let address = Subject::address(&claim.network);
    let own = browser.map(|browser| match browser {
        Browser { proved: true, id, .. } => Subject::device(&id),
        Browser { acknowledged: true, id, .. } => Subject::former_device(&id),
        Browser { .. } => Subject::former_devices(id),
    });
    let source = Source::Client(own.as_ref().unwrap_or(&address).clone());
    let subjects = own.map_or_else(|| vec![Subject::account(&claim.email_key), address], |own| vec![own]);
    Ok((subjects, source))
}

/// The account's id, or an id that matches no row. Unknown accounts then run as many statements as known ones, so the
/// number of statements does not reveal which accounts exist.
pub fn id_or_nobody(found: Option<&Credentials>) -> &str {
    found.map_or("", |found| &found.account.id)
}

async fn record(conn: &mut Conn<'_>, kind: Kind, found: Option<&Credentials>, claim: &Claim) -> Result<()> {
    record_of(conn, kind, id_or_nobody(found), claim).await
}

/// Records an event of somebody who is not signed in, with the device if it belongs to the event's account.
pub(super) async fn record_of(conn: &mut Conn<'_>, kind: Kind, id: &str, claim: &Claim) -> Result<()> {
    let device = match &claim.device_id {
        Some(device) => device::known::one(conn, id, device).await?,
        None => device::find(conn, id, &claim.device_secrets).await?,
    };
    let event = match id {
        "" => Event::of_nobody(kind),
        id => {
            let (device_id, name) = device.map(|device| (device.id, device.name)).unzip();
            Event::of(kind, id).by("visitor").device(device_id.as_deref(), name.as_deref())
        }
    };
    audit::record(conn, &[event.ip(claim.ip.as_deref())]).await
}
