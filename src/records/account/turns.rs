//! Work on the same thing is done one after the other on this node, such as two logins of the same form: the button was
//! pressed twice. Called by the login rule.
//!
//! Invariant: nobody waits for longer than `PATIENCE`, and whoever waits holds no connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// How long somebody waits for the one before. Who had to wait for longer goes on without a turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who waits for whom. Cheap to clone; all clones share the turns.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<ByName>>);

type ByName = HashMap<Vec<u8>, Weak<AsyncMutex<()>>>;

/// It is somebody's turn until this is dropped.
pub type Turn = OwnedMutexGuard<()>;

impl Turns {
    /// Waits until nobody else has the turn of this name; `None` after too long a wait.
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
    async fn of_one_name_one_has_the_turn_and_others_wait_for_nobody() {
        let turns = Turns::default();
        let first = turns.wait(b"one").await.unwrap();
        let mut second = std::pin::pin!(turns.wait(b"one"));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(turns.wait(b"other").now_or_never().flatten().is_some());
        drop(first);
        assert!(second.await.is_some());
        let _last = turns.wait(b"third").await;
        assert_eq!(turns.0.lock().unwrap().len(), 1, "nothing is kept of those that are done");
    }
}
