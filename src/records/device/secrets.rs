//! Makes the secrets by which a browser is known again. Each is derived, so that an answer that was lost can be given
//! again.
//!
//! Invariant: nothing that is stored is enough to make a secret; it takes the key file and what the browser holds too.

use crate::base::{error::Result, keys::DerivationKeys, secret::Secret};

/// Characters of a device's secret.
const LENGTH: usize = 22;

/// Makes the secrets of devices. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DeviceSecrets(DerivationKeys);

impl DeviceSecrets {
    pub fn new(keys: DerivationKeys) -> Self {
        Self(keys)
    }

    /// The secret that goes with the session key of a sign-in: the same for the same key.
    pub fn of_key(&self, session_key: &str) -> Result<Secret> {
        Ok(cut(&self.0.derive(&goes_with(session_key))?))
    }

    /// The same, if it is the one with this hash.
    pub fn of_key_again(&self, session_key: &str, hash: &[u8]) -> Option<Secret> {
        let subject = goes_with(session_key);
        self.0.candidates(&subject).map(|secret| cut(&secret)).find(|secret| secret.matches(hash))
    }

    /// The secret that a device's browser keeps after one with which it has signed in: the same for the same secret, so
    /// that two sign-ins at once give the browser one.
    pub fn next(&self, device_id: &str, brought: &Secret) -> Result<Secret> {
        Ok(cut(&self.0.derive(&follows(device_id, brought))?))
    }

    /// The same, if it is the one with this hash.
    pub fn next_again(&self, device_id: &str, brought: &Secret, hash: &[u8]) -> Option<Secret> {
        let subject = follows(device_id, brought);
        self.0.candidates(&subject).map(|secret| cut(&secret)).find(|secret| secret.matches(hash))
    }
}

fn goes_with(session_key: &str) -> String {
    format!("device:{session_key}")
}

fn follows(device_id: &str, brought: &Secret) -> String {
    format!("device after:{device_id}:{}", brought.expose())
}

fn cut(secret: &Secret) -> Secret {
    Secret::presented(secret.expose().get(..LENGTH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

    use super::*;
    use crate::base::{keys::Keys, secret};

    /// The maker of a key file with these lines.
    fn maker(lines: &[u8]) -> DeviceSecrets {
        let folder = std::env::temp_dir().join(secret::random_name("sessile-secrets-").unwrap());
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("session.key");
        let text: Vec<String> = lines.iter().map(|n| BASE64_STANDARD_NO_PAD.encode([*n; 64])).collect();
        std::fs::write(&file, text.join("\n")).unwrap();
        let maker = DeviceSecrets::new(Keys::read(&file).unwrap().unwrap().derivation());
        std::fs::remove_dir_all(folder).unwrap();
        maker
    }

    #[test]
    fn what_follows_a_device_secret_is_the_same_each_time_and_another_for_each_device() {
        let (one, brought) = (maker(&[1]), Secret::random_short().unwrap());
        let next = one.next("dev_a", &brought).unwrap();
        assert_eq!(one.next("dev_a", &brought).unwrap(), next);
        assert!(next != brought && one.next("dev_b", &brought).unwrap() != next);
        assert!(one.next("dev_a", &next).unwrap() != next);
        assert_eq!(maker(&[2, 1]).next_again("dev_a", &brought, &next.hash()), Some(next.clone()));
        assert!(secret::is_base64url(next.expose(), LENGTH));
    }
}
