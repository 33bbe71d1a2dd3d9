//! The log: on stderr, as text or as JSON, filtered as `SESSILE_LOG` says. Each request is a span with its id.
//!
//! Invariants: every line of a JSON log is one object, a panic's included; a line that cannot be written is lost and
//! stops nothing (`output`).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal as _, stderr};
use std::panic::PanicHookInfo;

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt};

use crate::base::{
    output,
    settings::{LogFormat, Settings},
};

/// What libraries say at these levels is noise, unless the filter names them: an ERROR for whatever anybody sends that
/// is no HTTP, and several lines about each start of their own.
const QUIET: [(&str, &str); 2] = [("actix_http::h1::dispatcher", "off"), ("actix_server", "warn")];

/// Starts logging.
///
/// # Errors
/// When the filter is none, in one line.
pub fn start(settings: &Settings) -> Result<(), String> {
    let bad = |error: &dyn std::fmt::Display| format!("SESSILE_LOG: {error}");
    let mut filter = EnvFilter::builder().parse(&settings.log).map_err(|error| bad(&error))?;
    for (target, level) in QUIET.iter().filter(|(target, _)| !settings.log.contains(target)) {
        // Whoever asks for more than usual gets it, and whoever asks for less has it already.
        if *level == "off" || filter.max_level_hint() == Some(LevelFilter::INFO) {
            filter = filter.add_directive(format!("{target}={level}").parse().map_err(|error| bad(&error))?);
        }
    }
    // The subscriber's own complaints would go to stderr with `eprintln!`, which panics when stderr is closed.
    let lines = fmt().with_env_filter(filter).with_writer(output::stderr).log_internal_errors(false);
    let started = match settings.log_format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))?;
    // The usual hook writes to stderr itself: it would wait for a full pipe, and its lines are no JSON.
    match settings.log_format {
        LogFormat::Text => std::panic::set_hook(Box::new(|panic| output::stderr().send(in_words(panic).into_bytes()))),
        LogFormat::Json => std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked"))),
    }
    Ok(())
}

/// As the usual hook says it, with a backtrace if `RUST_BACKTRACE` asks for one.
fn in_words(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => format!("{backtrace}\n"),
        _ => String::new(),
    };
    format!("thread '{}' {panic}\n{backtrace}", thread.name().unwrap_or("<unnamed>"))
}
