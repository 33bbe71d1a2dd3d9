//! The icons of the installed app, in the operator's accent colour or made from the operator's logo. Called by
//! [`brand`](super).

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{accent::hex, png};
use crate::base::{
    assets,
    error::{Error, Result},
    settings::Rgb,
};

/// The ground of our own icons, in `static/icons` and `static/install`.
const OWN_GROUND: Rgb = Rgb([0x0b, 0x6e, 0x63]);
/// Side of a drawn icon, and of the logo in it. An icon that is cut to a circle shows the middle 80 % (W3C, Web
/// Application Manifest, safe zone), whose square has 56 % of the side.
const SIDE: u32 = 512;
const LOGO_SIDE: u32 = 384;
const LOGO_SIDE_MASKABLE: u32 = 280;

/// The favicon with another ground.
pub fn favicon(ground: Rgb) -> Result<Vec<u8>> {
    let own = text_of("icons/favicon.svg")?;
    Ok(own.replace(&hex(OWN_GROUND), &hex(ground)).into_bytes())
}

/// One of our own icons with another ground.
pub fn own(name: &str, ground: Rgb) -> Result<Vec<u8>> {
    let asset = assets::named(name).ok_or_else(|| Error::bug(format!("static/{name} is missing")))?;
    png::with_ground(asset.plain, OWN_GROUND, ground).map_err(|problem| Error::bug(format!("static/{name}: {problem}")))
}

/// An icon with an SVG logo on white. The logo is embedded as a picture, so nothing in it can reach the rest.
pub fn with_logo(logo: &[u8], maskable: bool) -> Vec<u8> {
    let (side, round) = if maskable { (LOGO_SIDE_MASKABLE, 0) } else { (LOGO_SIDE, 112) };
    let at = (SIDE - side) / 2;
    let logo = BASE64_STANDARD.encode(logo);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{SIDE}\" height=\"{SIDE}\" viewBox=\"0 0 {SIDE} {SIDE}\">\
         <rect width=\"{SIDE}\" height=\"{SIDE}\" rx=\"{round}\" fill=\"#fff\"/>\
         <image x=\"{at}\" y=\"{at}\" width=\"{side}\" height=\"{side}\" href=\"data:image/svg+xml;base64,{logo}\"/></svg>"
    )
    .into_bytes()
}

fn text_of(name: &str) -> Result<&'static str> {
    let asset = assets::named(name).ok_or_else(|| Error::bug(format!("static/{name} is missing")))?;
    std::str::from_utf8(asset.plain).map_err(Error::bug)
}
