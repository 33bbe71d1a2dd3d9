//! The log line that says how a request was answered. The outermost layer makes one for each request, and the writer
//! thread of [`output`](super::output) formats it, because tracing would take longer than most answers.
//!
//! Invariant: the line is the one that `tracing_subscriber` would write in the request's span.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::{Method, StatusCode, Uri};

use crate::base::{
    app_paths::{names_gate, names_link},
    request_id::RequestId,
    rfc3339::{self, Fraction},
    settings::LogFormat,
    text,
};

/// The most characters of a path in the log, so that long paths cannot fill the disk.
const LONGEST_PATH: usize = 256;
/// A gate's address without its token, which proves the proxy.
const GATE_WITHOUT_TOKEN: &str = "/.sessile/gate/…";
/// The address of a one-time link without its token.
const LINK_WITHOUT_TOKEN: &str = "/link/…";
/// A path with a token where none belongs: somebody mistyped the address of a link.
const PATH_WITHOUT_TOKEN: &str = "/…";
/// The length of a token, in base64url.
const TOKEN: usize = 43;
/// The target of the request's span and of this line, for filters.
pub const TARGET: &str = "sessile::web::edge";
/// The length of a line without the path.
const LINE: usize = 192;

/// The line about an answer.
pub struct AnsweredLine {
    pub at: SystemTime,
    pub id: RequestId,
    pub method: Method,
    pub uri: Uri,
    pub status: StatusCode,
    pub ms: u64,
    pub format: LogFormat,
}

impl AnsweredLine {
    /// The approximate size of the line, and of this value in memory.
    pub fn size(&self) -> usize {
        LINE + self.uri.path_and_query().map_or(0, |part| part.as_str().len())
    }

    /// Appends the line as `tracing_subscriber` writes it.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self.format {
            LogFormat::Text => self.write_text(out),
            LogFormat::Json => self.write_json(out),
        }
    }

    fn write_text(&self, out: &mut Vec<u8>) {
        self.write_time(out);
        let (id, method) = (self.id.as_str(), self.method.as_str());
        write_all(out, ["  INFO request{id=", id, " method=", method, " path=", &self.path(), "}: ", TARGET]);
        write_all(out, [": answered status=", self.status.as_str(), " ms=", &self.ms.to_string(), "\n"]);
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        write_all(out, ["{\"timestamp\":\""]);
        self.write_time(out);
        let ms = self.ms.to_string();
        write_all(
            out,
            ["\",\"level\":\"INFO\",\"message\":\"answered\",\"status\":", self.status.as_str(), ",\"ms\":", &ms],
        );
        write_all(out, [",\"target\":\"", TARGET, "\",\"span\":{\"id\":\"", self.id.as_str(), "\",\"method\":\""]);
        write_all(out, [self.method.as_str(), "\",\"path\":"]);
        // Cannot fail: a text is valid JSON, and a vector takes every byte.
        let _ = serde_json::to_writer(&mut *out, &*self.path());
        write_all(out, [",\"name\":\"request\"}}\n"]);
    }

    fn write_time(&self, out: &mut Vec<u8>) {
        let since_1970 = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        rfc3339::write(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX), Fraction::Micros, out);
    }

    fn path(&self) -> Cow<'_, str> {
        shortened_path(&self.uri)
    }
}

/// The path of an address as log lines show it: shortened, and without a token.
pub fn shortened_path(uri: &Uri) -> Cow<'_, str> {
    match uri.path() {
        path if names_gate(path) => Cow::Borrowed(GATE_WITHOUT_TOKEN),
        path if names_link(path) => Cow::Borrowed(LINK_WITHOUT_TOKEN),
        path if path.len() > TOKEN && path.split('/').any(may_be_token) => Cow::Borrowed(PATH_WITHOUT_TOKEN),
        path if path.len() <= LONGEST_PATH => Cow::Borrowed(path),
        path => Cow::Owned(text::shortened(path, LONGEST_PATH)),
    }
}

/// Whether a segment of a path may be a token, or contain one.
fn may_be_token(segment: &str) -> bool {
    let is_of_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    segment.as_bytes().split(|byte| !is_of_token(byte)).any(|part| part.len() == TOKEN)
}

fn write_all<const PARTS: usize>(out: &mut Vec<u8>, parts: [&str; PARTS]) {
    parts.into_iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use tracing_subscriber::fmt::{MakeWriter, fmt, format::Writer, time::FormatTime};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Writes the time of the line under test.
    #[derive(Clone, Copy)]
    struct At(i64);

    impl FormatTime for At {
        fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
            let mut out = Vec::new();
            rfc3339::write(self.0, Fraction::Micros, &mut out);
            writer.write_str(std::str::from_utf8(&out).unwrap())
        }
    }

    const MICROS: u64 = 1_795_460_400_123_456;

    fn line(path: &str, format: LogFormat) -> AnsweredLine {
        let at = UNIX_EPOCH + Duration::from_micros(MICROS);
        let (id, uri) = (RequestId::random().unwrap(), path.parse().unwrap());
        AnsweredLine { at, id, method: Method::GET, uri, status: StatusCode::OK, ms: 12, format }
    }

    fn formatted(line: &AnsweredLine) -> String {
        let mut out = Vec::new();
        line.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The same line, logged by tracing in a span.
    fn log(line: &AnsweredLine) {
        let path = shortened_path(&line.uri);
        tracing::error_span!(target: TARGET, "request", id = %line.id, method = %line.method, %path)
            .in_scope(|| tracing::info!(target: TARGET, status = line.status.as_u16(), ms = line.ms, "answered"));
    }

    #[test]
    fn tokens_in_paths_are_not_in_the_line() {
        for path in
            ["/.sessile/gate/TOKEN", "/.sessile/gate/TOKEN?a=b", "/%2esessile/g%61te/TOKEN", "/.sessile/gate/TOKEN/x"]
        {
            assert_eq!(shortened_path(&path.parse().unwrap()), "/.sessile/gate/…", "{path}");
        }
        for path in ["/link/TOKEN", "/link/TOKEN?a=b", "/l%69nk/TOKEN", "/link%2FTOKEN"] {
            assert_eq!(shortened_path(&path.parse().unwrap()), "/link/…", "{path}");
        }
        assert_eq!(shortened_path(&"/.sessile/done?code=SECRET".parse().unwrap()), "/.sessile/done");
    }

    #[test]
    fn it_is_the_line_that_tracing_writes() {
        let at = At(MICROS.try_into().unwrap());
        for path in ["/", "/api/session?a=b", "/a\"b{}%22", &format!("/{}", "x".repeat(300)), "*"] {
            let line_of = |format| line(path, format);
            let written = Lines::default();
            let plain = fmt().with_ansi(false).with_writer(written.clone()).with_timer(at).finish();
            let expected = line_of(LogFormat::Text);
            tracing::subscriber::with_default(plain, || log(&expected));
            assert_eq!(formatted(&expected), written.text());
            let json = fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
            let expected = line_of(LogFormat::Json);
            let json = json.with_writer(written.clone()).with_timer(at).finish();
            tracing::subscriber::with_default(json, || log(&expected));
            assert_eq!(formatted(&expected), written.text());
        }
    }
}
