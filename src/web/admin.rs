//! The argument of handlers for admins and owners.
//!
//! Invariant: the role is the account's at the time of the request. Actions check it again in their transactions.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;

use crate::{
    base::error::{Error, Result},
    records::session::CurrentUser,
};

/// The signed-in person, who manages people and apps. Everybody else gets [`Error::Forbidden`].
#[derive(Debug, Clone)]
pub struct Admin(pub CurrentUser);

impl FromRequest for Admin {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let user = CurrentUser::from_request(req, payload);
        Box::pin(async move {
            let user = user.await?;
            if user.account.role.manages() { Ok(Self(user)) } else { Err(Error::Forbidden) }
        })
    }
}
