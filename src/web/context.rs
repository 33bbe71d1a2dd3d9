//! What every page has at hand that lets somebody in or out, or asks for a password: the request, its facts, the actix
//! session, the site, the sessions and who checks passwords. Called by the pages of signing in and of the account.
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

/// As an argument of a handler it gathers them; see the module.
pub struct Desk {
    /// The request.
    pub req: HttpRequest,
    /// Its facts.
    pub facts: Facts,
    /// This instance.
    pub site: web::Data<Site>,
    /// The sessions.
    pub sessions: web::Data<Sessions>,
    /// Who checks passwords.
    pub prover: web::Data<Prover>,
    session: Session,
}

/// How often the password of an account may be given, for a form that asks for it. See [`Desk::password_rate`].
pub struct PasswordRate {
    site: web::Data<Site>,
    act: Act,
    account: rates::Subject,
}

impl PasswordRate {
    /// Counts it for the account, once the password was right. Belongs where it happens though the client hangs up.
    pub fn charge(&self) {
        self.site.rates.charge(self.act, &self.account);
    }
}

impl Desk {
    /// What makes this browser the same device as before, for each account that signed in on it.
    pub fn device_secrets(&self) -> Vec<Secret> {
        self.site.cookies.device_secrets(self.req.headers())
    }

    /// The cookie to which the forms of a visitor are bound, as the name of the form that was sent.
    pub fn login_form(&self) -> Option<LoginForm> {
        self.site.cookies.visitor(self.req.headers()).map(LoginForm::of_visitor)
    }

    /// Counts something that this account does from this address, so many times.
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

    /// From where the request comes, as rates are counted.
    pub fn bucket(&self) -> Option<rates::Subject> {
        self.facts.ip.as_deref().and_then(|ip| ip.parse().ok()).map(rates::Subject::address)
    }

    /// The claim of whoever is asking to be the one with this address.
    ///
    /// # Errors
    /// Never in practice: the keys have names for all networks.
    pub fn claim(&self, email: &EmailAddress) -> Result<Claim> {
        Ok(Claim::new(email, self.device_secrets(), self.facts.ip.clone(), self.network()?))
    }

    /// The claim of the person of a session, who is asked again. A browser that has lost its device's secret is still that
    /// device as long as the session lives.
    ///
    /// # Errors
    /// Never in practice: the keys have names for all networks.
    pub fn claim_again(&self, user: &CurrentUser) -> Result<Claim> {
        let claim = self.claim(&EmailAddress::known(&user.account.email)?)?;
        Ok(claim.on_device(user.record.device_id.clone()))
    }

    /// The network that the request came from, as counts know it.
    ///
    /// # Errors
    /// Never in practice: the keys have names for all networks.
    pub fn network(&self) -> Result<Network> {
        let ip = self.facts.ip.as_deref().and_then(|ip| ip.parse().ok());
        Network::new(ip, |network| self.site.keys.conceal_address(network))
    }

    /// Hands over the key of a session that was begun or rotated, with the answer that says so.
    ///
    /// # Errors
    /// Never in practice: what is set is well formed.
    pub fn hand_over(&self, key: &SessionKey, account_id: &str) -> Result<()> {
        current::finish_login(&self.session, key, account_id)
    }

    /// Makes this browser the same devices next time.
    ///
    /// # Errors
    /// Never in practice: what is set is well formed.
    pub fn remember_devices(&self, secrets: &[Secret], answer: &mut HttpResponse) -> Result<()> {
        answer.add_cookie(&self.site.cookies.device_cookie(secrets)).map_err(Error::bug)
    }

    /// A page with a form, made with the form's token; a visitor gets the cookie that binds it.
    ///
    /// # Errors
    /// When the page cannot be made.
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

    /// The session lived when the request began, and does not any more: why.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ended_meanwhile(&self) -> Result<Error> {
        let Some(key) = self.facts.presented_key() else {
            return Ok(self.facts.absence());
        };
        Ok(Error::SessionEnded(self.sessions.why_ended(&key).await?))
    }

    /// Where a form goes on to whose session is not known any more: it was pressed twice, and the first press has given the
    /// session a new key, which the browser has by the time it comes to the login; that leads on at once.
    ///
    /// # Errors
    /// Whatever else is wrong.
    pub fn go_on_by_login(&self, error: Error, next: &str) -> Result<HttpResponse> {
        match error {
            Error::SessionEnded(EndedBecause::Unknown) => Ok(layout::see_other(&return_to::login_address(next))),
            other => Err(other),
        }
    }

    /// Whether somebody with this e-mail address, as it was typed, is signed in here: another tab was faster.
    pub fn is_signed_in_as(&self, typed: &str) -> bool {
        let live = self.facts.live();
        let signed_in = live.and_then(|live| EmailAddress::known(&live.account.email).ok());
        let typed = EmailAddress::known(typed).ok();
        signed_in.zip(typed).is_some_and(|(one, other)| one.key() == other.key())
    }

    /// Forgets the session of a logout: its cookie goes with the answer. What the handler has not `ended` itself the
    /// store ends now.
    pub fn goodbye(&self, ended: bool) {
        current::finish_logout(&self.session, ended);
    }
}

impl FromRequest for Desk {
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
