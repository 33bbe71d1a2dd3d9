//! What every way of signing in has at hand: the request, its facts, the actix session, the site and the rule.

use actix_session::{Session, SessionExt as _};
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, web};

use super::rule::{LoginRule, Visit, Welcome};
use crate::{
    error::{Error, Result},
    security::{Site, forms},
    session::current::{self, Facts},
};

/// As an argument of a handler it gathers them; see the module.
pub struct Desk {
    /// The request.
    pub req: HttpRequest,
    /// Its facts.
    pub facts: Facts,
    /// This instance.
    pub site: web::Data<Site>,
    /// The rule.
    pub rule: web::Data<LoginRule>,
    session: Session,
}

impl Desk {
    /// Where a login comes from.
    pub fn visit(&self) -> Visit {
        Visit::new(&self.req, &self.facts, &self.site)
    }

    /// Lets somebody in whose login was committed: the session's cookie and the device's go with the answer.
    ///
    /// # Errors
    /// Never in practice: what is set is well formed.
    pub fn welcome(&self, welcome: &Welcome, mut answer: HttpResponse) -> Result<HttpResponse> {
        current::finish_login(&self.session, welcome.key(), &welcome.account.id)?;
        let device = self.site.cookies.device_cookie(welcome.device_secret());
        answer.add_cookie(&device).map_err(Error::bug)?;
        Ok(answer)
    }

    /// A page with a form, made with the form's token; a visitor gets the cookie that binds it.
    ///
    /// # Errors
    /// When the page cannot be made.
    pub fn form(&self, page: impl FnOnce(String) -> Result<HttpResponse>) -> Result<HttpResponse> {
        let token = forms::token(&self.site, &self.req)?;
        let mut answer = page(token.value)?;
        if let Some(cookie) = token.cookie {
            answer.add_cookie(&cookie).map_err(Error::bug)?;
        }
        Ok(answer)
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
                rule: req.app_data::<web::Data<LoginRule>>().cloned().ok_or_else(missing)?,
                session: req.get_session(),
            })
        });
        std::future::ready(gathered)
    }
}
