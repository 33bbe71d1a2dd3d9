//! Checks every password that is typed to prove who somebody is, and counts the tries. Called by
//! [`sign_in`](super::sign_in), [`confirm`](super::confirm) and [`password`](super::password).
//!
//! A check has two halves. [`Prover::check`] counts the try in a transaction of its own, then hashes; the action
//! [settles](Checked::settle) the try in the transaction in which it acts on the result, so that result and count cannot
//! disagree. Both halves belong in [`run_to_completion`], so that nobody gets a free try by hanging up.
//!
//! Locks of the first half: the counts of the try, in the order of their subjects. Of the second half: the account's row,
//! then the counts.
//!
//! Invariant: no password is hashed that was not counted before.

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::records::account::{
    Credentials, EmailAddress, admit, find_credentials,
    hasher::{Hasher, Place, Source},
    rehash,
    turns::Turns,
};
use crate::{
    base::{
        db::{Conn, Db, Instant},
        error::{Error, Result},
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

/// A password, and whose it is said to be.
pub struct Proof {
    /// Who somebody says they are.
    pub claim: Claim,
    /// What they typed.
    pub password: String,
    /// Called once if the password is right, before anything is committed: the caller limits those too.
    pub on_right: Box<dyn FnOnce()>,
}

/// Who somebody says they are, and from where they say it.
#[derive(Debug, Clone)]
pub struct Claim {
    email_key: String,
    device_secrets: Vec<Secret>,
    /// The device of the session in which it is said.
    device_id: Option<String>,
    ip: Option<String>,
    network: Network,
}

impl Claim {
    /// To be the person with this e-mail address, in a browser that keeps these secrets, from this address, which the
    /// counts know by the name of its network.
    pub fn new(email: &EmailAddress, device_secrets: Vec<Secret>, ip: Option<String>, network: Network) -> Self {
        Self { email_key: email.key().to_owned(), device_secrets, device_id: None, ip, network }
    }

    /// The key of the e-mail address.
    pub fn email_key(&self) -> &str {
        &self.email_key
    }

    /// In a session on this device, which needs no secret to be recognised.
    #[must_use]
    pub fn on_device(mut self, id: Option<String>) -> Self {
        self.device_id = id;
        self
    }
}

/// Checks passwords. Cheap to clone.
#[derive(Clone)]
pub struct Prover {
    /// The database.
    pub db: Db,
    /// The threads that hash.
    pub hasher: Hasher,
    /// Who waits for another login of the same form.
    pub turns: Turns,
    /// Places for those that wait for the outcome of other tries.
    patient: Arc<Semaphore>,
}

/// A password that was looked at, counted as a wrong one until this is [settled](Self::settle).
pub struct Checked {
    claim: Claim,
    found: Option<Credentials>,
    source: Source,
    right: bool,
    new_hash: Option<String>,
    counted: Try,
}

/// What is known of a claim before its password is looked at.
struct Lookup {
    found: Option<Credentials>,
    /// What the try is counted for, and whose place in the queue it takes.
    subjects: Vec<Subject>,
    source: Source,
    wait: Option<Duration>,
}

/// A try whose password may be hashed.
struct Entered {
    place: Place,
    source: Source,
    found: Option<Credentials>,
    counted: Try,
}

/// Whether a password may be hashed.
enum Entry {
    /// It may.
    In(Box<Entered>),
    /// Others are under way, and only their outcome decides.
    Busy(Duration),
}

/// How long a try waits for the outcome of others, in which most are known. No longer than the wait after the first failure
/// that is not free, so that nobody waits through that.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long the first pause before a further look is, and the longest; each is twice the one before.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];
/// Tries that wait so at once, on this node. Any further one is told to come again.
const MOST_PATIENT: usize = 64;

impl Prover {
    /// With this database and these threads.
    pub fn new(db: Db, hasher: Hasher) -> Self {
        Self { db, hasher, turns: Turns::default(), patient: Arc::new(Semaphore::new(MOST_PATIENT)) }
    }

    /// Counts the try and looks at the password. What is cheap and may refuse comes first: a read, a place in the queue,
    /// the count, and only then the hash.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when too many wrong passwords came before: then this one was not looked at. When the
    /// database is away, or too many passwords wait to be checked: then nothing was counted.
    pub async fn check(&self, proof: Proof) -> Result<Checked> {
        let Proof { claim, password, on_right } = proof;
        let Entered { place, source, found, counted } = *self.enter(&claim).await?;
        let hash = found.as_ref().map(|found| found.password_hash.clone());
        let may_sign_in = found.as_ref().is_some_and(|found| found.disabled_at.is_none());
        let verified = self.hasher.verify(place, password, hash, may_sign_in).await?;
        // Nobody learns from an account that is closed whether its password was right.
        let right = verified.right && may_sign_in;
        if right {
            on_right();
        }
        Ok(Checked { claim, found, source, right, new_hash: verified.new_hash, counted })
    }

    /// Counts the try, and has a place in the queue for it. While only tries that are under way stand against it, it waits
    /// for a moment: a right password is not refused because of another one. It waits without a connection and without a
    /// place.
    async fn enter(&self, claim: &Claim) -> Result<Box<Entered>> {
        let (began, [mut pause, longest]) = (Stopwatch::now(), PAUSES);
        let mut waits = None;
        loop {
            let wait = match self.try_to_enter(claim).await? {
                Entry::In(entered) => return Ok(entered),
                Entry::Busy(wait) => wait,
            };
            if waits.is_none() {
                waits = self.patient.try_acquire().ok();
            }
            if waits.is_none() || began.elapsed() + pause > PATIENCE {
                return Err(Error::TooManyAttempts(wait));
            }
            tokio::time::sleep(pause).await;
            pause = longest.min(pause * 2);
        }
    }

    async fn try_to_enter(&self, claim: &Claim) -> Result<Entry> {
        let asked = claim.clone();
        let known = self.db.read(async move |conn: &mut Conn<'_>| look(conn, &asked).await).await?;
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

    /// The hash of a new password for somebody whose present one was right.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with it, in the words of a form; [`Error::Unavailable`] when too many wait.
    pub async fn replace(&self, checked: &Checked, new: String, about: Vec<String>) -> Result<String> {
        let place = self.place(&checked.source)?;
        self.hasher.choose(place, new, about).await
    }

    /// A place in the queue of the hasher; a refusal is counted.
    pub(super) fn place(&self, source: &Source) -> Result<Place> {
        self.hasher.place(source).inspect_err(|_| self.db.metrics().hash_refused())
    }

    /// The account, if there is one, and the counted try.
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
    /// Whether the password was right when it was looked at. Only [`settle`](Self::settle) tells whether it still is.
    pub fn is_right(&self) -> bool {
        self.right
    }

    /// Whose password it was, once it is [settled](Self::settle) as the right one.
    ///
    /// # Errors
    /// When it was not, which is a bug of the caller.
    pub fn into_account(self) -> Result<crate::records::account::Account> {
        let found = self.found.filter(|_| self.right);
        found.map(|found| found.account).ok_or_else(|| Error::bug("nobody proved to be this account"))
    }

    /// Whether the password was right and is still the account's, and the account may sign in. If so, the try is given
    /// back and the account's row is locked for this transaction; if not, the try counts and is recorded. If the
    /// transaction fails, the try counts for a while.
    pub async fn settle(&self, conn: &mut Conn<'_>) -> Result<bool> {
        // After a wrong password, ask for a row that does not exist: a disabled account must answer a right and a wrong
        // password alike.
        let right = self.found.as_ref().filter(|_| self.right);
        let (id, since) =
            right.map_or(("", Instant::from_micros(0)), |found| (&found.account.id, found.password_changed_at));
        let admitted = admit(conn, id, since).await?;
        if let Some(found) = right.filter(|_| admitted) {
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

/// Runs `work` to its end even if the request that waits for it is dropped.
pub async fn run_to_completion<T: 'static>(work: impl Future<Output = Result<T>> + 'static) -> Result<T> {
    tokio::task::spawn_local(work.in_current_span()).await.map_err(Error::bug)?
}

async fn look(conn: &mut Conn<'_>, claim: &Claim) -> Result<Lookup> {
    let found = find_credentials(conn, &claim.email_key).await?;
    let id = id_or_nobody(found.as_ref());
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
    let wait = count::known_wait(conn, &subjects).await?;
    Ok(Lookup { found, subjects, source, wait })
}

/// What statements on an account's rows ask for where there is no account: no row, but as many statements, so that their
/// number tells nobody who has an account here.
pub fn id_or_nobody(found: Option<&Credentials>) -> &str {
    found.map_or("", |found| &found.account.id)
}

/// Records an event of the account, if there is one, with the device if it is one of the account's.
async fn record(conn: &mut Conn<'_>, kind: Kind, found: Option<&Credentials>, claim: &Claim) -> Result<()> {
    let id = id_or_nobody(found);
    let device = match &claim.device_id {
        Some(device) => device::known::one(conn, id, device).await?,
        None => device::find(conn, id, &claim.device_secrets).await?,
    };
    let event = match found {
        None => Event::of_nobody(kind),
        Some(_) => {
            let (device_id, name) = device.map(|device| (device.id, device.name)).unzip();
            Event::of(kind, id).by("visitor").device(device_id.as_deref(), name.as_deref())
        }
    };
    audit::record(conn, &[event.ip(claim.ip.as_deref())]).await
}
