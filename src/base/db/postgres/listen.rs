//! LISTEN on its own connection, which is reopened whenever it fails, and NOTIFY (PostgreSQL 15, reference: LISTEN,
//! NOTIFY). Called by the pools of `db`.
//!
//! Invariant: a listener whose connection has not answered for a few seconds reports [`Heard::Unsure`].

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use tokio_postgres::Client;

use super::{
    connection::{Listener, literal},
    plan::ConnectPlan,
};
use crate::base::{
    coherence::{Coherence, Tag},
    database_url::postgres::causes,
    db::{
        conn::within,
        message::{Heard, LONGEST_TEXT, Line, Tell, receive},
    },
    error::Result,
    outage::Outage,
};

/// How often a listener checks that its connection works.
const BEAT: Duration = Duration::from_secs(1);
/// How often mentions are sent.
const MENTION_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of mentions that wait to be sent; further ones are dropped.
const MOST_WAITING: usize = 2_000;
/// How long a listener that lost its connection waits before it reconnects: the first and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Announces a text with the transaction's commit, in the order of the calls. The database adds its time.
pub async fn notify(conn: &mut AsyncPgConnection, deadline: Duration, tag: Option<&Tag>, text: &str) -> Result<()> {
    let notify = diesel::sql_query(
        "SELECT pg_notify('sessile', (extract(epoch FROM statement_timestamp()) * 1000000)::bigint || $1)",
    );
    let rest = tag.map_or_else(|| format!(" {text}"), |tag| format!("@{tag} {text}"));
    within(deadline, notify.bind::<Text, _>(rest).execute(conn)).await.map(drop)
}

/// The channel on which only this node listens.
pub fn own_channel(node: &str) -> String {
    format!("sessile_{node}")
}

/// Mentions that wait to be sent, each text once.
#[derive(Default)]
pub struct Mentions(Mutex<BTreeSet<String>>);

impl Mentions {
    pub fn add(&self, texts: Vec<String>) {
        let mut waiting = self.lock();
        for text in texts {
            if waiting.len() < MOST_WAITING {
                waiting.insert(text);
            }
        }
    }

    /// Takes as many mentions as fit into one notification.
    fn take(&self) -> Option<Taken<'_>> {
        let mut waiting = self.lock();
        let (mut texts, mut length) = (Vec::new(), 0);
        while let Some(text) = waiting.pop_first() {
            if length > 0 && length + text.len() > LONGEST_TEXT {
                waiting.insert(text);
                break;
            }
            length += text.len() + 3;
            texts.push(text);
        }
        if texts.is_empty() {
            return None;
        }
        Some(Taken { mentions: self, texts })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Mentions that are being sent. If dropped before [`confirm_sent`](Self::confirm_sent), they wait again.
struct Taken<'a> {
    mentions: &'a Mentions,
    texts: Vec<String>,
}

impl Taken<'_> {
    /// One line per mention.
    fn lines(&self) -> String {
        let lines = self.texts.iter().map(|text| Line::Said { at: None, tag: None, text: text.clone() });
        lines.map(|line| format!("{line}\n")).collect()
    }

    fn confirm_sent(mut self) {
        self.texts.clear();
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.mentions.add(std::mem::take(&mut self.texts));
    }
}

/// Listens until the future is dropped, and reconnects whenever the connection fails.
pub async fn listen(plan: &ConnectPlan, deadline: Duration, coherence: &Coherence, mentions: &Mentions, tell: &Tell) {
    let mut pause = FIRST_PAUSE;
    let (hear, node) = (Arc::clone(tell), coherence.clone());
    let listener: Listener =
        Arc::new(Some(Box::new(move |payload: &str| payload.lines().for_each(|line| receive(line, &node, &hear)))));
    let mut outage = Outage::new("listening to the database");
    loop {
        let mut heard = false;
        let cause = match plan.open(&listener).await {
            Ok((client, mut driver)) => {
                tokio::select! {
                    cause = driver.ended() => cause,
                    cause = keep_listening(&client, deadline, coherence, mentions, || {
                        heard = true;
                        outage.over();
                        coherence.start_over();
                        tell(Heard::Sure);
                    }) => cause,
                }
            }
            Err(error) => error.to_string(),
        };
        coherence.lose();
        if heard {
            tell(Heard::Unsure);
            pause = FIRST_PAUSE;
        }
        outage.failed(&cause);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

type Cause = String;

/// Starts to listen, then checks the connection again and again and sends mentions and confirmations. Returns the cause
/// of a failure.
async fn keep_listening(
    client: &Client,
    deadline: Duration,
    coherence: &Coherence,
    mentions: &Mentions,
    on_start: impl FnOnce(),
) -> Cause {
    // The name distinguishes this connection from those of requests in pg_stat_activity.
    let own = own_channel(coherence.name());
    let start = format!("SET application_name = 'sessile listener'; LISTEN sessile; LISTEN \"{own}\"");
    if let Err(cause) = ask(deadline, client.batch_execute(&start)).await {
        return cause;
    }
    on_start();
    tokio::select! {
        cause = send_mentions(client, deadline, mentions) => cause,
        cause = send_confirmations(client, deadline, coherence) => cause,
    }
}

/// Sends mentions, and checks the connection when there are none. Returns the cause of a failure.
async fn send_mentions(client: &Client, deadline: Duration, mentions: &Mentions) -> Cause {
    let mut since_beat = Duration::ZERO;
    loop {
        tokio::time::sleep(MENTION_INTERVAL).await;
        since_beat += MENTION_INTERVAL;
        let result = match mentions.take() {
            Some(taken) => {
                let lines = literal(&taken.lines());
                let statement = format!("SELECT pg_notify('sessile', {lines})");
                let result = ask(deadline, client.batch_execute(&statement)).await;
                if result.is_ok() {
                    taken.confirm_sent();
                }
                result
            }
            None if since_beat < BEAT => continue,
            None => ask(deadline, client.batch_execute("")).await,
        };
        since_beat = Duration::ZERO;
        if let Err(cause) = result {
            return cause;
        }
    }
}

/// Confirms announcements to the nodes that wait for that. Returns the cause of a failure.
async fn send_confirmations(client: &Client, deadline: Duration, coherence: &Coherence) -> Cause {
    loop {
        let tags = coherence.confirmations().await;
        let notify = |tag: Tag| {
            let line = Line::Confirm(tag.number, coherence.name().to_owned()).to_string();
            format!("SELECT pg_notify({}, {});", literal(&own_channel(&tag.node)), literal(&line))
        };
        let statements: String = tags.into_iter().map(notify).collect();
        if let Err(cause) = ask(deadline, client.batch_execute(&statements)).await {
            return cause;
        }
    }
}

async fn ask(deadline: Duration, query: impl Future<Output = Result<(), tokio_postgres::Error>>) -> Result<(), Cause> {
    match tokio::time::timeout(deadline, query).await {
        Ok(answer) => answer.map_err(|error| causes(&error)),
        Err(_) => Err("the database did not answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_that_were_not_sent_wait_again() {
        let mentions = Mentions::default();
        mentions.add(vec!["b".into(), "a".into()]);
        let taken = mentions.take().unwrap();
        assert_eq!(taken.lines(), "- a\n- b\n");
        assert!(mentions.take().is_none());
        // A text that is mentioned again meanwhile is sent once.
        mentions.add(vec!["a".into()]);
        drop(taken);
        let again = mentions.take().unwrap();
        assert_eq!(again.lines(), "- a\n- b\n");
        again.confirm_sent();
        assert!(mentions.take().is_none());
    }

    #[test]
    fn a_notification_stays_within_its_length_limit() {
        let mentions = Mentions::default();
        mentions.add((0..1000).map(|n| format!("{n:0>20}")).collect());
        let mut sent = 0;
        while let Some(taken) = mentions.take() {
            assert!(taken.lines().len() <= LONGEST_TEXT + 30);
            sent += taken.texts.len();
            taken.confirm_sent();
        }
        assert_eq!(sent, 1000);
    }
}
