//! `doctor --mail`: sends a test mail. Called by [`doctor`](super).
//!
//! Invariant: the mail is sent by this process at once, not queued.

use crate::{
    base::{
        mail::{Mailer, NotSent},
        secret,
        settings::{PublicUrl, Settings},
    },
    cli::output::in_words,
    serve::risks::Finding,
    web::mails::{Letterhead, write_test},
};

/// Sends a test mail to this address.
pub(super) async fn mail(settings: &Settings, to: &str) -> Finding {
    let Some(mail) = &settings.mail else {
        return Err("no mail server is set: set SESSILE_SMTP_URL and SESSILE_MAIL_FROM".to_owned());
    };
    let public = settings.public_url.clone();
    let public = public.unwrap_or_else(|| PublicUrl::localhost(settings.listen.port(), settings.tls.is_some()));
    let head = Letterhead { brand: &settings.brand, origin: public.origin(), person: "", zone: None };
    let id = secret::random_name("mail_").map_err(|error| in_words(&error))?;
    let written = write_test(&head, to, &id).map_err(|error| in_words(&error))?;
    let mailer = Mailer::new(mail, &settings.brand.name).map_err(|error| in_words(&error))?;
    let server = &mail.server;
    match mailer.send(written).await {
        Ok(()) => Ok(format!("{server} took a test mail to {to}: look whether it arrives")),
        Err(NotSent::Later(words)) => Err(format!(
            "{server} does not take mail ({words}): check SESSILE_SMTP_URL, and whether this machine may reach the server"
        )),
        Err(NotSent::Never(words)) => Err(format!("{server} refuses mail to {to} ({words}): check the address")),
    }
}
