//! The password of a new account: counted for its network before it is hashed. Called by the setup and the signup.
//!
//! [`Prover::choose`] counts, then hashes; the caller settles the count in the transaction that creates the account, or
//! finds that it cannot. Both belong in [`to_the_end`](crate::actions::password_proof::to_the_end).
//!
//! Invariant: no password is hashed that was not counted before.

use crate::actions::password_proof::Prover;
use crate::records::account::hasher::Source;
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::throttle::{
        Network, Subject,
        count::{self, Begun, Try},
    },
};

/// How somebody comes to create an account, and from which network.
#[derive(Debug, Clone)]
pub enum Door {
    /// By the form that is open to all. It tells whether an address has an account, so wrong passwords from the same
    /// network close it for a while.
    SignUp(Network),
    /// By the link that creates the owner. Whoever has it guesses nothing, so no stranger's wrong passwords may close it.
    SetupLink(Network),
}

impl Door {
    fn network(&self) -> &Network {
        match self {
            Self::SignUp(network) | Self::SetupLink(network) => network,
        }
    }

    fn subjects(&self) -> Vec<Subject> {
        let created = Subject::new_accounts(self.network());
        match self {
            Self::SignUp(network) => vec![Subject::address(network), created],
            Self::SetupLink(_) => vec![created],
        }
    }
}

/// A password that was hashed for a new account, counted until this is settled.
pub struct Chosen {
    /// Its hash.
    pub hash: String,
    counted: Try,
}

impl Prover {
    /// Counts a new account for its network and hashes its password, if it is hard to guess for who knows these words
    /// about its person.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with the password, in the words of a form, and
    /// [`Error::TooManyAttempts`] when too many came from this network: then nothing is counted. When the database is
    /// away or too many passwords wait to be hashed.
    pub async fn choose(&self, door: Door, password: String, about: Vec<String>) -> Result<Chosen> {
        let (subjects, source) = (door.subjects(), Source::Client(Subject::address(door.network())));
        let asked = subjects.clone();
        let known = self.db.read(async move |conn: &mut Conn<'_>| count::known_wait(conn, &asked).await).await?;
        if let Some(wait) = known {
            return Err(Error::TooManyAttempts(wait));
        }
        let place = self.place(&source)?;
        let begun = self.db.write(async move |conn: &mut Conn<'_>| count::begin(conn, &subjects).await).await?;
        let counted = match begun {
            Begun::Yes(counted) => counted,
            Begun::No { wait, .. } => return Err(Error::TooManyAttempts(wait)),
        };
        match self.hasher.choose(place, password, about).await {
            Ok(hash) => Ok(Chosen { hash, counted }),
            Err(error) => {
                self.db.write(async move |conn: &mut Conn<'_>| count::withdraw(conn, &counted).await).await?;
                Err(error)
            }
        }
    }
}

impl Chosen {
    /// The account was created: it counts as one of its network's new accounts.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn created(&self, conn: &mut Conn<'_>) -> Result<()> {
        count::give_back(conn, &self.counted).await
    }

    /// It was not, and the answer says why. That tells who has an account here, so it counts as a wrong password too.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn refused(&self, conn: &mut Conn<'_>) -> Result<()> {
        count::keep(conn, &self.counted).await
    }
}
