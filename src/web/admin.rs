//! The arguments of handlers for admins and owners, and for owners only.
//!
//! Invariant: the role is the account's at the time of the request. Actions check it again in their transactions.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::future::LocalBoxFuture;

use crate::{
    base::error::{Error, Result},
    records::{account::Role, session::CurrentUser},
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

/// The signed-in person, who is an owner. Everybody else gets [`Error::Forbidden`].
#[derive(Debug, Clone)]
pub struct Owner(pub CurrentUser);

impl FromRequest for Owner {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let user = CurrentUser::from_request(req, payload);
        Box::pin(async move {
            let user = user.await?;
            if user.account.role == Role::Owner { Ok(Self(user)) } else { Err(Error::Forbidden) }
        })
    }
}
