//! The words of mails, as plain text and HTML. Called by the worker that sends them, and by `doctor`.
//!
//! Invariant: a mail loads nothing and sets no colours, so that it can be read in light and dark, and tells nobody that it
//! was opened.

use askama::Template;

use crate::{
    base::{
        clock::zone,
        db::Instant,
        error::{Error, Result},
        mail::Mail,
    },
    records::mail::{Detail, MailKind},
};

/// Who the mail comes from and goes to.
#[derive(Debug, Clone)]
pub struct Letterhead<'a> {
    /// The name of the service.
    pub service: &'a str,
    /// The public origin.
    pub origin: &'a str,
    /// The name of the person.
    pub person: &'a str,
    /// The person's time zone, if known.
    pub zone: Option<&'a str>,
}

/// What a mail reports.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    pub kind: MailKind,
    pub detail: &'a Detail,
    pub at: Instant,
    /// The address of the mail's link.
    pub link: Option<String>,
}

#[derive(Template)]
#[template(path = "mail/mail.txt")]
struct Text<'a> {
    paragraphs: &'a [String],
    link: Option<(&'a str, &'a str)>,
    footer: &'a str,
}

#[derive(Template)]
#[template(path = "mail/mail.html")]
struct Html<'a> {
    subject: &'a str,
    paragraphs: &'a [String],
    link: Option<(&'a str, &'a str)>,
    footer: &'a str,
}

/// The subject, the paragraphs, and the label of the link.
struct Words {
    subject: String,
    paragraphs: Vec<String>,
    label: Option<&'static str>,
}

/// Writes a mail.
pub fn write(head: &Letterhead<'_>, report: &Report<'_>, to: &str, id: &str) -> Result<Mail> {
    let words = words(head, report);
    let link = words.label.zip(report.link.as_deref());
    finish(head, (words.subject, words.paragraphs, link), to, id)
}

/// Writes the mail with which `doctor` tests the mail server.
pub fn write_test(head: &Letterhead<'_>, to: &str, id: &str) -> Result<Mail> {
    let subject = format!("Test mail from {}", head.service);
    let paragraphs = vec![format!("{} can send mail. You need not do anything.", head.service)];
    finish(head, (subject, paragraphs, None), to, id)
}

fn finish(
    head: &Letterhead<'_>,
    (subject, paragraphs, link): (String, Vec<String>, Option<(&str, &str)>),
    to: &str,
    id: &str,
) -> Result<Mail> {
    let footer = format!("{} at {}. A program wrote this mail: replies are not read.", head.service, head.origin);
    let wrong = |error: askama::Error| Error::Internal(error.into());
    let text = Text { paragraphs: &paragraphs, link, footer: &footer }.render().map_err(wrong)?;
    let html = Html { subject: &subject, paragraphs: &paragraphs, link, footer: &footer }.render().map_err(wrong)?;
    Ok(Mail { to: to.to_owned(), subject, text, html, id: id.to_owned() })
}

fn words(head: &Letterhead<'_>, report: &Report<'_>) -> Words {
    let (service, hello) = (head.service, format!("Hello {},", head.person));
    let at = in_zone(report.at, head.zone);
    let from = report.detail.ip.as_ref().map(|ip| format!(", from the address {ip}")).unwrap_or_default();
    match report.kind {
        MailKind::Invitation => Words {
            subject: format!("You are invited to {service}"),
            paragraphs: vec![
                hello,
                format!("You have an account at {service}. Choose a password, and you are in."),
                "The link works once, and only for a day.".to_owned(),
            ],
            label: Some("Choose a password"),
        },
        MailKind::ForgottenPassword => Words {
            subject: format!("A new password for {service}"),
            paragraphs: vec![
                hello,
                "Somebody, probably you, asked for a new password. With this link you choose one.".to_owned(),
                "It works once, and only for an hour. If you did not ask, do nothing: your password stays as it is."
                    .to_owned(),
            ],
            label: Some("Choose a new password"),
        },
        MailKind::NewDevice => Words {
            subject: format!("New sign-in to {service}"),
            paragraphs: vec![
                hello,
                format!(
                    "Your account was used to sign in on a new device: {}, {at}{from}.",
                    report.detail.device.as_deref().unwrap_or("an unknown device")
                ),
                "Was this you? Then you need not do anything. If not, press the link: that device is signed out, and you \
                 choose a new password."
                    .to_owned(),
            ],
            label: Some("This wasn't me"),
        },
        MailKind::PasswordChanged => Words {
            subject: format!("Your password for {service} was changed"),
            paragraphs: vec![
                hello,
                format!("Your password was changed {at}{from}."),
                format!("If it was not you, ask for a new password at once: {}/forgot", head.origin),
            ],
            label: None,
        },
    }
}

/// A moment in the person's zone, or in UTC.
fn in_zone(at: Instant, zone: Option<&str>) -> String {
    let zone = zone.and_then(zone::named).unwrap_or(jiff::tz::TimeZone::UTC);
    at.timestamp().to_zoned_datetime(zone).strftime("on %A %-d %B at %-H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Letterhead<'_> = Letterhead {
        service: "Surfside",
        origin: "https://id.example.com",
        person: "Kim <b>",
        zone: Some("Europe/Berlin"),
    };

    #[test]
    fn each_mail_says_the_same_in_both_parts_and_loads_nothing() {
        let detail = Detail { device: Some("Firefox on Linux".into()), ip: Some("192.0.2.1".into()), nonce: None };
        for kind in MailKind::ALL.iter().copied() {
            let link = (kind != MailKind::PasswordChanged).then(|| "https://id.example.com/link/TOKEN".to_owned());
            let at = Instant::from_micros(1_795_460_400_000_000);
            let mail =
                write(&HEAD, &Report { kind, detail: &detail, at, link: link.clone() }, "kim@example.com", "mail_1")
                    .unwrap();
            assert!(mail.subject.contains("Surfside") && mail.text.starts_with("Hello Kim <b>,"), "{mail:?}");
            assert!(
                !mail.html.contains("<b>,") && !mail.html.contains("<img") && !mail.html.contains("color:"),
                "{mail:?}"
            );
            if let Some(link) = link {
                assert!(mail.text.contains(&link) && mail.html.contains(&format!("href=\"{link}\"")), "{mail:?}");
            }
            if kind == MailKind::NewDevice {
                assert!(mail.text.contains("Firefox on Linux") && mail.text.contains("192.0.2.1"), "{mail:?}");
            }
        }
    }
}
