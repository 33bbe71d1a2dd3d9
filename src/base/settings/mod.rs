//! Every setting, with its flag, its variable, its default and its check. The commands read the settings once, at the
//! start, and pass [`Settings`] down.
//!
//! Invariant: no other code reads the environment, and every [`Settings`] value has been checked as a whole.

mod args;
mod brand;
mod input;
mod links;
mod mail;
mod public_url;
#[cfg(test)]
mod tests;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use args::{PlaceArgs, SettingsArgs};
pub use brand::{BrandSettings, Rgb};
pub use mail::{MailSettings, SmtpSecurity, SmtpServer};
pub use public_url::PublicUrl;

use crate::base::database_url::{DatabaseUrl, PostgresUrl};
use input::{Input, Refused};

/// All settings, checked together. `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: DatabaseUrl,
    /// The same PostgreSQL database without a connection pooler, for LISTEN. `None`: use `database`.
    pub listen_database: Option<PostgresUrl>,
    /// Address to listen on. Port 0 lets the operating system choose a port.
    pub listen: SocketAddr,
    /// The origin that browsers see. `None`: [`PublicUrl::localhost`], once the port is known.
    pub public_url: Option<PublicUrl>,
    /// Certificate and key. `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Networks whose forwarding headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    pub key_file: PathBuf,
    /// Name, logo, colour, contact and privacy page.
    pub brand: BrandSettings,
    /// Who may create an account.
    pub signup: Signup,
    /// Who must have a second factor.
    pub second_factor: SecondFactorRule,
    /// Minimum length in characters of a new password of an account without a second factor, 8 to 64.
    pub password_min: usize,
    /// The mail server. `None`: no mail is sent.
    pub mail: Option<MailSettings>,
    /// Time from a session's last activity to its end. Longer than the touch interval.
    pub idle_ttl: Duration,
    /// Time from login to a session's end. At least the idle time.
    pub absolute_ttl: Duration,
    /// Shortest time between two writes of one session's activity. Never zero.
    pub touch_interval: Duration,
    /// Time between two sweeps. `None`: the server does not sweep.
    pub prune_interval: Option<Duration>,
    /// Time after which IP addresses are wiped.
    pub address_ttl: Duration,
    /// Audit events older than this are removed.
    pub audit_ttl: Duration,
    /// Maximum number of database connections, at least 1.
    pub pool_max: usize,
    /// How long a request waits for a database connection. Never zero.
    pub pool_timeout: Duration,
    /// Deadline of a statement. Whole milliseconds that fit an i32, never zero.
    pub statement_timeout: Duration,
    /// Maximum number of live sessions of one account. `None`: no limit.
    pub sessions_per_account: Option<u32>,
    /// Maximum size in bytes of the texts of all drafts of one account. Never zero.
    pub drafts_max: u64,
    /// Whether sessions may be read from memory while that is safe.
    pub session_cache: bool,
    /// Maximum size in bytes of the sessions in memory. Never zero.
    pub session_cache_max: u64,
    /// Threads that answer requests, 1 to 512.
    pub workers: usize,
    /// A valid tracing filter.
    pub log: String,
    pub log_format: LogFormat,
}

/// The PEM files for TLS. The settings check does not read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, with the server's certificate first.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

/// Who may create an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signup {
    /// Only an administrator.
    Closed,
    /// Anyone, once there is an owner.
    Open,
}

/// Who must have a second factor. Everyone else may have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactorRule {
    Off,
    /// Owners and admins.
    Admins,
    Everyone,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The words of `SESSILE_SECOND_FACTOR`.
const SECOND_FACTOR_RULES: [(&str, SecondFactorRule); 3] = [
    ("optional", SecondFactorRule::Off),
    ("admins", SecondFactorRule::Admins),
    ("everyone", SecondFactorRule::Everyone),
];

/// The reasons why the settings are refused. `Display` is one line that names each bad variable or flag and says what
/// to write instead. It never contains a database password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct SettingsError {
    problems: Vec<String>,
}

/// Reads the duration of a command's own flag, such as `--ttl 24h`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn duration_of_flag(value: &str) -> Result<Duration, String> {
    values::duration(value)
}

/// The environment of this process, for [`SettingsArgs::check`]. Invalid UTF-8 becomes U+FFFD, which the check refuses.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

impl SettingsArgs {
    /// Checks flags, environment and defaults together. A flag takes precedence over its variable.
    ///
    /// # Errors
    /// All problems at once: invalid or empty values, settings that contradict each other, and unknown `SESSILE_…`
    /// variables.
    pub fn check(self, env: impl Iterator<Item = (String, String)>) -> Result<Settings, SettingsError> {
        let mut input = Input::new(self.into_table(), env);
        let settings = read(&mut input);
        match (settings, input.into_problems()) {
            (Ok(settings), problems) if problems.is_empty() => Ok(settings),
            (_, problems) => Err(SettingsError { problems }),
        }
    }
}

fn read(input: &mut Input) -> Result<Settings, Refused> {
    let database = input.read("DATABASE_URL", DatabaseUrl::parse);
    let listen_database = input.read_if_set("SESSILE_LISTEN_DATABASE_URL", PostgresUrl::parse);
    let listen = input.read("SESSILE_LISTEN", values::listen);
    let public_url = input.read_if_set("SESSILE_PUBLIC_URL", PublicUrl::parse);
    let tls = tls(input);
    let trusted_proxies = input.read_if_set("SESSILE_TRUSTED_PROXIES", values::networks);
    let key_file = input.read("SESSILE_KEY_FILE", values::file);
    let brand = BrandSettings::read(input);
    let signup =
        input.read("SESSILE_SIGNUP", |v| values::word(v, &[("closed", Signup::Closed), ("open", Signup::Open)]));
    let second_factor = input.read("SESSILE_SECOND_FACTOR", |v| values::word(v, &SECOND_FACTOR_RULES));
    let password_min = input.read("SESSILE_PASSWORD_MIN", |v| values::count(v, 8, 64));
    let mail = mail::read(input);
    let lifetimes = Lifetimes::read(input);
    let prune_interval = input.read("SESSILE_PRUNE_INTERVAL", values::duration_or_zero);
    let address_ttl = input.read("SESSILE_ADDRESS_TTL", values::duration);
    let audit_ttl = input.read("SESSILE_AUDIT_TTL", values::duration);
    let pool_max = input.read("SESSILE_POOL_MAX", |v| values::count(v, 1, 10_000));
    let pool_timeout = input.read("SESSILE_POOL_TIMEOUT", values::timeout);
    let statement_timeout = input.read("SESSILE_STATEMENT_TIMEOUT", values::timeout);
    let sessions_per_account = input.read("SESSILE_SESSIONS_PER_ACCOUNT", |v| values::count(v, 0, 1_000_000));
    let drafts_max = input.read("SESSILE_DRAFTS_MAX", values::size);
    let session_cache = input.read("SESSILE_SESSION_CACHE", |v| values::word(v, &[("on", true), ("off", false)]));
    let session_cache_max = input.read("SESSILE_SESSION_CACHE_MAX", values::size);
    let workers = input.read_if_set("SESSILE_WORKERS", |v| values::count(v, 1, values::MOST_WORKERS));
    let log = input.read("SESSILE_LOG", values::log_filter);
    let log_format =
        input.read("SESSILE_LOG_FORMAT", |v| values::word(v, &[("text", LogFormat::Text), ("json", LogFormat::Json)]));

    let lifetimes = lifetimes?;
    Ok(Settings {
        database: database?,
        listen_database: listen_database?,
        listen: listen?,
        public_url: public_url?,
        tls: tls?,
        trusted_proxies: trusted_proxies?.unwrap_or_default(),
        key_file: key_file?,
        brand: brand?,
        signup: signup?,
        second_factor: second_factor?,
        password_min: password_min? as usize,
        mail: mail?,
        idle_ttl: lifetimes.idle,
        absolute_ttl: lifetimes.absolute,
        touch_interval: lifetimes.touch,
        prune_interval: prune_interval?,
        address_ttl: address_ttl?,
        audit_ttl: audit_ttl?,
        pool_max: pool_max? as usize,
        pool_timeout: pool_timeout?,
        statement_timeout: statement_timeout?,
        sessions_per_account: Some(sessions_per_account?).filter(|limit| *limit > 0),
        drafts_max: drafts_max?,
        session_cache: session_cache?,
        session_cache_max: session_cache_max?,
        workers: workers?.map_or_else(values::cores, |count| count as usize),
        log: log?,
        log_format: log_format?,
    })
}

fn tls(input: &mut Input) -> Result<Option<TlsFiles>, Refused> {
    let cert = input.read_if_set("SESSILE_TLS_CERT", values::file);
    let key = input.read_if_set("SESSILE_TLS_KEY", values::file);
    let (set, missing) = match (cert?, key?) {
        (Some(cert), Some(key)) => return Ok(Some(TlsFiles { cert, key })),
        (None, None) => return Ok(None),
        (Some(_), None) => (input.label("SESSILE_TLS_CERT"), "SESSILE_TLS_KEY"),
        (None, Some(_)) => (input.label("SESSILE_TLS_KEY"), "SESSILE_TLS_CERT"),
    };
    Err(input.refuse(format!("{missing} is missing, but {set} is set: set both, or neither")))
}

/// The three durations that depend on each other.
struct Lifetimes {
    touch: Duration,
    idle: Duration,
    absolute: Duration,
}

impl Lifetimes {
    fn read(input: &mut Input) -> Result<Self, Refused> {
        let touch = input.read("SESSILE_TOUCH_INTERVAL", values::duration);
        let idle = input.read("SESSILE_IDLE_TTL", values::duration);
        let absolute = input.read("SESSILE_ABSOLUTE_TTL", values::duration);
        let mut fits = Ok(());
        if let (Ok(touch), Ok(idle)) = (touch, idle)
            && touch >= idle
        {
            fits = misfit(input, "SESSILE_TOUCH_INTERVAL", "shorter than", "SESSILE_IDLE_TTL");
        }
        if let (Ok(idle), Ok(absolute)) = (idle, absolute)
            && idle > absolute
        {
            fits = misfit(input, "SESSILE_IDLE_TTL", "no longer than", "SESSILE_ABSOLUTE_TTL");
        }
        let read = Self { touch: touch?, idle: idle?, absolute: absolute? };
        fits.map(|()| read)
    }
}

/// Adds the problem that two valid settings contradict each other.
fn misfit(input: &mut Input, left: &'static str, relation: &str, right: &'static str) -> Result<(), Refused> {
    let shown = |variable| format!("{} ({})", input.label(variable), input.value(variable));
    let problem = format!("{} must be {relation} {}: change one of them", shown(left), shown(right));
    Err(input.refuse(problem))
}
