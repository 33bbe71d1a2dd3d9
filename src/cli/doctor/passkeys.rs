//! Checks whether browsers can use passkeys, and those that people have. Called by [`doctor`](super).
//!
//! Invariant: the check reads only, and passes if there is no database yet.

use super::inputs::{Patient, away, unseen};
use crate::{
    base::{db::Schema, settings::PublicUrl, webauthn::Ceremonies},
    serve::risks::{self, Finding},
};

pub(super) async fn passkeys(patient: &mut Patient) -> Finding {
    let settings = &patient.settings;
    let local = || PublicUrl::localhost(settings.listen.port(), settings.tls.is_some());
    let public = settings.public_url.clone().unwrap_or_else(local);
    let here = Ceremonies::new(&public, &settings.brand.name);
    let here = here.as_ref().map_err(|why| *why);
    match (patient.database.as_mut().map_err(|_| unseen())?, &patient.schema) {
        (Some(database), Ok(Schema::Current(_))) => {
            risks::passkeys(&mut database.conn(), here).await.map_err(|error| away(&error))?
        }
        _ => risks::passkeys_of_others(here, 0),
    }
}
