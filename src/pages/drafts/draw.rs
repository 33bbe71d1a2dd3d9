//! Renders `/drafts`: a list, with an editor for one draft beside it, or two conflicting versions to choose from.
//! Called by the handlers of this folder.
//!
//! Invariant: typed text is always shown again, even if the rest of the page cannot be read.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, http::StatusCode};
use askama::Template;

use super::{
    differences::{self, Part},
    fields::Fields,
};
use crate::{
    base::{
        db::Conn,
        error::{Error, Result},
        text::{self, is_id},
    },
    records::{
        draft::{
            Draft, book,
            list::{self, Head, Heads},
        },
        session::{CurrentUser, arrivals::Arrivals},
    },
    web::{
        context::RequestContext,
        form_again::{Lost, TooMany, form_again_after},
        forms,
        layout::{self, Page, When},
    },
};

/// Most characters of a draft in a row of the list.
const LONGEST_LINE: usize = 120;

#[derive(Template)]
#[template(path = "drafts/drafts.html")]
struct DraftsPage {
    page: Page,
    token: String,
    account: String,
    /// The account's revision when the list was read.
    revision: String,
    done: Option<&'static str>,
    notice: Option<String>,
    rows: Vec<Row>,
    /// The cursor of the list's next page.
    next: Option<i64>,
    writing: Option<Writing>,
    choice: Option<Choice>,
    /// Whether the requested draft was not found. The script may still hold it on the device.
    is_missing: bool,
}

struct Row {
    id: String,
    line: String,
    when: When,
    device: String,
    in_two: bool,
    is_open: bool,
}

/// The draft in the editor.
#[derive(Default)]
pub(super) struct Writing {
    id: String,
    operation: String,
    version: i64,
    text: String,
    last: Option<Last>,
    error: Option<String>,
}

struct Last {
    device: String,
    when: When,
}

/// A draft and the conflicting version that was split off it.
struct Choice {
    id: String,
    version: i64,
    other: String,
    other_version: i64,
    versions: [Version; 2],
}

struct Version {
    device: String,
    when: When,
    parts: Vec<Part>,
}

/// The messages, input and position that the page shows.
#[derive(Default)]
pub(super) struct Again {
    pub(super) open: String,
    pub(super) done: Option<&'static str>,
    pub(super) notice: Option<String>,
    pub(super) typed: Option<Writing>,
    /// The cursor of the list's page.
    pub(super) after: Option<i64>,
}

/// Shows the page again after input was refused, with the typed text.
pub(super) async fn shown_again(
    context: &RequestContext,
    user: &CurrentUser,
    fields: Fields,
    notice: Option<String>,
    error: Option<String>,
) -> Result<HttpResponse> {
    let typed = fields.text.is_some().then(|| typed(&fields, error));
    let again = Again { open: fields.draft.clone(), notice, typed, ..Again::default() };
    match draw(StatusCode::UNPROCESSABLE_ENTITY, context, user, again).await {
        Err(error) if fields.text.is_some() => unsaved(error, context, user, &fields),
        answer => answer,
    }
}

fn typed(fields: &Fields, error: Option<String>) -> Writing {
    let Fields { operation, draft, base, text, .. } = fields.clone();
    Writing { id: draft, operation, version: base, text: text.unwrap_or_default(), last: None, error }
}

/// Shows the page with the typed text but without the list, while saving is impossible.
pub(super) fn unsaved(
    error: Error,
    context: &RequestContext,
    user: &CurrentUser,
    fields: &Fields,
) -> Result<HttpResponse> {
    let token = forms::token(&context.site, &context.req)?;
    let notice = match &error {
        Error::TooFast(_) => "Too many changes in a short time. Nothing is lost: wait a moment, then save again.",
        _ => "Saving is not possible right now. Nothing is lost: save again shortly.",
    };
    let template = DraftsPage {
        page: Page::new(&context.req, "Drafts").of(&user.account, &token, "drafts"),
        token: token.value,
        account: user.account.id.clone(),
        revision: String::new(),
        done: None,
        notice: Some(notice.to_owned()),
        rows: Vec::new(),
        next: None,
        writing: Some(typed(fields, None)),
        choice: None,
        is_missing: false,
    };
    form_again_after(error, TooMany::WrongPasswords, Lost::Nothing, |status, _| layout::answer(status, &template))
}

pub(super) async fn draw(
    status: StatusCode,
    context: &RequestContext,
    user: &CurrentUser,
    again: Again,
) -> Result<HttpResponse> {
    let (list, open, arrivals) = read(context, user, &again).await?;
    let choice = match open.as_slice() {
        [one, other] if again.typed.is_none() => Some(Choice::of(one, other, user)),
        _ => None,
    };
    let writing = match (again.typed, &choice, again.open.as_str()) {
        (Some(typed), ..) => Some(typed),
        (None, Some(_), _) | (None, None, "") => None,
        (None, None, "new") => Some(Writing::new(book::random_uuid()?)?),
        (None, None, _) => open.first().map(|draft| Writing::of(draft, user)).transpose()?,
    };
    let token = forms::token(&context.site, &context.req)?;
    let page = Page::new(&context.req, "Drafts").of(&user.account, &token, "drafts");
    let template = DraftsPage {
        page: page.asking(&context.req, &arrivals, user.now),
        token: token.value,
        account: user.account.id.clone(),
        revision: list.revision.seal(&user.account.id, &context.site.keys)?,
        done: again.done,
        notice: again.notice,
        rows: list.heads.iter().map(|draft| Row::of(draft, &list.in_two, &again.open, user)).collect(),
        next: list.next,
        is_missing: writing.is_none() && choice.is_none() && !again.open.is_empty(),
        writing,
        choice,
    };
    layout::answer(status, &template)
}

/// Reads a page of the list, the open draft with its conflicting version, and the new devices to ask about.
async fn read(context: &RequestContext, user: &CurrentUser, again: &Again) -> Result<(Heads, Vec<Draft>, Arrivals)> {
    let (who, open, after) = (user.who(), again.open.clone(), again.after);
    let read = async move |conn: &mut Conn<'_>| {
        let (list, arrivals) = list::heads(conn, &who.account_id, who.device_id.as_deref(), after).await?;
        let open = match is_id(&open) {
            true => list::with_other(conn, &who.account_id, &open).await?,
            false => Vec::new(),
        };
        Ok((list, open, arrivals))
    };
    context.sessions.db.read(read).await
}

impl Row {
    fn of(draft: &Head, in_two: &BTreeSet<String>, open: &str, user: &CurrentUser) -> Self {
        let line = draft.beginning.trim().lines().next().unwrap_or_default();
        Self {
            id: draft.id.clone(),
            line: if line.is_empty() { "Empty draft".to_owned() } else { text::shortened(line, LONGEST_LINE) },
            when: When::past(draft.updated_at, user.now),
            device: draft.updated_on.clone(),
            in_two: in_two.contains(&draft.id),
            is_open: draft.id == open,
        }
    }
}

impl Writing {
    fn new(id: String) -> Result<Self> {
        Ok(Self { id, operation: book::random_uuid()?, ..Self::default() })
    }

    fn of(draft: &Draft, user: &CurrentUser) -> Result<Self> {
        let last = Last { device: draft.updated_on.clone(), when: When::past(draft.updated_at, user.now) };
        let text = draft.text.clone();
        Ok(Self { version: draft.version, text, last: Some(last), ..Self::new(draft.id.clone())? })
    }
}

impl Choice {
    fn of(one: &Draft, other: &Draft, user: &CurrentUser) -> Self {
        let [parts, other_parts] = differences::between(&one.text, &other.text);
        let version = |draft: &Draft, parts| Version {
            device: draft.updated_on.clone(),
            when: When::past(draft.updated_at, user.now),
            parts,
        };
        Self {
            id: one.id.clone(),
            version: one.version,
            other: other.id.clone(),
            other_version: other.version,
            versions: [version(one, parts), version(other, other_parts)],
        }
    }
}
