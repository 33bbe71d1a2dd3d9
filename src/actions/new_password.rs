//! The password of a new account: counted for its network before it is hashed. Called by [`setup`](super::setup) and
//! [`sign_up`](super::sign_up).
//!
//! `Prover::prepare` counts in a transaction of its own, then hashes; the action settles the count in the transaction that
//! creates the account, or finds that it cannot. Both belong in
//! [`run_to_completion`](super::password_proof::run_to_completion).
//!
//! Locks of the first half: the counts of the try, in the order of their subjects.
//!
//! Invariant: no password is hashed that was not counted before.

use super::{new_session::Visit, password_proof::Prover};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{self, EmailAddress, Role, hasher::Source},
        throttle::{
            Network, Subject,
            count::{self, Begun, Try},
        },
    },
};

/// A person who creates an account for themselves. What they typed has the right form.
pub struct Newcomer {
    /// Their address.
    pub email: EmailAddress,
    /// How they are greeted.
    pub name: String,
    /// What they typed; whether it is hard to guess is found out when it is hashed.
    pub password: String,
    /// The network they come from.
    pub network: Network,
    /// The browser in which they are signed in afterwards.
    pub visit: Visit,
}

/// An account that can be created, in the browser where its session then begins.
pub(super) struct Prepared {
    pub(super) account: account::New,
    pub(super) password: HashedPassword,
    pub(super) visit: Visit,
}

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

/// A password that was hashed for a new account. The try is counted until this is settled.
pub struct HashedPassword {
    hash: String,
    counted: Try,
}

impl Prover {
    /// Counts the new account for its network and hashes its password.
    pub(super) async fn prepare(
        &self,
        newcomer: Newcomer,
        role: Role,
        door: impl FnOnce(Network) -> Door,
    ) -> Result<Prepared> {
        let Newcomer { email, name, password, network, visit } = newcomer;
        let about = vec![name.clone(), email.as_str().to_owned()];
        let password = self.choose(door(network), password, about).await?;
        let account = account::New { email, name, role, password_hash: password.hash.clone() };
        Ok(Prepared { account, password, visit })
    }

    /// Counts a new account for its network and hashes its password, if it is hard to guess for somebody who knows these
    /// words about its person.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong with the password, in the words of a form, and
    /// [`Error::TooManyAttempts`] when too many came from this network: then nothing is counted.
    /// [`Error::Unavailable`] when too many passwords wait to be hashed.
    async fn choose(&self, door: Door, password: String, about: Vec<String>) -> Result<HashedPassword> {
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
            Ok(hash) => Ok(HashedPassword { hash, counted }),
            Err(error) => {
                self.db.write(async move |conn: &mut Conn<'_>| count::withdraw(conn, &counted).await).await?;
                Err(error)
            }
        }
    }
}

impl HashedPassword {
    /// The account was created: it counts as one of its network's new accounts.
    pub(super) async fn created(&self, conn: &mut Conn<'_>) -> Result<()> {
        count::give_back(conn, &self.counted).await
    }

    /// The account was not created, and the answer says why. That tells who has an account here, so it counts as a wrong
    /// password too.
    pub(super) async fn refused(&self, conn: &mut Conn<'_>) -> Result<()> {
        count::keep(conn, &self.counted).await
    }
}
