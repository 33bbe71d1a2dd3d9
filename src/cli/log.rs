//! The log: on stderr, as text or as JSON, filtered as `SESSILE_LOG` says. Each request is a span with its id.
//!
//! Invariant: every line of a JSON log is one object, a panic's included.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::{LogFormat, Settings};

/// Says an ERROR for whatever anybody sends that is no HTTP; silent unless the filter names it.
const NOISE: &str = "actix_http::h1::dispatcher";

/// Starts logging.
///
/// # Errors
/// When the filter is none, in one line.
pub fn start(settings: &Settings) -> Result<(), String> {
    let bad = |error: &dyn std::fmt::Display| format!("SESSILE_LOG: {error}");
    let mut filter = EnvFilter::builder().parse(&settings.log).map_err(|error| bad(&error))?;
    if !settings.log.contains(NOISE) {
        filter = filter.add_directive(format!("{NOISE}=off").parse().map_err(|error| bad(&error))?);
    }
    let lines = fmt().with_env_filter(filter).with_writer(stderr);
    let started = match settings.log_format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))?;
    if settings.log_format == LogFormat::Json {
        // The usual words of a panic are lines that are no JSON.
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    }
    Ok(())
}
