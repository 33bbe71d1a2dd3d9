//! The id of a request, which its answer, its log lines and its error page carry. Made by the outermost layer.
//!
//! Invariant: an id is not a secret, and two requests never have the same id.

use std::cell::RefCell;
use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::base::{
    error::{Error, Result},
    secret,
};

const PREFIX: &[u8] = b"req_";
/// Random bytes of an id.
const RANDOM: usize = 16;
/// 16 bytes in base64url without padding.
const LENGTH: usize = PREFIX.len() + 22;
/// Random bytes that a thread reads at once.
const SUPPLY: usize = 128 * RANDOM;

thread_local! {
    /// Random bytes for the next ids of this thread: a system call for each request would be expensive.
    static RANDOMNESS: RefCell<Supply> = const { RefCell::new(Supply { bytes: [0; SUPPLY], used: SUPPLY }) };
}

struct Supply {
    bytes: [u8; SUPPLY],
    used: usize,
}

/// `req_` and 22 random base64url characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; LENGTH]);

impl RequestId {
    /// A new id.
    ///
    /// # Errors
    /// When the operating system's random number generator fails.
    pub fn random() -> Result<Self> {
        let random = RANDOMNESS.with_borrow_mut(Supply::take)?;
        let mut id = [0; LENGTH];
        let (prefix, text) = id.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX);
        BASE64_URL_SAFE_NO_PAD.encode_slice(random, text).map_err(Error::bug)?;
        Ok(Self(id))
    }

    pub fn as_str(&self) -> &str {
        // Cannot fail: an id is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Supply {
    fn take(&mut self) -> Result<[u8; RANDOM]> {
        if self.used + RANDOM > SUPPLY {
            self.bytes = secret::random_bytes::<SUPPLY>()?;
            self.used = 0;
        }
        let mut taken = [0; RANDOM];
        taken.copy_from_slice(&self.bytes[self.used..self.used + RANDOM]);
        self.used += RANDOM;
        Ok(taken)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_of_all_threads_differ() {
        let ids = || (0..300).map(|_| RequestId::random().unwrap().as_str().to_owned()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(ids)).collect();
        let ids: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert!(ids.iter().all(|id| secret::is_base64url(id.strip_prefix("req_").unwrap(), 22)), "{ids:?}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1200);
    }
}
