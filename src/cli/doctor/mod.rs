//! `sessile doctor`: checks everything that the program depends on, and prints a remedy for each problem. Called by
//! [`run`](super::run).
//!
//! Invariant: it creates no file and changes nothing.

mod address;
mod app;
mod fetch;
mod inputs;
mod mail;
mod passkeys;
mod placement;
mod since;
mod trail;

use self::{
    address::address,
    inputs::{Patient, away, unseen},
    since::since,
};
use super::output::{in_words, say};
use crate::{
    base::{
        clock::Clock,
        db::{Instant, Place, Schema, inspect::Inspection, now, run},
        error::{Error, Result},
        keys::Keys,
        settings::Settings,
    },
    records::{
        audit::anchor::Anchor,
        instance::{self, history::Finding as Seen},
        second_factor::resealing,
    },
    serve::{
        risks::{self, Finding, proxy_trust},
        tls,
    },
};

#[derive(clap::Args)]
pub struct Args {
    /// A line "digest of the audit trail" from a server's log: checks that the audit trail still contains all events of
    /// that time
    #[arg(long, value_name = "LINE")]
    since: Option<String>,
    /// Checks the audit trail only of accounts whose ids come after this one. A check that was stopped with Ctrl-C prints
    /// the id
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    trail_after: Option<String>,
    /// Id of a protected app: also tries it at its public address
    #[arg(long, value_name = "ID")]
    app: Option<String>,
    /// E-mail address: also sends a test mail there
    #[arg(long, value_name = "EMAIL")]
    mail: Option<String>,
}

/// Runs every check and prints a line for each.
///
/// # Errors
/// One line, if a check failed.
pub async fn run(args: Args, settings: Settings) -> Result<()> {
    let anchor = args.since.map(|line| Anchor::find(&line).ok_or_else(no_anchor)).transpose()?;
    let patient = &mut Patient::new(settings, anchor).await;
    patient.trail_after = args.trail_after;
    let mut findings = examine(patient).await;
    if let Some(id) = args.app {
        findings.extend(app::app(patient, &id).await);
    }
    if let Some(to) = args.mail {
        findings.push(("mail", mail::mail(&patient.settings, &to).await));
    }
    tell(&findings)
}

fn no_anchor() -> Error {
    Error::Invalid(
        "--since: this line contains no digest of the audit trail: give a whole line of the server's log that contains \
         \"digest of the audit trail\""
            .into(),
    )
}

/// Prints a line for each finding.
///
/// # Errors
/// One line, if a check failed.
pub fn tell(findings: &[(&str, Finding)]) -> Result<()> {
    let failed = findings.iter().filter(|(_, finding)| finding.is_err()).count();
    for (name, finding) in findings {
        let line = match finding {
            Ok(seen) => format!("ok  {name}: {seen}"),
            Err(wrong) => format!("FAIL {name}: {wrong}"),
        };
        say(&line.replace('\n', " "))?;
    }
    match failed {
        0 => Ok(()),
        failed => {
            let count = findings.len();
            Err(Error::Invalid(format!("{failed} of {count} checks failed: each FAIL line says what to do")))
        }
    }
}

/// Runs every check, in the order of the output.
async fn examine(patient: &mut Patient) -> Vec<(&'static str, Finding)> {
    let mut findings = vec![
        ("settings", Ok("all are valid".to_owned())),
        ("key file", key_file(patient).await),
        ("database", database(patient).await),
        ("durability", durability(patient).await),
        ("schema", schema(patient).await),
        ("placement", placement::placement(patient).await),
        ("history", history(patient).await),
        ("audit trail", trail::trail(patient).await),
        ("second factors", second_factors(patient).await),
        ("clock", clock(patient).await),
        ("tls", certificate(&patient.settings)),
        ("proxy trust", proxy_trust(&patient.settings)),
        ("address", address(&patient.settings)),
        ("passkeys", passkeys::passkeys(patient).await),
    ];
    if patient.anchor.is_some() {
        findings.push(("audit trail since", since(patient).await));
    }
    findings
}

async fn key_file(patient: &mut Patient) -> Finding {
    let path = patient.settings.key_file.display();
    let keys = patient.keys.as_ref().map_err(Clone::clone)?.as_ref();
    if let (Ok(Some(database)), Ok(Schema::Current(_))) = (&mut patient.database, &patient.schema) {
        instance::check_needed_keys(&mut database.conn(), keys).await.map_err(|error| in_words(&error))?;
    }
    let Some(keys) = keys else {
        return Err(format!(
            "there is no key file at {path} (SESSILE_KEY_FILE): the first start creates it; after that, name the key file of the server"
        ));
    };
    let mode = risks::key_file(&patient.settings)?;
    if Inspection::keys_of_servers(&patient.settings).await.iter().any(|theirs| *theirs != keys.trail().ids()) {
        return Err(format!(
            "the keys in {path} differ from the keys that the running server has read: restart the server"
        ));
    }
    let restart = match signing_key(&mut patient.database, &patient.schema).await? {
        Some(signing) if signing != keys.fingerprint() && keys.knows(&signing) => {
            format!(
                "; the most recently started server signs with {signing}, another key of this file, until it is restarted"
            )
        }
        _ => String::new(),
    };
    Ok(format!("{path}, {mode}, signs with key {}{restart}", keys.fingerprint()))
}

/// The signing key of the most recently started server; `None` if no server was ever started.
async fn signing_key(
    database: &mut Result<Option<Inspection>, String>,
    schema: &Result<Schema, String>,
) -> Result<Option<String>, String> {
    match (database, schema) {
        (Ok(Some(database)), Ok(Schema::Current(_))) => {
            instance::fingerprint(&mut database.conn()).await.map_err(|error| in_words(&error))
        }
        _ => Ok(None),
    }
}

async fn database(patient: &mut Patient) -> Finding {
    match patient.database.as_mut().map_err(|words| words.clone())? {
        Some(database) => {
            let engine = database.engine().await.map_err(|error| away(&error))?;
            risks::database_files(&patient.settings)?;
            let listener = Inspection::check_listener(&patient.settings).await;
            listener.map_err(|error| format!("SESSILE_LISTEN_DATABASE_URL: {}", in_words(&error)))?;
            Ok(format!("{engine} answers"))
        }
        None => Err(format!(
            "there is no database at {} (DATABASE_URL): the first start creates it; after that, name the database of the server",
            patient.settings.database
        )),
    }
}

async fn durability(patient: &mut Patient) -> Finding {
    match patient.database.as_mut().map_err(|_| unseen())? {
        Some(database) => risks::durability(&database.weaknesses().await.map_err(|error| away(&error))?),
        None => Ok("not checked: there is no database yet".to_owned()),
    }
}

async fn schema(patient: &mut Patient) -> Finding {
    let found = patient.schema.as_ref().map_err(Clone::clone)?;
    if let Ok(Some(database)) = &mut patient.database {
        database.refuse_foreign(found, &patient.settings).await.map_err(|error| in_words(&error))?;
        database.check_rights().await.map_err(|error| in_words(&error))?;
    }
    match found {
        Schema::Current(version) => Ok(format!("up to date, {version}")),
        Schema::Missing => Err(format!(
            "{} (DATABASE_URL) has no tables of Sessile: the first start creates them; after that, name the database of the server",
            patient.settings.database
        )),
        Schema::Foreign(table) => Err(format!("the table {table} belongs to another program")),
        Schema::Behind(steps) => Err(format!(
            "{steps} steps behind this program: run `sessile migrate`, or start the server, which does the same"
        )),
        Schema::Newer(version) => {
            Err(format!("newer ({version}) than this program: run the version that created it, or a later one"))
        }
    }
}

/// Checks that the database was not restored, moved or failed over without confirmation by the operator.
async fn history(patient: &mut Patient) -> Finding {
    let Some(database) = patient.database.as_mut().map_err(|_| unseen())? else {
        return Ok("begins at the first start".to_owned());
    };
    if !matches!(patient.schema, Ok(Schema::Current(_))) {
        return Ok("not checked: the schema is not current".to_owned());
    }
    let mut conn = database.conn();
    let mut found = Seen::Moved;
    // Check twice, because a server that starts or stops may mark the database between the two reads.
    for _ in 0..2 {
        let place = Place::read(&mut conn, &patient.settings.database).await.map_err(|error| away(&error))?;
        found = instance::history::look(&mut conn, &place).await.map_err(|error| away(&error))?;
        if found != Seen::Moved {
            break;
        }
    }
    let remedy = "stop the server and run `sessile restored`, which ends all sessions, because ended sessions may be live \
        again; if no acknowledged change can be missing, run `sessile restored --nothing-lost`";
    match found {
        Seen::NotBegun => Ok("begins at the first start".to_owned()),
        Seen::GoesOn => Ok("the database was not restored, moved or failed over".to_owned()),
        Seen::Moved => Err(format!("the database was restored, moved or failed over: {remedy}")),
        Seen::Unconfirmed(since) => Err(format!(
            "at {}, a server found that the database was restored, moved or failed over: {remedy}",
            since.rfc3339()
        )),
    }
}

/// Checks that the key file opens every second factor, and says which of its lines they need.
async fn second_factors(patient: &mut Patient) -> Finding {
    let Some(database) = patient.database.as_mut().map_err(|_| unseen())? else {
        return Ok("there are none yet".to_owned());
    };
    if !matches!(patient.schema, Ok(Schema::Current(_))) {
        return Ok("not checked: the schema is not current".to_owned());
    }
    let needed = resealing::needed(&mut database.conn()).await.map_err(|error| away(&error))?;
    let keys = patient.keys.as_ref().ok().and_then(Option::as_ref).map(Keys::sealing);
    if let Some(problem) = resealing::problem(&needed, keys) {
        return Err(problem);
    }
    let Some(keys) = keys.filter(|_| !needed.is_empty()) else {
        return Ok("none is encrypted".to_owned());
    };
    let with = |(line, id): (usize, &str)| {
        let many = needed.get(id)?;
        Some(format!("{many} with key {id} (line {line} of the key file)"))
    };
    let each: Vec<String> = (1..).zip(keys.ids()).filter_map(with).collect();
    let first = keys.first_id();
    let rest =
        if needed.keys().all(|id| id == first) { "" } else { "; the next start encrypts all with the first key" };
    Ok(format!("encrypted: {}{rest}", each.join(", ")))
}

async fn clock(patient: &mut Patient) -> Finding {
    let Some(database) = patient.database.as_mut().map_err(|_| unseen())? else {
        return Ok("not checked: there is no database yet".to_owned());
    };
    let clock = Clock::default();
    let before = clock.now();
    let theirs: Result<Instant> = async {
        let mut conn = database.conn();
        run!(&mut conn, get_result(diesel::select(now())))
    }
    .await;
    clock.correct(before, theirs.map_err(|error| away(&error))?, clock.now());
    risks::clock(clock.offset_micros())
}

fn certificate(settings: &Settings) -> Finding {
    match &settings.tls {
        Some(files) => {
            tls::Certificate::read(files)
                .map_err(|error| format!("{error}: correct the files, or unset both settings"))?;
            risks::tls_key(settings)?;
            Ok(format!("{} and its key match", files.cert.display()))
        }
        None => Ok("not served here".to_owned()),
    }
}
