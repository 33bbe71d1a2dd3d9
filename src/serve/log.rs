//! The log on stderr, as text or JSON, filtered by `SESSILE_LOG`. Each request is a span with its id. Called by the
//! commands.
//!
//! Invariant: every line of a JSON log is one object, including panics. A line that cannot be written is lost and
//! blocks nothing (see `output`).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal as _, stderr};
use std::panic::PanicHookInfo;

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt, util::SubscriberInitExt as _};

use crate::base::{
    output,
    request_log::{self, LinesOfRequests},
    settings::{LogFormat, Settings},
};

/// Levels of noisy libraries, unless the filter names them. The dispatcher logs an ERROR for all input that is not
/// HTTP, the server logs several lines at each start, and webauthn-rs logs an ERROR for answers that it refuses.
const QUIET: [(&str, &str); 3] =
    [("actix_http::h1::dispatcher", "off"), ("actix_server", "warn"), ("webauthn_rs_core", "off")];

/// Starts logging.
///
/// # Errors
/// One line, if the filter is invalid.
pub fn start(settings: &Settings) -> Result<(), String> {
    let bad = |error: &dyn std::fmt::Display| format!("SESSILE_LOG: {error}");
    let mut filter = EnvFilter::builder().parse(&settings.log).map_err(|error| bad(&error))?;
    for (target, level) in QUIET.iter().filter(|(target, _)| !settings.log.contains(target)) {
        // Apply `warn` only if the filter's level is `info`. A more detailed filter should show these lines, and a
        // stricter filter already hides them.
        if *level == "off" || filter.max_level_hint() == Some(LevelFilter::INFO) {
            filter = filter.add_directive(format!("{target}={level}").parse().map_err(|error| bad(&error))?);
        }
    }
    // The subscriber reports its own errors with `eprintln!`, which panics when stderr is closed.
    let lines = fmt().with_env_filter(filter).with_writer(output::stderr).log_internal_errors(false);
    // A filter on spans needs the span before it decides about a line.
    let has_late_spans = !settings.log.contains('[');
    let is_terminal = stderr().is_terminal();
    let started = match settings.log_format {
        LogFormat::Text if has_late_spans && !is_terminal => {
            request_log::make_spans_late(LogFormat::Text);
            LinesOfRequests(lines.with_ansi(false).finish()).try_init()
        }
        LogFormat::Text => lines.with_ansi(is_terminal).finish().try_init(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false).finish();
            if has_late_spans {
                request_log::make_spans_late(LogFormat::Json);
                LinesOfRequests(lines).try_init()
            } else {
                lines.try_init()
            }
        }
    };
    started.map_err(|error| format!("starting the log failed: {error}"))?;
    // The default panic hook writes to stderr directly: it blocks on a full pipe, and its lines are not JSON.
    match settings.log_format {
        LogFormat::Text => {
            std::panic::set_hook(Box::new(|panic| output::stderr().send(panic_message(panic).into_bytes())))
        }
        LogFormat::Json => std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked"))),
    }
    Ok(())
}

/// The message of the default panic hook, with a backtrace if `RUST_BACKTRACE` enables it.
fn panic_message(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => format!("{backtrace}\n"),
        _ => String::new(),
    };
    format!("thread '{}' {panic}\n{backtrace}", thread.name().unwrap_or("<unnamed>"))
}
