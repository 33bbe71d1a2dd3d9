//! The settings that make a service the operator's own: name, logo, accent colour, contact and privacy page. Called by
//! the settings check; `base::brand` makes what pages show from them.
//!
//! Invariant: every text here is one visible line.

use std::path::PathBuf;

use url::Url;

use super::{
    input::{Input, Refused},
    values::{self, quoted},
};
use crate::base::text;

/// Characters of a name.
const LONGEST_NAME: usize = 40;
/// Characters of a contact.
const LONGEST_CONTACT: usize = 200;

/// How the service presents itself. The files are not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrandSettings {
    /// 1 to 40 characters.
    pub name: String,
    /// An SVG or PNG file.
    pub logo: Option<PathBuf>,
    pub accent: Option<Rgb>,
    /// Whom people ask for help.
    pub contact: Option<String>,
    /// An http or https URL.
    pub privacy_url: Option<String>,
}

impl Default for BrandSettings {
    fn default() -> Self {
        Self { name: "Sessile".to_owned(), logo: None, accent: None, contact: None, privacy_url: None }
    }
}

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub [u8; 3]);

impl BrandSettings {
    pub(super) fn read(input: &mut Input) -> Result<Self, Refused> {
        let name = input.read("SESSILE_NAME", name);
        let logo = input.read_if_set("SESSILE_LOGO", values::file);
        let accent = input.read_if_set("SESSILE_ACCENT", Rgb::parse);
        let contact = input.read_if_set("SESSILE_CONTACT", contact);
        let privacy_url = input.read_if_set("SESSILE_PRIVACY_URL", web_page);
        Ok(Self { name: name?, logo: logo?, accent: accent?, contact: contact?, privacy_url: privacy_url? })
    }
}

impl Rgb {
    /// Parses `#rrggbb`.
    fn parse(value: &str) -> Result<Self, String> {
        let wrong =
            || format!("{} is not a colour: write # and six hexadecimal digits, such as #0b6e63", quoted(value));
        let digits = value
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let number = u32::from_str_radix(digits.ok_or_else(wrong)?, 16).map_err(|_| wrong())?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }
}

fn name(value: &str) -> Result<String, String> {
    visible_line(value, LONGEST_NAME, "a name")
}

fn contact(value: &str) -> Result<String, String> {
    visible_line(value, LONGEST_CONTACT, "a contact")
}

fn visible_line(value: &str, longest: usize, what: &str) -> Result<String, String> {
    let line = value.trim();
    if line.chars().count() > longest {
        return Err(format!("{} is too long: write at most {longest} characters", quoted(value)));
    }
    if !text::is_name(line) {
        return Err(format!("{} is not {what}: write visible characters on one line", quoted(value)));
    }
    Ok(line.to_owned())
}

fn web_page(value: &str) -> Result<String, String> {
    let is_plain = value.bytes().all(|byte| byte > b' ' && byte != b'\\' && byte != 0x7f);
    let rest = value.split_once("://").map_or("/", |(_, rest)| rest);
    match Url::parse(value) {
        Ok(url)
            if is_plain
                && matches!(url.scheme(), "http" | "https")
                && !rest.starts_with('/')
                && url.username().is_empty()
                && url.password().is_none() =>
        {
            Ok(url.into())
        }
        _ => Err(format!(
            "{} is not the address of a page: write one such as https://example.com/privacy",
            quoted(value)
        )),
    }
}
