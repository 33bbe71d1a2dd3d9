//! The argument of handlers that sign a person in or out, check a password or show a form: the request, its facts, the
//! actix session, the site, the sessions and the password check.
//!
//! Invariant: a session key that was committed is sent with the answer that reports the sign-in.

use actix_session::{Session, SessionExt as _};
use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    cookie::Cookie,
    dev::Payload,
    http::header::{HeaderName, HeaderValue},
    web,
};

use crate::{
    actions::{
        confirm::{Confirmation, Confirmed, confirm},
        end_sessions::Ending,
        password_proof::{Claim, Proof, Prover},
    },
    base::{
        error::{EndedBecause, Error, Result},
        secret::Secret,
    },
    records::{
        account::EmailAddress,
        session::{
            CurrentUser, LoginForm, SessionKey, Sessions,
            current::{self, Facts},
        },
        throttle::Network,
    },
    web::{
        forms, layout,
        rates::{self, Act},
        return_to,
        site::Site,
    },
};

/// Everything that such a handler needs.
pub struct RequestContext {
    pub req: HttpRequest,
    pub facts: Facts,
    pub site: web::Data<Site>,
    pub sessions: web::Data<Sessions>,
    pub prover: web::Data<Prover>,
    session: Session,
}

/// Counts correct passwords against an account's limit. See [`RequestContext::password_rate`].
pub struct PasswordRate {
    site: web::Data<Site>,
    act: Act,
    account: rates::Subject,
}

impl PasswordRate {
    /// Counts a correct password for the account. Call it from code that also runs when the client disconnects.
    pub fn charge(&self) {
        self.site.rates.charge(self.act, &self.account);
    }
}

impl RequestContext {
    /// The device secrets in this browser's cookie, one for each account that signed in on it.
    pub fn device_secrets(&self) -> Vec<Secret> {
        self.site.cookies.device_secrets(self.req.headers())
    }

    /// The form that was sent, identified by the visitor cookie that it is bound to.
    pub fn login_form(&self) -> Option<LoginForm> {
        self.site.cookies.visitor(self.req.headers()).map(LoginForm::of_visitor)
    }

    /// The visitor's secret, and the cookie to set if the browser has none yet.
    pub fn visitor(&self) -> Result<(Secret, Option<Cookie<'static>>)> {
        if let Some(secret) = self.site.cookies.visitor(self.req.headers()) {
            return Ok((secret, None));
        }
        let secret = Secret::random_short()?;
        let cookie = self.site.cookies.visitor_cookie(&secret);
        Ok((secret, Some(cookie)))
    }

    /// Counts `many` acts of this account from this address.
    ///
    /// # Errors
    /// [`Error::TooFast`] if the account or address has reached its limit. Nothing is counted then.
    pub fn count(&self, act: Act, user: &CurrentUser, many: usize) -> Result<()> {
        let account = rates::Subject::Account(user.account.id.clone());
        let subjects: Vec<_> = [Some(account), self.bucket()].into_iter().flatten().collect();
        self.site.rates.take(act, &subjects, many)
    }

    /// Checks the limits before a password is verified. The address is charged at once. The account is charged only for
    /// a correct password (see [`PasswordRate::charge`]), so that nobody can use up its limit without knowing the
    /// password.
    ///
    /// # Errors
    /// [`Error::TooFast`] if the account or address has reached its limit. The password must not be checked then.
    pub fn password_rate(&self, act: Act, email: &EmailAddress) -> Result<PasswordRate> {
        let account = rates::Subject::Account(email.key().to_owned());
        self.site.rates.look(act, &account)?;
        self.site.rates.take(act, self.bucket().as_slice(), 1)?;
        Ok(PasswordRate { site: self.site.clone(), act, account })
    }

    /// The address that the request came from, as the rate limits count it.
    pub fn bucket(&self) -> Option<rates::Subject> {
        self.facts.ip.as_deref().and_then(|ip| ip.parse().ok()).map(rates::Subject::address)
    }

    /// The client's claim to own the account with this e-mail address.
    pub fn claim(&self, email: &EmailAddress) -> Result<Claim> {
        Ok(Claim::new(email, self.device_secrets(), self.facts.ip.clone(), self.network()?))
    }

    /// The same claim for the person who is signed in. A browser that has lost its device secret still counts as the
    /// session's device.
    pub fn claim_again(&self, user: &CurrentUser) -> Result<Claim> {
        let claim = self.claim(&EmailAddress::known(&user.account.email)?)?;
        Ok(claim.on_device(user.record.device_id.clone()))
    }

    /// Checks the person's password as a confirmation, with a code of the second factor if there is one, and carries out
    /// `then`. The caller hands the new key over.
    pub async fn confirm(
        &self,
        user: &CurrentUser,
        password: String,
        code: Option<String>,
        then: Option<Ending>,
    ) -> Result<Confirmed> {
        let Some(key) = self.facts.presented_key() else {
            return Ok(Confirmed::SessionEnded);
        };
        let rate = self.password_rate(Act::SignIn, &EmailAddress::known(&user.account.email)?)?;
        let proof = Proof { claim: self.claim_again(user)?, password, on_right: Box::new(move || rate.charge()) };
        let confirmation = Confirmation { user: user.clone(), key, then, code, ip: self.facts.ip.clone() };
        confirm(&self.prover, &self.sessions, proof, confirmation).await
    }

    /// The network that the request came from, as wrong passwords are counted for it.
    pub fn network(&self) -> Result<Network> {
        let ip = self.facts.ip.as_deref().and_then(|ip| ip.parse().ok());
        Network::new(ip, |network| self.site.keys.conceal_address(network))
    }

    /// Sends the key of a new or rotated session with the answer.
    pub fn hand_over(&self, key: &SessionKey, account_id: &str) -> Result<()> {
        current::finish_login(&self.session, key, account_id)
    }

    /// Sets the device cookie, so that this browser counts as the same device next time.
    pub fn remember_devices(&self, secrets: &[Secret], answer: &mut HttpResponse) -> Result<()> {
        answer.add_cookie(&self.site.cookies.device_cookie(secrets)).map_err(Error::bug)
    }

    /// Answers with a form. `page` receives the form's token. If the browser has no visitor cookie yet, the answer sets
    /// it.
    pub fn form(&self, page: impl FnOnce(String) -> Result<HttpResponse>) -> Result<HttpResponse> {
        let token = forms::token(&self.site, &self.req)?;
        let mut answer = page(token.value)?;
        // The browser sends these client hints with the form; the device's name is built from them.
        let hints = HeaderValue::from_static("Sec-CH-UA-Platform-Version, Sec-CH-UA-Model");
        answer.headers_mut().insert(HeaderName::from_static("accept-ch"), hints);
        if let Some(cookie) = token.cookie {
            answer.add_cookie(&cookie).map_err(Error::bug)?;
        }
        Ok(answer)
    }

    /// The error for a session that ended during the request.
    pub async fn ended_meanwhile(&self) -> Result<Error> {
        let Some(key) = self.facts.presented_key() else {
            return Ok(self.facts.absence());
        };
        Ok(Error::SessionEnded(self.sessions.why_ended(&key).await?))
    }

    /// Handles a double submit: the first request rotated the key, so the second one carries an unknown key. It
    /// redirects via /login, which forwards a signed-in browser. Any other error is returned.
    pub fn go_on_by_login(&self, error: Error, next: &str) -> Result<HttpResponse> {
        match error {
            Error::SessionEnded(EndedBecause::Unknown) => Ok(layout::see_other(&return_to::login_address(next))),
            other => Err(other),
        }
    }

    /// Whether this browser is already signed in with this e-mail address, for example by another tab.
    pub fn is_signed_in_as(&self, typed: &str) -> bool {
        let live = self.facts.live();
        let signed_in = live.and_then(|live| EmailAddress::known(&live.account.email).ok());
        let typed = EmailAddress::known(typed).ok();
        signed_in.zip(typed).is_some_and(|(one, other)| one.key() == other.key())
    }

    /// Removes the session cookie after a sign-out. The store ends the session unless the handler has `ended` it.
    pub fn goodbye(&self, ended: bool) {
        current::finish_logout(&self.session, ended);
    }
}

impl FromRequest for RequestContext {
    type Error = Error;
    type Future = std::future::Ready<Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let missing = || Error::bug("a part of the application is missing");
        let gathered = Facts::from_request(req, payload).into_inner().and_then(|facts| {
            Ok(Self {
                req: req.clone(),
                facts,
                site: req.app_data::<web::Data<Site>>().cloned().ok_or_else(missing)?,
                sessions: req.app_data::<web::Data<Sessions>>().cloned().ok_or_else(missing)?,
                prover: req.app_data::<web::Data<Prover>>().cloned().ok_or_else(missing)?,
                session: req.get_session(),
            })
        });
        std::future::ready(gathered)
    }
}
