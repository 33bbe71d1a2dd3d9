//! The apps in memory, so that the gate needs no query to know one. There are few of them, so all are read at once.
//!
//! Invariant: what is remembered was read after the last announced change. Whoever decides by it uses it only while
//! [`Coherence::may_answer`]. Otherwise the database is asked for the one app.

use std::collections::HashMap;
use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Mutex;

use super::{
    registered::App,
    statements::{self, Key},
};
use crate::{
    base::{
        coherence::{Change, Coherence},
        db::{Conn, Db},
        error::Result,
        secret::Secret,
    },
    records::{account::Account, news::News},
};

/// The apps of this instance. Cheap to clone; all clones share the memory.
#[derive(Clone)]
pub struct Apps(Arc<Shared>);

struct Shared {
    db: Db,
    coherence: Coherence,
    /// Incremented by each change.
    changes: AtomicU64,
    /// The apps, and the count of changes from before they were read.
    kept: RwLock<Option<(u64, Arc<Registry>)>>,
    /// Held by the request that reads the apps, so that after a change they are read once.
    reading: Mutex<()>,
}

/// All apps at one time.
#[derive(Debug, Default)]
pub struct Registry {
    by_name: Vec<Arc<App>>,
    by_token: HashMap<Vec<u8>, Arc<App>>,
}

impl Apps {
    pub fn new(db: &Db) -> Self {
        let coherence = db.coherence().clone();
        let shared = Shared {
            db: db.clone(),
            coherence,
            changes: AtomicU64::new(0),
            kept: RwLock::new(None),
            reading: Mutex::new(()),
        };
        let apps = Self(Arc::new(shared));
        let hearing = Arc::downgrade(&apps.0);
        db.coherence().on_change(move |change| {
            if let Some(shared) = hearing.upgrade()
                && concerns_apps(change)
            {
                shared.changes.fetch_add(1, Ordering::AcqRel);
            }
        });
        apps
    }

    /// The apps as they are now.
    pub async fn all(&self) -> Result<Arc<Registry>> {
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let _reading = self.0.reading.lock().await;
        // Another request may have read them meanwhile.
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let changes = self.0.changes.load(Ordering::Acquire);
        let apps = self.0.db.read(async |conn: &mut Conn<'_>| statements::all(conn).await).await?;
        let registry = Arc::new(Registry::new(apps));
        *self.0.kept.write().unwrap_or_else(PoisonError::into_inner) = Some((changes, Arc::clone(&registry)));
        Ok(registry)
    }

    /// The app that this gate token names.
    pub async fn of_token(&self, token: &Secret) -> Result<Option<Arc<App>>> {
        self.find(Key::Token(token.hash())).await
    }

    pub async fn by_id(&self, id: &str) -> Result<Option<Arc<App>>> {
        self.find(Key::Id(id.to_owned())).await
    }

    pub async fn at_origin(&self, origin: &str) -> Result<Option<Arc<App>>> {
        self.find(Key::Origin(origin.to_owned())).await
    }

    async fn find(&self, key: Key) -> Result<Option<Arc<App>>> {
        if self.0.coherence.may_answer() {
            return Ok(self.all().await?.find(&key).cloned());
        }
        // The database is asked each time, so only for this app.
        let app = self.0.db.read(async move |conn: &mut Conn<'_>| statements::find(conn, &key).await).await?;
        Ok(app.map(Arc::new))
    }

    /// The apps as they were when they were last read. Only for names on pages.
    pub fn last_known(&self) -> Option<Arc<Registry>> {
        let kept = self.0.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().map(|(_, registry)| Arc::clone(registry))
    }

    /// The apps for a list on a page. It may be late if an announcement was missed, which harms nobody: opening an app
    /// asks for the apps [as they are now](Self::all). So the page needs no query, even without a lease.
    pub async fn listed(&self) -> Result<Arc<Registry>> {
        match self.unchanged() {
            Some(kept) => Ok(kept),
            None => self.all().await,
        }
    }

    fn kept(&self) -> Option<Arc<Registry>> {
        if self.0.coherence.may_answer() { self.unchanged() } else { None }
    }

    /// The apps, unless a change was announced since they were read.
    fn unchanged(&self) -> Option<Arc<Registry>> {
        let kept = self.0.kept.read().unwrap_or_else(PoisonError::into_inner);
        let (changes, registry) = kept.as_ref()?;
        (*changes == self.0.changes.load(Ordering::Acquire)).then(|| Arc::clone(registry))
    }
}

fn concerns_apps(change: Change<'_>) -> bool {
    match change {
        Change::Announced(text) => matches!(News::heard(text), News::Apps | News::Many),
        Change::Everything => true,
    }
}

impl Registry {
    fn new(apps: Vec<App>) -> Self {
        let by_name: Vec<Arc<App>> = apps.into_iter().map(Arc::new).collect();
        let by_token = by_name.iter().map(|app| (app.token_hash.clone(), Arc::clone(app))).collect();
        Self { by_name, by_token }
    }

    fn find(&self, key: &Key) -> Option<&Arc<App>> {
        match key {
            Key::Token(hash) => self.by_token.get(hash),
            Key::Id(id) => self.by_name.iter().find(|app| app.id == *id),
            Key::Origin(origin) => self.by_name.iter().find(|app| app.origin == *origin),
        }
    }

    /// The app that this gate token names.
    pub fn of_token(&self, token: &Secret) -> Option<&Arc<App>> {
        self.find(&Key::Token(token.hash()))
    }

    pub fn by_id(&self, id: &str) -> Option<&Arc<App>> {
        self.by_name.iter().find(|app| app.id == id)
    }

    /// The apps that this account may open, by name.
    pub fn open_to<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = &'a Arc<App>> {
        self.by_name.iter().filter(|app| app.is_enabled() && app.allows(account))
    }

    /// All apps by name.
    pub fn by_name(&self) -> impl Iterator<Item = &Arc<App>> {
        self.by_name.iter()
    }
}
