//! What the pages on apps' hosts show of the operator: name, logo, colour and contact. Each page contains all of it,
//! because every other address there belongs to the app. Made once, at the start.
//!
//! Invariant: the policy allows exactly the style that the pages contain.

use actix_web::http::header::HeaderValue;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use crate::base::{
    brand::Brand,
    error::{Error, Result},
};

const STYLE: &str = include_str!("../../templates/app_host/page.css");

/// The parts of these pages that do not depend on the request.
#[derive(Debug)]
pub struct Face {
    pub(super) brand: Brand,
    pub(super) style: String,
    policy: HeaderValue,
    frame_policy: HeaderValue,
}

impl Face {
    /// # Errors
    /// None that can happen: the policy is plain text.
    pub fn new(brand: Brand) -> Result<Self> {
        let style = format!("{STYLE}{}", brand.inline.style);
        let hash = BASE64_STANDARD.encode(Sha256::digest(&style));
        let pictures = if brand.inline.logo.is_some() { "img-src data:; " } else { "" };
        let policy = |ancestors: &str| {
            HeaderValue::try_from(format!(
                "default-src 'none'; style-src 'sha256-{hash}'; {pictures}base-uri 'none'; form-action 'self'; \
                 frame-ancestors {ancestors}"
            ))
            .map_err(Error::bug)
        };
        Ok(Self { policy: policy("'none'")?, frame_policy: policy("'self'")?, brand, style })
    }

    /// The content security policy of a page. `in_frame` lets a frame of the app show the page.
    pub(super) fn policy(&self, in_frame: bool) -> HeaderValue {
        if in_frame { self.frame_policy.clone() } else { self.policy.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::settings::{BrandSettings, Rgb};

    /// The colours of each `:root` block, as (name, value), under the condition of the block.
    fn colours(css: &str) -> BTreeMap<(String, String), String> {
        let mut found = BTreeMap::new();
        for (at, _) in css.match_indices(":root") {
            let before = css[..at].trim_end();
            let condition = before.strip_suffix('{').and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
            let block = css[at..].split_once('{').and_then(|(_, rest)| rest.split_once('}')).unwrap().0;
            for (name, value) in block.split(';').filter_map(|line| line.split_once(':')) {
                found.insert((condition.trim().to_owned(), name.trim().to_owned()), value.trim().to_owned());
            }
        }
        found
    }

    #[test]
    fn the_colours_are_those_of_all_pages() {
        let everywhere = colours(include_str!("../../static/css/base.css"));
        let here = colours(STYLE);
        assert!(here.len() > 20, "{here:?}");
        for (name, value) in &here {
            assert_eq!(everywhere.get(name), Some(value), "{name:?}");
        }
        let conditions: Vec<_> = here.keys().map(|(condition, _)| condition).collect();
        assert!(everywhere.keys().all(|(condition, _)| conditions.contains(&condition)), "{conditions:?}");
    }

    #[test]
    fn the_policy_names_the_style_of_the_operator() {
        let accent = BrandSettings { accent: Some(Rgb([0xc2, 0x18, 0x5b])), ..BrandSettings::default() };
        let faces = [Brand::default(), Brand::read(&accent).unwrap()].map(|brand| Face::new(brand).unwrap());
        assert_eq!(faces[0].style, STYLE);
        assert!(faces[1].style.starts_with(STYLE) && faces[1].style.contains("--accent:#c2185b"));
        for face in &faces {
            let hash = BASE64_STANDARD.encode(Sha256::digest(&face.style));
            for policy in [face.policy(true), face.policy(false)] {
                let policy = policy.to_str().unwrap();
                assert!(policy.contains(&format!("'sha256-{hash}'")) && !policy.contains("img-src"), "{policy}");
            }
        }
    }
}
