//! Signs a person in with a passkey: alone, as two factors at once, or as the second factor after a right password. Called
//! by the login's API.
//!
//! One transaction. Locks, in this order: the account's row, the count of the network, its live sessions by id, the device.
//!
//! Invariant: the answer, the challenge, the state between (if there is one) and the session are used up and begun together,
//! or not at all.

use super::{
    asked::{self, Asked, Purpose},
    proof::{self, Refusal},
    tools::{Answer, Tools},
};
use crate::{
    actions::{
        new_session::{Visit, Welcome, begin},
        password_proof::{Prover, keep_leaving, run_to_completion},
        second_factor::{finish, half::Half},
    },
    base::{
        db::{Conn, Instant},
        error::{Error, Result},
        secret::Secret,
        webauthn::{Outcome, StoredPasskey, UserHandle, credential_id_of},
    },
    records::{
        account::{self, Account, Admission},
        audit::{self, Event, Kind, WRONG_PASSKEY},
        passkey,
        second_factor::spent,
        session::Amr,
    },
};

/// The outcome of a sign-in with a passkey.
pub enum SignedIn {
    Yes(Box<Welcome>),
    No(Refusal),
}

/// Asks for any passkey of this service. Reads and writes nothing, so anybody may ask.
pub fn ask(tools: &Tools, visitor: &Secret) -> Result<Asked> {
    let started = tools.ceremonies.start_sign_in(tools.sessions.clock.now())?;
    asked::seal(&tools.sessions.sealing, Purpose::SignIn, visitor, started)
}

/// Asks for a passkey of the account whose password was right.
///
/// # Errors
/// [`Error::Invalid`] if the account has none.
pub async fn ask_second(tools: &Tools, half: &Half, visitor: &Secret) -> Result<Asked> {
    let id = half.account_id.clone();
    let own = tools.sessions.db.read(async move |conn: &mut Conn<'_>| passkey::all(conn, &id).await).await?;
    let data: Vec<&str> = own.iter().map(|passkey| passkey.data.as_str()).collect();
    let owner = UserHandle::of(&half.account_id);
    let started = tools.ceremonies.start_confirm(owner, &data, tools.sessions.clock.now())?;
    asked::seal(&tools.sessions.sealing, Purpose::SecondStep(half), visitor, started)
}

/// Checks the answer and begins the session. With `half`, the answer is the second factor of that sign-in. Runs to
/// completion even if the client disconnects.
///
/// # Errors
/// [`Error::Invalid`] for an answer that cannot be read, or to a question of another browser.
pub async fn sign_in(
    prover: &Prover,
    tools: &Tools,
    answer: Answer,
    half: Option<Half>,
    visit: Visit,
) -> Result<SignedIn> {
    let purpose = half.as_ref().map_or(Purpose::SignIn, Purpose::SecondStep);
    let state = asked::open(&tools.sessions.sealing, purpose, &answer.visitor, &answer.state)?;
    let credential_id = credential_id_of(&answer.credential)?;
    let (prover, tools, metrics) = (prover.clone(), tools.clone(), tools.sessions.db.metrics().clone());
    let signed_in = run_to_completion(async move {
        let _turn = match &visit.form {
            Some(form) => prover.turns.wait(&form.hash()).await,
            None => None,
        };
        let given = Given { answer, state, credential_id, half };
        prover.db.write(async move |conn: &mut Conn<'_>| settle(conn, &tools, &given, visit).await).await
    })
    .await;
    metrics.login(match &signed_in {
        Ok(SignedIn::Yes(_)) => "welcome",
        Ok(SignedIn::No(Refusal::TooMany(_))) => "throttled",
        Ok(SignedIn::No(_)) => "refused",
        Err(_) => "failed",
    });
    signed_in
}

/// What was given, with the state opened.
struct Given {
    answer: Answer,
    state: Vec<u8>,
    credential_id: Vec<u8>,
    half: Option<Half>,
}

impl Given {
    fn check(&self, stored: StoredPasskey<'_>, tools: &Tools, now: Instant) -> Result<Outcome> {
        let (ceremonies, credential) = (&tools.ceremonies, &self.answer.credential);
        match &self.half {
            None => ceremonies.finish_sign_in(&self.state, credential, stored, now),
            Some(half) => {
                ceremonies.finish_confirm(UserHandle::of(&half.account_id), &self.state, credential, stored, now)
            }
        }
    }
}

async fn settle(conn: &mut Conn<'_>, tools: &Tools, given: &Given, visit: Visit) -> Result<SignedIn> {
    let owner = passkey::owner(conn, &given.credential_id).await?;
    if let Some((account_id, _)) = &owner {
        account::lock(conn, account_id).await?;
    }
    let counted = match proof::begin(conn, &given.answer.network).await? {
        Ok(counted) => counted,
        Err(refusal) => return Ok(SignedIn::No(refusal)),
    };
    let found = match owner {
        Some((account_id, id)) => passkey::one(conn, &account_id, &id).await?.map(|passkey| (account_id, passkey)),
        None => None,
    };
    let Some((account_id, passkey)) = found else {
        return Ok(SignedIn::No(proof::unknown(conn, tools, &counted).await?));
    };
    let event = Event::of(Kind::PasskeyUsed, &account_id).by("visitor").ip(visit.ip.as_deref());
    let now = tools.sessions.clock.now();
    let check = |stored: StoredPasskey<'_>| given.check(stored, tools, now);
    let Some(account) = account::person::find(conn, &account_id).await?.map(|person| person.account) else {
        return Ok(SignedIn::No(proof::unknown(conn, tools, &counted).await?));
    };
    let proof = proof::settle(conn, tools, &account, (passkey, &given.state), (&counted, event.clone()), check).await?;
    let proof = match proof {
        Ok(proof) => proof,
        Err(refusal) => return Ok(SignedIn::No(refusal)),
    };
    let Some(account) = admitted(conn, &account_id, given.half.as_ref(), visit.ip.as_deref()).await? else {
        audit::record(conn, &[event.about(Kind::SecondFactorFailed).detail(WRONG_PASSKEY)]).await?;
        return Ok(SignedIn::No(Refusal::NotAdmitted));
    };
    let amr = match &given.half {
        Some(_) => Amr::password().with(&proof.amr),
        None => proof.amr.clone(),
    };
    let ip = visit.ip.clone();
    let welcome = begin(conn, account, Visit { amr, ..visit }, &tools.sessions).await?;
    let event = Event::of(Kind::PasskeyUsed, &account_id)
        .session(&welcome.record.id)
        .device(welcome.record.device_id.as_deref(), Some(&welcome.device_name))
        .ip(ip.as_deref());
    proof::note_use(conn, tools, &account_id, &proof, (Some(&welcome.device_name), event)).await?;
    Ok(SignedIn::Yes(Box::new(welcome)))
}

/// The account, if it may sign in now. Spends the first step, if there is one.
async fn admitted(
    conn: &mut Conn<'_>,
    account_id: &str,
    half: Option<&Half>,
    ip: Option<&str>,
) -> Result<Option<Account>> {
    if let Some(half) = half {
        let is_new = half.account_id == account_id && spent::spend(conn, account_id, half.name()).await?;
        let account = if is_new { finish::admitted(conn, half).await? } else { None };
        if account.is_some() {
            keep_leaving(conn, account_id, ip).await?;
        }
        return Ok(account);
    }
    match account::admit_by_link(conn, account_id).await? {
        Admission::No => return Ok(None),
        Admission::Yes => {}
        Admission::Leaving => keep_leaving(conn, account_id, ip).await?,
    }
    account::one(conn, account_id).await
}

impl SignedIn {
    /// The session that was begun.
    ///
    /// # Errors
    /// The refusal.
    pub fn welcome(self) -> Result<Box<Welcome>> {
        match self {
            Self::Yes(welcome) => Ok(welcome),
            Self::No(refusal) => Err(Error::from(refusal)),
        }
    }
}
