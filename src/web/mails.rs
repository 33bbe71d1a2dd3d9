//! The words of mails, as plain text and HTML. Called by the worker that sends them, and by `doctor`.
//!
//! Invariant: a mail loads nothing, so that it tells nobody that it was opened. It sets no colours but those of the button,
//! whose text and ground both have one, so that it can be read in light and dark.

use askama::Template;

use crate::{
    base::{
        brand::{
            accent::{Shades, hex},
            contact::{Contact, Part},
        },
        clock::zone,
        db::Instant,
        error::{Error, Result},
        mail::Mail,
        settings::BrandSettings,
    },
    records::mail::{Detail, MailKind},
};

/// Who the mail comes from and goes to.
#[derive(Debug, Clone)]
pub struct Letterhead<'a> {
    /// The operator's name, accent and contact.
    pub brand: &'a BrandSettings,
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
    /// The address of the mail's link, and when the link stops working.
    pub link: Option<(String, Instant)>,
}

/// The style of a button in the operator's accent: its ground and its text. `None` without an accent.
struct Button {
    ground: String,
    ink: String,
}

#[derive(Template)]
#[template(path = "mail/mail.txt")]
struct Text<'a> {
    paragraphs: &'a [String],
    link: Option<(&'a str, &'a str)>,
    contact: Option<&'a str>,
    footer: &'a str,
}

#[derive(Template)]
#[template(path = "mail/mail.html")]
struct Html<'a> {
    subject: &'a str,
    service: &'a str,
    paragraphs: &'a [String],
    link: Option<(&'a str, &'a str)>,
    button: Option<Button>,
    contact: Vec<Part>,
    footer: &'a str,
}

/// Writes a mail.
pub fn write(head: &Letterhead<'_>, report: &Report<'_>, to: &str, id: &str) -> Result<Mail> {
    let link = label(report.kind).zip(report.link.as_ref().map(|(link, _)| link.as_str()));
    let hello = if is_plain(head.person) { format!("Hello {},", head.person) } else { "Hello,".to_owned() };
    let paragraphs = std::iter::once(hello).chain(paragraphs(head, report)).collect();
    finish(head, (subject(report.kind, &head.brand.name), paragraphs, link), to, id)
}

/// Writes the mail with which `doctor` tests the mail server.
pub fn write_test(head: &Letterhead<'_>, to: &str, id: &str) -> Result<Mail> {
    let subject = format!("Test mail from {}", head.brand.name);
    let paragraphs = vec![format!("{} can send mail. You need not do anything.", head.brand.name)];
    finish(head, (subject, paragraphs, None), to, id)
}

fn finish(
    head: &Letterhead<'_>,
    (subject, paragraphs, link): (String, Vec<String>, Option<(&str, &str)>),
    to: &str,
    id: &str,
) -> Result<Mail> {
    let BrandSettings { name, accent, contact, .. } = head.brand;
    let footer = format!("{name} at {}. A program wrote this mail: replies are not read.", head.origin);
    let wrong = |error: askama::Error| Error::Internal(error.into());
    let paragraphs = paragraphs.as_slice();
    let text = Text { paragraphs, link, contact: contact.as_deref(), footer: &footer }.render().map_err(wrong)?;
    let button = accent.map(|accent| {
        let [light, _] = Shades::of(accent);
        Button { ground: hex(light.accent), ink: hex(light.ink) }
    });
    let contact = contact.as_deref().map(|contact| Contact::of(contact).parts).unwrap_or_default();
    let html = Html { subject: &subject, service: name, paragraphs, link, button, contact, footer: &footer };
    let html = html.render().map_err(wrong)?;
    Ok(Mail { to: to.to_owned(), subject, text, html, id: id.to_owned() })
}

/// Whether a name can be used in a greeting. People choose their names, and may sign up with the address of somebody else:
/// our mails must not carry their links.
fn is_plain(name: &str) -> bool {
    let joins = |pair: &[char]| matches!(pair, ['.', next] if next.is_alphanumeric());
    let letters: Vec<char> = name.chars().collect();
    !name.is_empty() && !name.contains(['/', ':', '@', '\\']) && !letters.windows(2).any(joins)
}

fn subject(kind: MailKind, service: &str) -> String {
    match kind {
        MailKind::Invitation => format!("You are invited to {service}"),
        MailKind::ForgottenPassword | MailKind::PasswordLink => format!("A new password for {service}"),
        MailKind::VerifyAddress => format!("Your new email address for {service}"),
        MailKind::AddressChanged => format!("Your email address for {service} was changed"),
        MailKind::NewDevice => format!("New sign-in to {service}"),
        MailKind::PasswordChanged => format!("Your password for {service} was changed"),
        MailKind::SecondFactorChanged => format!("How you sign in to {service} was changed"),
        MailKind::RecoveryCodeUsed => format!("A recovery code for {service} was used"),
        MailKind::PasskeyCopied => format!("Check your passkeys for {service}"),
    }
}

/// The words of the link. `None` for a mail without a link.
fn label(kind: MailKind) -> Option<&'static str> {
    match kind {
        MailKind::Invitation => Some("Choose a password"),
        MailKind::ForgottenPassword | MailKind::PasswordLink => Some("Choose a new password"),
        MailKind::VerifyAddress => Some("Use this address"),
        MailKind::NewDevice => Some("This wasn't me"),
        MailKind::AddressChanged
        | MailKind::PasswordChanged
        | MailKind::SecondFactorChanged
        | MailKind::RecoveryCodeUsed
        | MailKind::PasskeyCopied => None,
    }
}

fn paragraphs(head: &Letterhead<'_>, report: &Report<'_>) -> Vec<String> {
    let (service, once) = (head.brand.name.as_str(), once(head, report));
    match report.kind {
        MailKind::Invitation => {
            vec![format!("You have an account at {service}. Choose a password, and you are in."), once]
        }
        MailKind::ForgottenPassword => vec![
            "Somebody, probably you, asked for a new password. With this link you choose one.".to_owned(),
            format!("{once} If you did not ask, do nothing: your password stays as it is."),
        ],
        MailKind::PasswordLink => vec![
            "An administrator made you a link for a new password. With it you choose one.".to_owned(),
            format!("{once} Until you use it, your password stays as it is."),
        ],
        MailKind::VerifyAddress => vec![
            format!("This address is to become the one with which you sign in to {service}."),
            format!("{once} If you do not know about this, do nothing: nothing changes then."),
        ],
        MailKind::NewDevice => new_device(head, report),
        MailKind::AddressChanged => address_changed(head, report),
        MailKind::PasswordChanged => vec![
            format!("Your password was changed {}{}.", on(head, report.at), from(report)),
            format!("If it was not you, ask for a new password at once: {}/forgot", head.origin),
        ],
        MailKind::SecondFactorChanged => vec![
            format!("{} {}{}.", change(report), on(head, report.at), from(report)),
            format!("If it was not you, choose a new password at once: {}/forgot", head.origin),
        ],
        MailKind::RecoveryCodeUsed => vec![
            format!(
                "One of your recovery codes was used {}{}. It does not work again.",
                on(head, report.at),
                from(report)
            ),
            format!("If it was not you, choose a new password at once: {}/forgot", head.origin),
        ],
        MailKind::PasskeyCopied => vec![
            format!("{} {}{}.", change(report), on(head, report.at), from(report)),
            "The sign-in was refused. A copy of the passkey may exist. Remove that passkey, and make a new one."
                .to_owned(),
        ],
    }
}

/// What happened to a second factor.
fn change<'a>(report: &'a Report<'_>) -> &'a str {
    report.detail.change.as_deref().unwrap_or("A second factor was changed")
}

fn new_device(head: &Letterhead<'_>, report: &Report<'_>) -> Vec<String> {
    let device = report.detail.device.as_deref().unwrap_or("an unknown device");
    let (on, from) = (on(head, report.at), from(report));
    vec![
        format!("Your account was used to sign in on a new device: {device}, {on}{from}."),
        "Was this you? Then you need not do anything. If not, press the link: that device is signed out, and you choose a \
         new password."
            .to_owned(),
    ]
}

fn address_changed(head: &Letterhead<'_>, report: &Report<'_>) -> Vec<String> {
    let service = head.brand.name.as_str();
    let new = report.detail.address.as_deref().unwrap_or("another one");
    vec![
        format!("The email address of your account at {service} was changed {}. It is now {new}.", on(head, report.at)),
        format!("If you did not want this, tell whoever runs {service} at once."),
    ]
}

/// How long the link works.
fn once(head: &Letterhead<'_>, report: &Report<'_>) -> String {
    match report.link {
        Some((_, until)) => format!("The link works once, until {}.", in_zone(until, head.zone)),
        None => "The link works once.".to_owned(),
    }
}

fn on(head: &Letterhead<'_>, at: Instant) -> String {
    format!("on {}", in_zone(at, head.zone))
}

fn from(report: &Report<'_>) -> String {
    report.detail.ip.as_ref().map(|ip| format!(", from the address {ip}")).unwrap_or_default()
}

/// A moment in the person's zone, or in UTC.
fn in_zone(at: Instant, zone: Option<&str>) -> String {
    let zone = zone.and_then(zone::named).unwrap_or(jiff::tz::TimeZone::UTC);
    at.timestamp().to_zoned_datetime(zone).strftime("%A %-d %B at %-H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::settings::Rgb;

    fn brand(accent: Option<Rgb>) -> BrandSettings {
        let contact = Some("Anna, help@example.com".to_owned());
        BrandSettings { name: "Surfside".into(), accent, contact, ..BrandSettings::default() }
    }

    fn mail(brand: &BrandSettings, kind: MailKind, link: Option<(String, Instant)>) -> Mail {
        let zone = Some("Europe/Berlin");
        let head = Letterhead { brand, origin: "https://id.example.com", person: "Kim <b>", zone };
        let detail = Detail {
            device: Some("Firefox on Linux".into()),
            ip: Some("192.0.2.1".into()),
            address: Some("new@example.com".into()),
            nonce: None,
            change: Some("An authenticator app was added".into()),
        };
        let at = Instant::from_micros(1_795_460_400_000_000);
        write(&head, &Report { kind, detail: &detail, at, link }, "kim@example.com", "mail_1").unwrap()
    }

    fn link(kind: MailKind) -> Option<(String, Instant)> {
        let has_none = label(kind).is_none();
        let until = Instant::from_micros(1_795_464_000_000_000);
        (!has_none).then(|| ("https://id.example.com/link/TOKEN".to_owned(), until))
    }

    #[test]
    fn a_name_with_a_link_is_not_used() {
        for name in ["Kim Lee", "Kim B. Lee", "Dr. Kim", "Søren", "O'Neil-Smith"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "WIN http://evil.example", "evil.example", "www.evil", "kim@example.com", "call: 1"] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn each_mail_says_the_same_in_both_parts_and_loads_nothing() {
        for kind in MailKind::ALL.iter().copied() {
            let mail = mail(&brand(None), kind, link(kind));
            assert!(mail.subject.contains("Surfside") && mail.text.starts_with("Hello Kim <b>,"), "{mail:?}");
            for odd in ["<b>,", "<img", "color:", "Sessile"] {
                assert!(!mail.html.contains(odd), "{odd}: {mail:?}");
            }
            if let Some((link, _)) = link(kind) {
                assert!(mail.text.contains(&link) && mail.html.contains(&format!("href=\"{link}\"")), "{mail:?}");
            }
            if kind == MailKind::NewDevice {
                assert!(mail.text.contains("Firefox on Linux") && mail.text.contains("192.0.2.1"), "{mail:?}");
            }
            if kind == MailKind::Invitation {
                assert!(mail.text.contains("The link works once, until "), "{mail:?}");
            }
        }
    }

    #[test]
    fn a_mail_has_the_operators_contact_and_accent() {
        let kind = MailKind::Invitation;
        let mail = mail(&brand(Some(Rgb([0xff, 0xee, 0x00]))), kind, link(kind));
        assert!(mail.text.contains("Anna, help@example.com"), "{mail:?}");
        assert!(mail.html.contains("href=\"mailto:help@example.com\""), "{mail:?}");
        assert!(
            mail.html.contains("color: #ffffff") && !mail.html.contains("#ffee00"),
            "too light for white: {mail:?}"
        );
    }
}
