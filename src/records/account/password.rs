//! Password hashes: Argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet; RFC 9106), in
//! the PHC format. Called by the [`hasher`](super::hasher) on its threads.
//!
//! Invariant: a hash is verified with the parameters that it contains, and reported as outdated if they are weaker than
//! the current ones.

use argon2::{Algorithm, Argon2, Block, Params, Version, password_hash::phc::PasswordHash};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use subtle::ConstantTimeEq as _;

use crate::base::{
    error::{Error, Result},
    secret::random_bytes,
};

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Working memory for Argon2, reused for each hash. If each hash allocated and freed its 19 MiB, the allocator would
/// keep that memory once per thread anyway.
#[derive(Default)]
pub struct Memory(Vec<Block>);

impl Memory {
    fn blocks(&mut self, params: &Params) -> &mut [Block] {
        let needed = params.block_count();
        if self.0.len() < needed {
            self.0.resize(needed, Block::new());
        }
        &mut self.0[..needed]
    }
}

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Whether the password matches the hash.
    pub right: bool,
    /// Whether the hash was made with weaker parameters than the current ones.
    pub outdated: bool,
}

/// Hashes a password with a new random salt.
///
/// # Errors
/// If the operating system cannot supply random bytes.
pub fn hash(password: &str, memory: &mut Memory) -> Result<String> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| Error::bug(format!("no random bytes: {error}")))?;
    let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).map_err(broken)?;
    let mut out = [0; HASH_BYTES];
    let blocks = memory.blocks(&params);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(password.as_bytes(), &salt, &mut out, blocks)
        .map_err(broken)?;
    let (salt, out) = (BASE64_STANDARD_NO_PAD.encode(salt), BASE64_STANDARD_NO_PAD.encode(out));
    Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${out}"))
}

/// The hash of no password, for an account that has none yet. Verifying a password against it takes as long as against
/// any other, and fails: its output is random.
///
/// # Errors
/// If the operating system cannot supply random bytes.
pub fn of_nobody() -> Result<String> {
    let encode = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
    let (salt, out) = (encode(&random_bytes::<SALT_BYTES>()?), encode(&random_bytes::<HASH_BYTES>()?));
    Ok(format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${out}"))
}

/// Verifies a password against a hash, with a comparison in constant time.
///
/// # Errors
/// If `hash` is not a valid hash.
pub fn verify(password: &str, hash: &str, memory: &mut Memory) -> Result<Verified> {
    let parsed = PasswordHash::new(hash).map_err(broken)?;
    let (Some(salt), Some(known)) = (parsed.salt.as_ref(), parsed.hash.as_ref()) else {
        return Err(Error::bug("a stored password hash without a salt or an output"));
    };
    let algorithm = Algorithm::new(parsed.algorithm.as_str()).map_err(broken)?;
    let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).map_err(broken)?;
    let params = Params::try_from(&parsed).map_err(broken)?;
    let mut out = vec![0; known.as_bytes().len()];
    let blocks = memory.blocks(&params);
    Argon2::new(algorithm, version, params.clone())
        .hash_password_into_with_memory(password.as_bytes(), salt.as_ref(), &mut out, blocks)
        .map_err(broken)?;
    let right = out.ct_eq(known.as_bytes()).into();
    Ok(Verified { right, outdated: is_outdated(algorithm, version, &params) })
}

fn is_outdated(algorithm: Algorithm, version: Version, params: &Params) -> bool {
    algorithm != Algorithm::Argon2id
        || version != Version::V0x13
        || params.m_cost() < MEMORY_KIB
        || params.t_cost() < PASSES
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::bug(format!("invalid password hash: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only() {
        let mut memory = Memory::default();
        let one = hash("correct horse battery", &mut memory).unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_eq!(
            verify("correct horse battery", &one, &mut memory).unwrap(),
            Verified { right: true, outdated: false }
        );
        assert!(!verify("correct horse batterx", &one, &mut memory).unwrap().right);
        assert_ne!(hash("correct horse battery", &mut memory).unwrap(), one, "each hash has its own salt");
    }

    #[test]
    fn no_password_matches_the_hash_of_nobody() {
        let (mut memory, hash) = (Memory::default(), of_nobody().unwrap());
        for password in ["", "correct horse battery", &hash] {
            let verified = verify(password, &hash, &mut memory).unwrap();
            assert_eq!(verified, Verified { right: false, outdated: false });
        }
        assert_ne!(of_nobody().unwrap(), hash);
    }

    #[test]
    fn reused_memory_does_not_change_a_hash() {
        let one = hash("correct horse battery", &mut Memory::default()).unwrap();
        let mut used = Memory::default();
        hash("something else", &mut used).unwrap();
        assert!(verify("correct horse battery", &one, &mut used).unwrap().right);
    }

    #[test]
    fn a_hash_with_weaker_parameters_matches_and_is_outdated() {
        let params = Params::new(4096, 1, 1, Some(32)).unwrap();
        let (mut out, salt) = ([0; 32], b"sixteen bytes of");
        Argon2::new(Algorithm::Argon2i, Version::V0x13, params)
            .hash_password_into(b"correct horse battery", salt, &mut out)
            .unwrap();
        let encode = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
        let weaker = format!("$argon2i$v=19$m=4096,t=1,p=1${}${}", encode(salt), encode(&out));
        let mut memory = Memory::default();
        let verified = verify("correct horse battery", &weaker, &mut memory).unwrap();
        assert_eq!(verified, Verified { right: true, outdated: true });
        assert!(!verify("correct horse batterx", &weaker, &mut memory).unwrap().right);
    }

    #[test]
    fn an_invalid_hash_is_an_error() {
        for invalid in ["", "none", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", "$scrypt$ln=1$c29tZXNhbHQ$aGFzaA"] {
            assert!(verify("x", invalid, &mut Memory::default()).is_err(), "{invalid:?}");
        }
    }
}
