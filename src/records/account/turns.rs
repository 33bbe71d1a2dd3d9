//! Serializes work with the same name on this node, such as two submissions of one login form. Called by
//! [`sign_in`](crate::actions::sign_in).
//!
//! Invariant: no request waits longer than `PATIENCE`, or holds a database connection while it waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The longest wait for a turn. After that, the request proceeds without one.
const PATIENCE: Duration = Duration::from_secs(5);

/// One lock per name. Cheap to clone. All clones share the locks.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<ByName>>);

type ByName = HashMap<Vec<u8>, Weak<AsyncMutex<()>>>;

/// The lock of a name, released when dropped.
pub type Turn = OwnedMutexGuard<()>;

impl Turns {
    /// Waits for the turn of this name. `None` after `PATIENCE`.
    pub async fn wait(&self, name: &[u8]) -> Option<Turn> {
        let turn = self.of(name);
        tokio::time::timeout(PATIENCE, turn.lock_owned()).await.ok()
    }

    fn of(&self, name: &[u8]) -> Arc<AsyncMutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(name).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(AsyncMutex::new(()));
        turns.insert(name.to_vec(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn turns_of_one_name_wait_and_other_names_do_not() {
        let turns = Turns::default();
        let first = turns.wait(b"one").await.unwrap();
        let mut second = std::pin::pin!(turns.wait(b"one"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.wait(b"other").now_or_never().flatten().is_some());
        drop(first);
        assert!(second.await.is_some());
        let _last = turns.wait(b"third").await;
        assert_eq!(turns.0.lock().unwrap().len(), 1, "the locks of finished turns are dropped");
    }
}
