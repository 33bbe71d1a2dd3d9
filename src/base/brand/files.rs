//! A file that is made from the settings and served below `/static/brand/`. Used by [`brand`](super).

use std::io::{self, Write as _};

use actix_web::{http::header::ContentEncoding, web::Bytes};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

use crate::base::{
    assets::representations::Representations,
    error::{Error, Result},
};

const FOLDER: &str = "/static/brand/";

/// A file with its address.
#[derive(Debug)]
pub struct File {
    /// Such as `/static/brand/accent.3f2a04c1d9.css`.
    pub path: String,
    /// The first ten hexadecimal digits of the SHA-256 of the content, as for every static file.
    pub fingerprint: String,
    pub content_type: &'static str,
    pub representations: Representations,
    name: &'static str,
}

impl File {
    pub(super) fn new(name: &'static str, content: Vec<u8>) -> Result<Self> {
        let fingerprint: String = Sha256::digest(&content).iter().take(5).map(|byte| format!("{byte:02x}")).collect();
        let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
        let content_type = match extension {
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml; charset=utf-8",
            _ => "image/png",
        };
        let gzip = if extension == "png" { None } else { Some(gzip(&content).map_err(Error::bug)?) };
        let gzip = gzip.map(|gzip| (ContentEncoding::Gzip, Bytes::from(gzip)));
        let contents = gzip.into_iter().chain([(ContentEncoding::Identity, Bytes::from(content))]);
        let representations = Representations::new(content_type, &fingerprint, contents)?;
        Ok(Self {
            path: format!("{FOLDER}{stem}.{fingerprint}.{extension}"),
            fingerprint,
            content_type,
            representations,
            name,
        })
    }

    /// Whether the file is a document in which a browser would run scripts.
    pub fn is_svg(&self) -> bool {
        self.content_type.starts_with("image/svg")
    }

    pub(super) fn is_at_another_fingerprint(&self, path: &str) -> bool {
        let (stem, extension) = self.name.split_once('.').unwrap_or((self.name, ""));
        let print = path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix(stem)?.strip_suffix(extension));
        let print = print.and_then(|print| print.strip_prefix('.')?.strip_suffix('.'));
        print.is_some_and(|print| print.len() == 10 && print.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}
