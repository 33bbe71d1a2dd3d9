//! What a handler needs that signs somebody in or out, asks for a password, or shows a form: the request, its facts, the
//! actix session, the site, the sessions and the password check.
//!
//! Invariant: a key that was committed reaches its browser with the answer that says so.

use actix_session::{Session, SessionExt as _};
use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{HeaderName, HeaderValue},
    web,
};

use crate::{
    actions::password_proof::{Claim, Prover},
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

/// An argument of handlers.
pub struct RequestContext {
    pub req: HttpRequest,
    pub facts: Facts,
    pub site: web::Data<Site>,
    pub sessions: web::Data<Sessions>,
    pub prover: web::Data<Prover>,
    session: Session,
}

/// Counts right passwords of an account against its limit. See [`RequestContext::password_rate`].
pub struct PasswordRate {
    site: web::Data<Site>,
    act: Act,
    account: rates::Subject,
}

impl PasswordRate {
    /// Counts a right password for the account. Call it where it also runs when the client hangs up.
    pub fn charge(&self) {
        self.site.rates.charge(self.act, &self.account);
    }
}

impl RequestContext {
    /// The device secrets that this browser brought, one for each account that signed in on it.
    pub fn device_secrets(&self) -> Vec<Secret> {
        self.site.cookies.device_secrets(self.req.headers())
    }

    /// The form that was sent, named by the visitor's cookie that it is bound to.
    pub fn login_form(&self) -> Option<LoginForm> {
        self.site.cookies.visitor(self.req.headers()).map(LoginForm::of_visitor)
    }

    /// Counts `many` acts of this account from this address.
    ///
    /// # Errors
    /// [`Error::TooFast`] when that was too often: then nothing is counted, and nothing may be done.
    pub fn count(&self, act: Act, user: &CurrentUser, many: usize) -> Result<()> {
        let account = rates::Subject::Account(user.account.id.clone());
        let subjects: Vec<_> = [Some(account), self.bucket()].into_iter().flatten().collect();
        self.site.rates.take(act, &subjects, many)
    }

    /// Whether the password of this account may be given once more to do this, before it is looked at. It is counted for the
    /// address at once; for the account when it was right, so that nobody who does not know the password uses up what the
    /// account has.
    ///
    /// # Errors
    /// [`Error::TooFast`] when that was too often: then nothing may be done.
    pub fn password_rate(&self, act: Act, email: &EmailAddress) -> Result<PasswordRate> {
        let account = rates::Subject::Account(email.key().to_owned());
        self.site.rates.look(act, &account)?;
        self.site.rates.take(act, self.bucket().as_slice(), 1)?;
        Ok(PasswordRate { site: self.site.clone(), act, account })
    }

    /// The address that the request came from, as rates count it.
    pub fn bucket(&self) -> Option<rates::Subject> {
        self.facts.ip.as_deref().and_then(|ip| ip.parse().ok()).map(rates::Subject::address)
    }

    /// The claim of the client to own the account with this e-mail address.
    pub fn claim(&self, email: &EmailAddress) -> Result<Claim> {
        Ok(Claim::new(email, self.device_secrets(), self.facts.ip.clone(), self.network()?))
    }

    /// The same claim by the person who is signed in. A browser that has lost its device secret still counts as that device
    /// while the session lives.
    pub fn claim_again(&self, user: &CurrentUser) -> Result<Claim> {
        let claim = self.claim(&EmailAddress::known(&user.account.email)?)?;
        Ok(claim.on_device(user.record.device_id.clone()))
    }

    /// The network that the request came from, as wrong passwords are counted.
    pub fn network(&self) -> Result<Network> {
        let ip = self.facts.ip.as_deref().and_then(|ip| ip.parse().ok());
        Network::new(ip, |network| self.site.keys.conceal_address(network))
    }

    /// Sends the key of a session that was begun or rotated with the answer.
    pub fn hand_over(&self, key: &SessionKey, account_id: &str) -> Result<()> {
        current::finish_login(&self.session, key, account_id)
    }

    /// Sets the device cookie, so that this browser is the same device next time.
    pub fn remember_devices(&self, secrets: &[Secret], answer: &mut HttpResponse) -> Result<()> {
        answer.add_cookie(&self.site.cookies.device_cookie(secrets)).map_err(Error::bug)
    }

    /// A page with a form. `page` gets the form's token; a visitor without the cookie that the token is bound to gets one.
    pub fn form(&self, page: impl FnOnce(String) -> Result<HttpResponse>) -> Result<HttpResponse> {
        let token = forms::token(&self.site, &self.req)?;
        let mut answer = page(token.value)?;
        // The browser sends these along with the form: the name of the device is made of them.
        let hints = HeaderValue::from_static("Sec-CH-UA-Platform-Version, Sec-CH-UA-Model");
        answer.headers_mut().insert(HeaderName::from_static("accept-ch"), hints);
        if let Some(cookie) = token.cookie {
            answer.add_cookie(&cookie).map_err(Error::bug)?;
        }
        Ok(answer)
    }

    /// The error for a session that ended while the request was under way.
    pub async fn ended_meanwhile(&self) -> Result<Error> {
        let Some(key) = self.facts.presented_key() else {
            return Ok(self.facts.absence());
        };
        Ok(Error::SessionEnded(self.sessions.why_ended(&key).await?))
    }

    /// Handles a double submit: the first request rotated the key, so this one came with an unknown key. It redirects through
    /// the login, which forwards a browser that is signed in. Any other error is returned.
    pub fn go_on_by_login(&self, error: Error, next: &str) -> Result<HttpResponse> {
        match error {
            Error::SessionEnded(EndedBecause::Unknown) => Ok(layout::see_other(&return_to::login_address(next))),
            other => Err(other),
        }
    }

    /// Whether this browser is already signed in with this e-mail address, because another tab was faster.
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
