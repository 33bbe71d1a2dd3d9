//! Counts the streams to apps' servers.
//!
//! Invariant: an app has at most [`MOST`] streams on this node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::base::error::{Error, Result};

const MOST: usize = 16;
/// `Retry-After` for an app that has too many streams.
const NEXT_TRY: Duration = Duration::from_secs(5);

/// The open streams by app. Cheap to clone; all clones share them.
#[derive(Debug, Clone, Default)]
pub struct Feeds(Arc<Mutex<HashMap<String, usize>>>);

/// An open stream. It is counted until this is dropped.
#[derive(Debug)]
pub struct Feed {
    feeds: Feeds,
    app_id: String,
}

impl Feeds {
    /// # Errors
    /// [`Error::TooFast`] if the app has too many streams.
    pub fn open(&self, app_id: &str) -> Result<Feed> {
        let mut feeds = self.lock();
        let many = feeds.entry(app_id.to_owned()).or_default();
        if *many >= MOST {
            return Err(Error::TooFast(NEXT_TRY));
        }
        *many += 1;
        Ok(Feed { feeds: self.clone(), app_id: app_id.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut feeds = self.feeds.lock();
        if let Some(many) = feeds.get_mut(&self.app_id) {
            *many -= 1;
            if *many == 0 {
                feeds.remove(&self.app_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_at_most_sixteen_streams() {
        let feeds = Feeds::default();
        let mut open: Vec<Feed> = (0..MOST).map(|_| feeds.open("app_1").unwrap()).collect();
        assert!(matches!(feeds.open("app_1"), Err(Error::TooFast(_))));
        assert!(feeds.open("app_2").is_ok());
        open.pop();
        open.push(feeds.open("app_1").unwrap());
        drop(open);
        assert!(feeds.lock().is_empty());
    }
}
