//! Derives the secrets by which browsers are recognized. Called by the sign-in and by [`recognize`](super::recognize).
//! Secrets are derived, not random, so that the server can repeat a response that was lost.
//!
//! Invariant: the database is not enough to derive a secret. It also takes the key file and a secret from the browser.

use crate::base::{error::Result, keys::DerivationKeys, secret::Secret};

/// Length of a device secret in characters.
const LENGTH: usize = 22;

/// Derives device secrets. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeviceSecrets(DerivationKeys);

impl DeviceSecrets {
    pub fn new(keys: DerivationKeys) -> Self {
        Self(keys)
    }

    /// The device secret for the session key of a sign-in. The same key always gives the same secret.
    pub fn of_key(&self, session_key: &str) -> Result<Secret> {
        Ok(truncate(&self.0.derive(&of_key_subject(session_key))?))
    }

    /// The device secret for a session key, derived with any key of the key file. `None` if no secret has this hash.
    pub fn of_key_again(&self, session_key: &str, hash: &[u8]) -> Option<Secret> {
        let subject = of_key_subject(session_key);
        self.0.candidates(&subject).map(|secret| truncate(&secret)).find(|secret| secret.matches(hash))
    }

    /// The secret that follows the one with which a device's browser signed in. The same secret always has the same
    /// successor, so that two concurrent sign-ins give the browser the same secret.
    pub fn next(&self, device_id: &str, presented: &Secret) -> Result<Secret> {
        Ok(truncate(&self.0.derive(&next_subject(device_id, presented))?))
    }

    /// The next secret, derived with any key of the key file. `None` if no secret has this hash.
    pub fn next_again(&self, device_id: &str, presented: &Secret, hash: &[u8]) -> Option<Secret> {
        let subject = next_subject(device_id, presented);
        self.0.candidates(&subject).map(|secret| truncate(&secret)).find(|secret| secret.matches(hash))
    }
}

fn of_key_subject(session_key: &str) -> String {
    format!("device:{session_key}")
}

fn next_subject(device_id: &str, presented: &Secret) -> String {
    format!("device after:{device_id}:{}", presented.expose())
}

fn truncate(secret: &Secret) -> Secret {
    Secret::presented(secret.expose().get(..LENGTH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

    use super::*;
    use crate::base::{keys::Keys, secret};

    /// A [`DeviceSecrets`] with a key file of these lines.
    fn device_secrets(lines: &[u8]) -> DeviceSecrets {
        let folder = std::env::temp_dir().join(secret::random_name("sessile-secrets-").unwrap());
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("session.key");
        let text: Vec<String> = lines.iter().map(|n| BASE64_STANDARD_NO_PAD.encode([*n; 64])).collect();
        std::fs::write(&file, text.join("\n")).unwrap();
        let secrets = DeviceSecrets::new(Keys::read(&file).unwrap().unwrap().derivation());
        std::fs::remove_dir_all(folder).unwrap();
        secrets
    }

    #[test]
    fn the_next_secret_is_repeatable_and_differs_for_each_device() {
        let (one, presented) = (device_secrets(&[1]), Secret::random_short().unwrap());
        let next = one.next("dev_a", &presented).unwrap();
        assert_eq!(one.next("dev_a", &presented).unwrap(), next);
        assert!(next != presented && one.next("dev_b", &presented).unwrap() != next);
        assert!(one.next("dev_a", &next).unwrap() != next);
        assert_eq!(device_secrets(&[2, 1]).next_again("dev_a", &presented, &next.hash()), Some(next.clone()));
        assert!(secret::is_base64url(next.expose(), LENGTH));
    }
}
