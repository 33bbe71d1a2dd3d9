//! The page `/drafts`: a list, an editor for one draft, or two conflicting versions to choose from. It works with forms
//! alone. Where JavaScript runs, `static/js/drafts.js` takes over and sends the same operations. Called by the routes.
//!
//! Invariant: typed text is never lost. It is saved, kept as a new draft, or shown again with an error.

mod differences;
mod draw;
mod fields;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Deserialize;
use url::form_urlencoded;

use self::{
    draw::{Again, draw, shown_again, unsaved},
    fields::Fields,
};
use crate::{
    actions::sync::{apply, choice, sender::Sender},
    base::{
        error::{Error, Result},
        text::is_id,
    },
    records::{
        draft::{
            book::{self, Chosen, Keep, Pair},
            operation::{self, Action, Operation, Sent},
            result::{OperationResult, Status},
        },
        session::CurrentUser,
    },
    web::{context::RequestContext, forms::Form, layout, rates::Act},
};

/// The open draft, the action to report as done, and the position in the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    draft: String,
    done: String,
    after: String,
}

/// `GET /drafts`
pub async fn show(query: web::Query<Query>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let done = match query.done.as_str() {
        "saved" => Some("Saved."),
        "deleted" => Some("That draft is deleted."),
        "chosen" => Some("The other version is deleted."),
        "both" => Some("Both are kept."),
        "kept" => {
            Some("That draft was deleted on another device in the meantime. What you wrote is kept as a new one.")
        }
        "again" => Some(
            "One of the two was changed on another device in the meantime, so nothing was thrown away. Please look at it again.",
        ),
        "changed" => Some("That draft was changed on another device in the meantime, so it was not deleted."),
        _ => None,
    };
    let Query { draft: open, after, .. } = query.into_inner();
    draw(StatusCode::OK, &context, &user, Again { open, done, after: after.parse().ok(), ..Again::default() }).await
}

/// `POST /drafts`
///
/// # Errors
/// [`Error::NotFound`] if the account has no such draft. A text that is too long and an unavailable database show the
/// form again.
pub async fn submit(sent: Form<Fields>, user: CurrentUser, context: RequestContext) -> Result<HttpResponse> {
    let is_fresh = sent.is_fresh;
    let fields = sent.fields;
    if !is_fresh {
        let notice = Some("This page had been open for a while. Please try again.".to_owned());
        return shown_again(&context, &user, fields, notice, None).await;
    }
    let named = [fields.both.as_deref(), fields.delete.as_deref(), fields.keep.as_ref().map(|_| fields.draft.as_str())];
    let other = fields.keep.as_ref().map(|_| fields.other.as_str());
    if named.into_iter().chain([other]).flatten().any(|id| !is_id(id)) {
        return Err(Error::NotFound);
    }
    if fields.base < 0 || fields.other_base < 0 {
        return Err(Error::Invalid("a version must be a non-negative integer".into()));
    }
    if let Some(id) = fields.both {
        return keep_both(&context, &user, id).await;
    }
    if let Some(id) = fields.delete {
        return delete(&context, &user, id, fields.base).await;
    }
    if let Some(keep) = &fields.keep {
        let keep = if keep == "other" { Keep::Other } else { Keep::One };
        return choose(&context, &user, fields, keep).await;
    }
    if fields.text.is_none() {
        return Err(Error::Invalid("the form names no action".into()));
    }
    save(&context, &user, fields).await
}

async fn save(context: &RequestContext, user: &CurrentUser, mut fields: Fields) -> Result<HttpResponse> {
    // Forms send each line break as two characters (HTML, 4.10.22.7), and a draft cannot hold U+0000.
    let text = fields.text.take().unwrap_or_default().replace("\r\n", "\n").replace('\0', "");
    fields.text = Some(text.clone());
    if let Err(error) = operation::check_text(&text) {
        let words = format!("{}. Shorten it, and save again.", sentence(&error.to_string()));
        return shown_again(context, user, fields, None, Some(words)).await;
    }
    let put = Action::Put { draft: operation::check_draft_id(&fields.draft)?, text, base: fields.base };
    let operation = Operation::new(&fields.operation, put)?;
    let result = match carry_out(context, user, vec![operation]).await {
        Ok(mut results) => results.pop().ok_or_else(|| Error::bug("an operation has no result"))?,
        Err(error) => return unsaved(error, context, user, &fields),
    };
    match (result.first.unwrap_or(result.status), result.draft, result.problem) {
        (Status::Conflict, Some(draft), _) if draft.conflict_of.is_none() => opened(&draft.id, "kept"),
        (Status::Conflict | Status::Applied, Some(draft), _) => opened(&draft.id, "saved"),
        (_, _, problem) => {
            // The operation's id is used up, so the next submit needs a new one.
            fields.operation = book::random_uuid()?;
            let words =
                problem.map_or_else(|| "It could not be saved".to_owned(), |error| sentence(&error.to_string()));
            shown_again(context, user, fields, None, Some(words + ".")).await
        }
    }
}

async fn delete(context: &RequestContext, user: &CurrentUser, id: String, base: i64) -> Result<HttpResponse> {
    let operation = Operation::new(&book::random_uuid()?, Action::Delete { draft: id.clone(), base })?;
    let results = carry_out(context, user, vec![operation]).await?;
    match results.into_iter().next() {
        Some(OperationResult { problem: Some(error), .. }) => Err(error),
        Some(OperationResult { status: Status::Conflict, .. }) => opened(&id, "changed"),
        _ => Ok(layout::see_other("/drafts?done=deleted")),
    }
}

/// Resolves a conflict by keeping one of two versions.
async fn choose(context: &RequestContext, user: &CurrentUser, fields: Fields, keep: Keep) -> Result<HttpResponse> {
    let Fields { draft, base, other, other_base, .. } = fields;
    context.count(Act::Operation, user, 1)?;
    let pair = Pair { one: draft.clone(), version: base, other, other_version: other_base };
    chosen(context, choice::choose(&context.sessions.db, &sender(context, user), &pair, keep).await?, &draft, "chosen")
        .await
}

async fn keep_both(context: &RequestContext, user: &CurrentUser, id: String) -> Result<HttpResponse> {
    context.count(Act::Operation, user, 1)?;
    chosen(context, choice::keep_both(&context.sessions.db, &sender(context, user), &id).await?, &id, "both").await
}

async fn chosen(context: &RequestContext, chosen: Option<Chosen>, id: &str, done: &str) -> Result<HttpResponse> {
    match chosen {
        Some(Chosen::Done) => opened(id, done),
        Some(Chosen::Changed(there)) => opened(&there, "again"),
        Some(Chosen::Missing) => Err(Error::NotFound),
        None => Err(context.ended_meanwhile().await?),
    }
}

async fn carry_out(
    context: &RequestContext,
    user: &CurrentUser,
    operations: Vec<Operation>,
) -> Result<Vec<OperationResult>> {
    context.count(Act::Operation, user, operations.len())?;
    let sent = || operations.iter().cloned().map(Sent::from).collect();
    match apply::carry_out(&context.sessions.db, &sender(context, user), sent).await? {
        Some(results) => Ok(results),
        None => Err(context.ended_meanwhile().await?),
    }
}

fn sender(context: &RequestContext, user: &CurrentUser) -> Sender {
    Sender::new(user, context.facts.ip.clone(), context.site.drafts_max)
}

fn opened(id: &str, done: &str) -> Result<HttpResponse> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("draft", id);
    if !done.is_empty() {
        query.append_pair("done", done);
    }
    Ok(layout::see_other(&format!("/drafts?{}", query.finish())))
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
