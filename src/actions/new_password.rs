//! Hashes the password of a new account, or the new password of a person with a one-time link, after counting the attempt
//! for the client's network. Called by [`setup`](super::setup), [`sign_up`](super::sign_up) and [`links`](super::links).
//!
//! `Prover::prepare` counts the attempt in its own transaction, then hashes. The action settles the count in its second
//! transaction, which creates the account or refuses to. Run both within
//! [`run_to_completion`](super::password_proof::run_to_completion).
//!
//! Locks of the first transaction: the counts of the attempt, in the order of their subjects.
//!
//! Invariant: an attempt is counted before its password is hashed.

use super::{new_session::Visit, password_proof::Prover};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
    },
    records::{
        account::{
            self, EmailAddress, Role,
            hasher::{ChosenPassword, Source},
        },
        throttle::{
            Network, Subject,
            count::{self, Begun, Try},
        },
    },
};

/// A person who creates their own account. The fields are well formed.
pub struct Newcomer {
    pub email: EmailAddress,
    /// The display name.
    pub name: String,
    /// The chosen password. Its strength is checked when it is hashed.
    pub password: String,
    /// The client's network.
    pub network: Network,
    /// The browser that gets the new session.
    pub visit: Visit,
}

/// An account that is ready to be created, and the browser that gets its first session.
pub(super) struct Prepared {
    pub(super) account: account::New,
    pub(super) password: HashedPassword,
    pub(super) visit: Visit,
}

/// The way to the account form, and the client's network.
#[derive(Debug, Clone)]
pub enum Door {
    /// The public sign-up form. It reveals whether an address has an account, so wrong passwords from the same network
    /// close it for a while.
    SignUp(Network),
    /// A one-time link. Its holder guesses nothing, so other people's wrong passwords must not close it.
    Link(Network),
}

impl Door {
    fn network(&self) -> &Network {
        match self {
            Self::SignUp(network) | Self::Link(network) => network,
        }
    }

    fn subjects(&self) -> Vec<Subject> {
        let created = Subject::new_accounts(self.network());
        match self {
            Self::SignUp(network) => vec![Subject::address(network), created],
            Self::Link(_) => vec![created],
        }
    }
}

/// The hashed password of a new account. The attempt stays counted until this is settled.
pub struct HashedPassword {
    chosen: ChosenPassword,
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
        let password = self.choose(door(network), password, about, false).await?;
        let account = account::New { email, name, role, password_hash: password.chosen.hash.clone() };
        Ok(Prepared { account, password, visit })
    }

    /// Counts a new account for its network and hashes its password, if the password is hard to guess. `about` lists
    /// words about the person that the password must not be built from.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a weak password, with a message to show in the form.
    /// [`Error::TooManyAttempts`] when too many attempts came from this network; this attempt is then not counted.
    /// [`Error::Unavailable`] when too many passwords wait to be hashed.
    pub(super) async fn choose(
        &self,
        door: Door,
        password: String,
        about: Vec<String>,
        has_second_factor: bool,
    ) -> Result<HashedPassword> {
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
        match self.hasher.choose(place, password, about, has_second_factor).await {
            Ok(chosen) => Ok(HashedPassword { chosen, counted }),
            Err(error) => {
                self.db.write(async move |conn: &mut Conn<'_>| count::withdraw(conn, &counted).await).await?;
                Err(error)
            }
        }
    }
}

impl HashedPassword {
    pub(super) fn chosen(&self) -> &ChosenPassword {
        &self.chosen
    }

    /// Settles the attempt after the account was created. It counts as one of its network's new accounts.
    pub(super) async fn created(&self, conn: &mut Conn<'_>) -> Result<()> {
        count::give_back(conn, &self.counted).await
    }

    /// Settles the attempt after the account was refused. The response reveals why, and thereby which addresses have an
    /// account. The attempt therefore counts as a wrong password too.
    pub(super) async fn refused(&self, conn: &mut Conn<'_>) -> Result<()> {
        count::keep(conn, &self.counted).await
    }
}
