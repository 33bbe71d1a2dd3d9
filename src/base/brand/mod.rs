//! What makes a service the operator's own on every page: its name, logo, accent colour, contact and privacy page.
//! Read once at the start, and kept by the site.
//!
//! Invariant: the files here are served at addresses with a hash of their content, so they may be cached for ever.

pub mod accent;
pub mod contact;
mod files;
mod icons;
pub mod logo;
mod oklch;
mod png;

use std::sync::Arc;

pub use files::File;

use self::{accent::Shades, contact::Contact, logo::Logo};
use crate::base::{
    assets,
    error::Result,
    settings::{BrandSettings, Rgb},
};

/// A handle of the brand. Cheap to clone; the default is our own name and mark.
#[derive(Debug, Clone, Default)]
pub struct Brand(Arc<BrandState>);

impl std::ops::Deref for Brand {
    type Target = BrandState;

    fn deref(&self) -> &BrandState {
        &self.0
    }
}

/// The brand itself.
#[derive(Debug)]
pub struct BrandState {
    pub name: String,
    pub contact: Option<Contact>,
    pub privacy_url: Option<String>,
    /// The style sheet that sets the accent colour.
    pub style: Option<File>,
    /// The picture shown instead of the mark.
    pub logo: Option<File>,
    /// Both for pages that can fetch nothing.
    pub inline: Inline,
    favicon: Option<File>,
    icons: Option<Icons>,
}

/// Style and logo as parts of a page.
#[derive(Debug, Default)]
pub struct Inline {
    /// The text of the style sheet; empty without an accent.
    pub style: String,
    /// A `data:` address. None for a logo that would make every page large.
    pub logo: Option<String>,
}

/// The icons of the installed app, if they are not our own as they are.
#[derive(Debug)]
struct Icons {
    /// For the manifest.
    listed: Vec<Icon>,
    /// A PNG for Safari, which takes nothing else.
    touch: Option<File>,
}

/// An icon in the manifest.
#[derive(Debug)]
pub struct Icon {
    pub file: File,
    /// Such as `512x512`. An SVG has every size; some browsers look for the two that they need.
    pub sizes: &'static str,
    pub purpose: &'static str,
}

impl Default for BrandState {
    fn default() -> Self {
        let BrandSettings { name, privacy_url, .. } = BrandSettings::default();
        Self {
            name,
            contact: None,
            privacy_url,
            style: None,
            logo: None,
            inline: Inline::default(),
            favicon: None,
            icons: None,
        }
    }
}

impl Brand {
    /// Reads the logo, and makes the shades and icons.
    ///
    /// # Errors
    /// One line about the logo.
    pub fn read(settings: &BrandSettings) -> Result<Self> {
        let logo = settings.logo.as_deref().map(Logo::read).transpose()?;
        let shades = settings.accent.map(Shades::of);
        let inline = Inline {
            style: shades.as_ref().map(accent::style_sheet).unwrap_or_default(),
            logo: logo.as_ref().and_then(Logo::inline),
        };
        let style = shades.map(|_| File::new("accent.css", inline.style.clone().into_bytes()));
        let ground = shades.map(|[light, _]| light.accent);
        let (favicon, icons) = match (&logo, ground) {
            (Some(Logo::Svg(content)), _) => (None, Some(Icons::with_logo(content, ground)?)),
            (Some(Logo::Png(_)), Some(ground)) => (None, Some(Icons::with_ground(ground)?)),
            (None, Some(ground)) => {
                (Some(File::new("favicon.svg", icons::favicon(ground)?)?), Some(Icons::with_ground(ground)?))
            }
            (_, None) => (None, None),
        };
        let logo = logo.map(|logo| match logo {
            Logo::Svg(content) => File::new("logo.svg", content),
            Logo::Png(content) => File::new("logo.png", content),
        });
        Ok(Self(Arc::new(BrandState {
            name: settings.name.clone(),
            contact: settings.contact.as_deref().map(Contact::of),
            privacy_url: settings.privacy_url.clone(),
            style: style.transpose()?,
            logo: logo.transpose()?,
            inline,
            favicon,
            icons,
        })))
    }
}

impl BrandState {
    /// Whether pages look as they do without settings, apart from contact and privacy page.
    pub fn is_our_own(&self) -> bool {
        self.style.is_none() && self.logo.is_none() && self.name == BrandSettings::default().name
    }

    /// The address of the picture in the browser's tab.
    pub fn favicon(&self) -> &str {
        self.favicon
            .as_ref()
            .or(self.logo.as_ref())
            .map_or_else(|| assets::path("icons/favicon.svg"), |file| &file.path)
    }

    /// The address of the icon for a home screen that takes only PNG.
    pub fn touch_icon(&self) -> &str {
        let own = self.icons.as_ref().and_then(|icons| icons.touch.as_ref());
        own.map_or_else(|| assets::path("install/apple-touch-icon.png"), |file| &file.path)
    }

    /// The icons in the manifest; none if our own are to be used as they are.
    pub fn icons(&self) -> &[Icon] {
        self.icons.as_ref().map(|icons| &icons.listed[..]).unwrap_or_default()
    }

    /// The files that pages use.
    pub fn page_files(&self) -> impl Iterator<Item = &File> {
        [&self.style, &self.logo, &self.favicon].into_iter().flatten()
    }

    /// The file at this address.
    pub fn find(&self, path: &str) -> Option<&File> {
        self.all_files().find(|file| file.path == path)
    }

    /// The current file for an address with another fingerprint: a page of a node with older settings asks for it.
    pub fn find_outdated(&self, path: &str) -> Option<&File> {
        self.all_files().find(|file| file.is_at_another_fingerprint(path))
    }

    fn all_files(&self) -> impl Iterator<Item = &File> {
        let icons = self.icons.iter().flat_map(|icons| icons.listed.iter().map(|icon| &icon.file).chain(&icons.touch));
        self.page_files().chain(icons)
    }
}

impl Icons {
    fn with_ground(ground: Rgb) -> Result<Self> {
        let own = |name: &'static str, sizes, purpose| -> Result<Icon> {
            let content = icons::own(&format!("install/{name}"), ground)?;
            Ok(Icon { file: File::new(name, content)?, sizes, purpose })
        };
        let listed = vec![
            own("icon-192.png", "192x192", "any")?,
            own("icon-512.png", "512x512", "any")?,
            own("maskable-512.png", "512x512", "maskable")?,
        ];
        Ok(Self { listed, touch: Some(touch_icon(ground)?) })
    }

    fn with_logo(logo: &[u8], ground: Option<Rgb>) -> Result<Self> {
        let drawn = |name, maskable, purpose| -> Result<Icon> {
            Ok(Icon { file: File::new(name, icons::with_logo(logo, maskable))?, sizes: "192x192 512x512 any", purpose })
        };
        let listed = vec![drawn("icon.svg", false, "any")?, drawn("maskable.svg", true, "maskable")?];
        Ok(Self { listed, touch: ground.map(touch_icon).transpose()? })
    }
}

fn touch_icon(ground: Rgb) -> Result<File> {
    File::new("apple-touch-icon.png", icons::own("install/apple-touch-icon.png", ground)?)
}
