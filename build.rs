//! Embeds the files of `static/`. Each file gets a fingerprint (`src/base/assets/fingerprint.rs`) and compressed copies
//! where these are smaller. `src/base/assets` includes the generated table. The same files always produce the same
//! table.

#[path = "src/base/assets/fingerprint.rs"]
mod fingerprint;
#[path = "src/base/assets/references.rs"]
mod references;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fingerprint::Printed;
use flate2::{Compression, write::GzEncoder};

/// The content type of each file extension, and whether files of that type are worth compressing.
const TYPES: &[(&str, &str, bool)] = &[
    ("avif", "image/avif", false),
    ("css", "text/css; charset=utf-8", true),
    ("gif", "image/gif", false),
    ("html", "text/html; charset=utf-8", true),
    ("ico", "image/x-icon", true),
    ("jpeg", "image/jpeg", false),
    ("jpg", "image/jpeg", false),
    ("js", "text/javascript; charset=utf-8", true),
    ("json", "application/json", true),
    ("map", "application/json", true),
    ("mjs", "text/javascript; charset=utf-8", true),
    ("png", "image/png", false),
    ("svg", "image/svg+xml; charset=utf-8", true),
    ("txt", "text/plain; charset=utf-8", true),
    ("webmanifest", "application/manifest+json; charset=utf-8", true),
    ("webp", "image/webp", false),
    ("woff2", "font/woff2", false),
    ("xml", "application/xml; charset=utf-8", true),
];

/// The style sheet that pages load, and the files that it is made of, in this order. As files of their own, most would
/// be smaller than the headers of their answers.
const SHEET: (&str, &[&str]) = (
    "css/pages.css",
    &["shell", "card", "form", "dashboard", "devices", "apps", "people", "security", "passkey", "drafts", "app"],
);

fn main() -> Result<(), String> {
    rerun_if_changed();
    let out = out_dir()?;
    let mut files = BTreeMap::new();
    read(Path::new("static"), "", &mut files)?;
    join_sheets(&mut files)?;
    let mut table = String::from("&[\n");
    for (number, (name, file)) in fingerprint::print_all(&files)?.iter().enumerate() {
        let entry = entry(&out, number, name, file).map_err(|error| format!("static/{name}: {error}"))?;
        table.push_str(&entry);
    }
    table.push_str("]\n");
    fs::write(out.join("assets.rs"), table).map_err(|error| error.to_string())
}

fn rerun_if_changed() {
    println!("cargo::rerun-if-changed=static");
    // The macro that embeds the migrations cannot register this itself.
    println!("cargo::rerun-if-changed=migrations");
}

#[expect(clippy::disallowed_methods, reason = "Cargo passes OUT_DIR to a build script in the environment")]
fn out_dir() -> Result<PathBuf, String> {
    std::env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| "OUT_DIR is not set".to_owned())
}

/// Reads a folder and its subfolders. Skips names that begin with a dot, and fails for names that would need escaping
/// in a URL.
fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let with_path = |error: io::Error| format!("{}: {error}", folder.display());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(with_path)?,
    };
    for entry in entries {
        let entry = entry.map_err(with_path)?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        if file_name.starts_with('.') {
            continue;
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !file_name.chars().all(is_plain) {
            return Err(format!("{prefix}{file_name}: use letters, digits, dots and dashes only"));
        }
        let (path, name) = (entry.path(), format!("{prefix}{file_name}"));
        if path.is_dir() {
            read(&path, &format!("{name}/"), files)?;
        } else {
            files.insert(name, fs::read(&path).map_err(with_path)?);
        }
    }
    Ok(())
}

fn join_sheets(files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let (name, parts) = SHEET;
    let mut joined = Vec::new();
    for part in parts {
        let part = format!("css/{part}.css");
        joined.extend(files.remove(&part).ok_or_else(|| format!("static/{part} is missing"))?);
    }
    files.insert(name.to_owned(), joined);
    Ok(())
}

/// Writes a file's contents and compressed copies to `out`, and returns its entry in the table.
fn entry(out: &Path, number: usize, name: &str, file: &Printed) -> io::Result<String> {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let (_, content_type, is_text) = TYPES.iter().find(|(known, _, _)| *known == extension).copied().unwrap_or((
        "",
        "application/octet-stream",
        false,
    ));
    let embed = |content: &[u8], suffix: &str| {
        let embedded = format!("{number}.{suffix}");
        fs::write(out.join(&embedded), content)?;
        Ok::<_, io::Error>(format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{embedded}\"))"))
    };
    let mut fields = format!(
        "name: {name:?}, path: {:?}, content_type: {content_type:?}, fingerprint: {:?}, plain: {}",
        file.path,
        file.fingerprint,
        embed(&file.content, "plain")?
    );
    for (field, compress) in [("brotli", brotli as Compress), ("gzip", gzip)] {
        let compressed = if is_text { Some(compress(&file.content)?) } else { None };
        let content = match compressed.filter(|compressed| compressed.len() < file.content.len()) {
            Some(compressed) => format!("Some({})", embed(&compressed, field)?),
            None => "None".to_owned(),
        };
        write!(fields, ", {field}: {content}").map_err(io::Error::other)?;
    }
    Ok(format!("    Asset {{ {fields} }},\n"))
}

type Compress = fn(&[u8]) -> io::Result<Vec<u8>>;

fn brotli(content: &[u8]) -> io::Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams { quality: 11, size_hint: content.len(), ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &*content, &mut compressed, &params)?;
    Ok(compressed)
}

fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}
