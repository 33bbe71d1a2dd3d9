//! Sends mail by SMTP. Called by the worker of `serve`, and by `doctor`.
//!
//! Invariant: each mail says that a program wrote it (RFC 3834), has a plain and an HTML part, and loads nothing. A password
//! is sent only over TLS, or to this machine.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use super::{
    error::{Error, Result},
    settings::{MailSettings, SmtpSecurity},
};

/// How long one answer of the server may take.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a mail may take altogether.
const WHOLE: Duration = Duration::from_secs(120);
/// Codes that say that the address, and not the server, is the problem (RFC 5321, 4.2.3; RFC 7504).
const REFUSES_ADDRESS: [u16; 6] = [501, 550, 551, 552, 553, 556];

/// A mail to send.
#[derive(Debug)]
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Stays the same when the mail is sent again.
    pub id: String,
}

/// Why a mail was not accepted, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSent {
    /// It may be accepted later.
    Later(String),
    /// The address does not exist, or its server refuses it.
    Never(String),
}

/// The connection to the mail server.
#[derive(Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// Does not connect yet. `name` is the sender's name if the settings have none.
    ///
    /// # Errors
    /// When the certificates of this machine cannot be read.
    pub fn new(settings: &MailSettings, name: &str) -> Result<Self> {
        let server = &settings.server;
        let parameters = || TlsParameters::new(server.host.clone()).map_err(Error::bug);
        let tls = match server.security {
            SmtpSecurity::None => Tls::None,
            SmtpSecurity::StartTls => Tls::Required(parameters()?),
            SmtpSecurity::Tls => Tls::Wrapper(parameters()?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
            .port(server.port)
            .timeout(Some(ANSWER))
            .tls(tls);
        if let Some((user, password)) = &server.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
        }
        let from: Mailbox = settings.from.parse().map_err(Error::bug)?;
        let from = Mailbox { name: from.name.or_else(|| Some(name.to_owned())), ..from };
        Ok(Self { transport: builder.build(), from })
    }

    /// Sends a mail.
    ///
    /// # Errors
    /// [`NotSent`], if no server took it.
    pub async fn send(&self, mail: Mail) -> Result<(), NotSent> {
        let to: Mailbox = mail.to.parse().map_err(|_| NotSent::Never("this is not an address for mail".to_owned()))?;
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject)
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .date_now()
            .raw_header(automatic)
            .multipart(MultiPart::alternative_plain_html(mail.text, mail.html))
            .map_err(|error| NotSent::Later(error.to_string()))?;
        let sending = tokio::time::timeout(WHOLE, self.transport.send(message));
        match sending.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let code = error.status().map(u16::from);
                let words = error.to_string();
                let is_of_address = code.is_some_and(|code| REFUSES_ADDRESS.contains(&code));
                Err(if is_of_address { NotSent::Never(words) } else { NotSent::Later(words) })
            }
            Err(_) => Err(NotSent::Later("the mail server did not answer in time".to_owned())),
        }
    }
}
