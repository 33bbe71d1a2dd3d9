//! Parses the operations that clients send. Each operation is parsed on its own, so an invalid operation does not
//! affect the others. Called by the sync and by the drafts page.
//!
//! Invariant: a parsed operation has a UUID as its id, and a digest of everything that was sent with that id.

use serde::Deserialize;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};
use sha2::{Digest as _, Sha256};

use super::stored::LONGEST;
use crate::{
    base::{
        error::{Error, Result},
        text,
    },
    records::device,
};

/// An operation that takes effect once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// A UUID made by the client, in lower case.
    pub id: String,
    /// SHA-256 of the operation's canonical JSON without its id. Two operations with the same id and different digests
    /// are different operations.
    pub digest: Vec<u8>,
    pub action: Action,
}

/// The change that an operation makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write a draft.
    Put {
        draft: String,
        /// The new text.
        text: String,
        /// The version that the text builds on; 0 creates a draft.
        base: i64,
    },
    /// Save a text from a lost history. A client sends this after it learned that the history of its copy is over.
    Keep {
        draft: String,
        /// The client's text.
        text: String,
        /// The client's version.
        version: i64,
    },
    /// Delete a draft.
    Delete {
        draft: String,
        /// The version to delete.
        base: i64,
    },
    /// Rename a device.
    Rename {
        device: String,
        /// The new name, validated.
        name: String,
    },
    /// End one session.
    LogOut { session: String },
}

/// An operation as received: parsed, or the reason why it is invalid.
#[derive(Debug)]
pub struct Sent {
    /// The id as received, if it was a string.
    pub id: Option<String>,
    pub operation: Result<Operation>,
}

impl Action {
    /// The JSON members of this action, as a client sends them.
    fn members(&self) -> Map<String, Value> {
        let (kind, members) = match self {
            Self::Put { draft, text, base } => (
                "draft.put",
                vec![
                    ("draftId", draft.as_str().into()),
                    ("text", text.as_str().into()),
                    ("baseVersion", (*base).into()),
                ],
            ),
            Self::Keep { draft, text, version } => (
                "draft.keep",
                vec![
                    ("draftId", draft.as_str().into()),
                    ("text", text.as_str().into()),
                    ("baseVersion", (*version).into()),
                ],
            ),
            Self::Delete { draft, base } => {
                ("draft.delete", vec![("draftId", draft.as_str().into()), ("baseVersion", (*base).into())])
            }
            Self::Rename { device, name } => {
                ("device.rename", vec![("deviceId", device.as_str().into()), ("name", name.as_str().into())])
            }
            Self::LogOut { session } => ("session.logout", vec![("sessionId", session.as_str().into())]),
        };
        let kind = ("kind", Value::from(kind));
        members.into_iter().chain([kind]).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The draft that the action refers to.
    pub fn draft(&self) -> Option<&str> {
        match self {
            Self::Put { draft, .. } | Self::Keep { draft, .. } | Self::Delete { draft, .. } => Some(draft),
            Self::Rename { .. } | Self::LogOut { .. } => None,
        }
    }

    /// The device that the action refers to.
    pub fn device(&self) -> Option<&str> {
        if let Self::Rename { device, .. } = self { Some(device) } else { None }
    }

    /// The session that the action refers to.
    pub fn session(&self) -> Option<&str> {
        if let Self::LogOut { session } = self { Some(session) } else { None }
    }
}

impl Sent {
    /// Parses one operation.
    pub fn read(raw: &RawValue) -> Self {
        match serde_json::from_str::<Value>(raw.get()) {
            Ok(Value::Object(members)) => {
                let id = members.get("id").and_then(Value::as_str).map(str::to_owned);
                let operation = read(&members);
                Self { id, operation }
            }
            Ok(_) => Self { id: None, operation: Err(invalid("an operation must be an object")) },
            // The JSON may hold half of a surrogate pair, which a Rust string cannot.
            Err(error) => {
                Self { id: id_alone(raw), operation: Err(invalid(format!("the operation cannot be read: {error}"))) }
            }
        }
    }
}

impl Sent {
    /// The session that this operation ends, if it is a valid sign-out.
    pub fn ends_session(&self) -> Option<&str> {
        match self.operation.as_ref().ok()?.action {
            Action::LogOut { ref session } => Some(session),
            Action::Put { .. } | Action::Delete { .. } | Action::Rename { .. } | Action::Keep { .. } => None,
        }
    }

    /// Whether this is a valid rename.
    pub fn is_rename(&self) -> bool {
        self.operation.as_ref().is_ok_and(|operation| matches!(operation.action, Action::Rename { .. }))
    }
}

impl From<Operation> for Sent {
    fn from(operation: Operation) -> Self {
        Self { id: Some(operation.id.clone()), operation: Ok(operation) }
    }
}

impl Operation {
    /// Creates an operation on the server, for a submitted form. `id` must be a UUID.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `id` is not a UUID.
    pub fn new(id: &str, action: Action) -> Result<Self> {
        Ok(Self { id: uuid(id)?, digest: digest(&action.members())?, action })
    }

    /// Whether a stored digest belongs to this operation.
    ///
    /// For operations from forms, version 0.1 stored the SHA-256 of the action's `Debug` output. Such rows are kept for
    /// 30 days, and a form sent before an upgrade may be sent again after it, so the old digest is accepted as well.
    /// Remove this once no instance can still hold such rows.
    pub fn has_digest(&self, stored: &[u8]) -> bool {
        self.digest == stored || Sha256::digest(format!("{:?}", self.action)).as_slice() == stored
    }
}

/// SHA-256 of an operation's members without its id, which clients may send in either case. A `Map` keeps its members
/// sorted by name, so the JSON is canonical.
fn digest(members: &Map<String, Value>) -> Result<Vec<u8>> {
    let whole = to_raw_value(members).map_err(Error::bug)?;
    Ok(Sha256::digest(whole.get()).to_vec())
}

fn read(members: &Map<String, Value>) -> Result<Operation> {
    let id = uuid(text(members, "id")?)?;
    let action = match text(members, "kind")? {
        "draft.put" => Action::Put { draft: draft_id(members)?, text: draft_text(members)?, base: base(members)? },
        "draft.keep" => Action::Keep { draft: draft_id(members)?, text: draft_text(members)?, version: base(members)? },
        "draft.delete" => Action::Delete { draft: draft_id(members)?, base: base(members)? },
        "device.rename" => Action::Rename {
            device: text(members, "deviceId")?.to_owned(),
            name: device::check_name(text(members, "name")?)?,
        },
        "session.logout" => Action::LogOut { session: text(members, "sessionId")?.to_owned() },
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(invalid(format!("unknown operation kind {other:?}")));
        }
    };
    let mut members = members.clone();
    members.remove("id");
    Ok(Operation { id, digest: digest(&members)?, action })
}

fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<&'m str> {
    members.get(name).and_then(Value::as_str).ok_or_else(|| invalid(format!("{name} is missing or not a string")))
}

fn base(members: &Map<String, Value>) -> Result<i64> {
    let base = members.get("baseVersion").and_then(Value::as_i64).filter(|base| *base >= 0);
    base.ok_or_else(|| invalid("baseVersion is missing or not a non-negative integer"))
}

fn draft_id(members: &Map<String, Value>) -> Result<String> {
    check_draft_id(text(members, "draftId")?)
}

/// Validates a draft's id: 1 to 100 letters, digits and `-._~:`.
///
/// # Errors
/// [`Error::Invalid`] if it is not a draft id.
pub fn check_draft_id(id: &str) -> Result<String> {
    // The drafts page uses `new` for a draft that does not exist yet.
    if !text::is_id(id) || id == "new" {
        return Err(invalid("draftId must be 1 to 100 letters, digits or -._~:, and not \"new\""));
    }
    Ok(id.to_owned())
}

fn draft_text(members: &Map<String, Value>) -> Result<String> {
    let text = text(members, "text")?;
    check_text(text)?;
    Ok(text.to_owned())
}

/// Validates a draft's text: at most 10,000 characters, and no U+0000, which PostgreSQL cannot store.
///
/// # Errors
/// [`Error::Invalid`] with the reason.
pub fn check_text(text: &str) -> Result<()> {
    let length = text.chars().count();
    if length > LONGEST {
        return Err(invalid(format!("a draft has at most 10,000 characters; this one has {length}")));
    }
    if text.contains('\0') {
        return Err(invalid("a draft cannot hold U+0000"));
    }
    Ok(())
}

fn uuid(id: &str) -> Result<String> {
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    if groups != [8, 4, 4, 4, 12] || !id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(invalid("id is not a UUID"));
    }
    Ok(id.to_ascii_lowercase())
}

fn id_alone(raw: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Alone<'r> {
        #[serde(borrow)]
        id: &'r RawValue,
    }
    let alone: Alone<'_> = serde_json::from_str(raw.get()).ok()?;
    serde_json::from_str(alone.id.get()).ok()
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Invalid(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b9fd2a4-6a4e-4c39-9f57-0c7d5ad4a111";

    fn sent(text: &str) -> Sent {
        Sent::read(serde_json::from_str(text).unwrap())
    }

    fn wrong(members: &str) -> String {
        let sent = sent(&format!(r#"{{"id": "{ID}", {members}}}"#));
        assert_eq!(sent.id.as_deref(), Some(ID));
        let error = sent.operation.unwrap_err();
        assert_eq!(error.slug(), "invalid-request");
        error.to_string()
    }

    #[test]
    fn operations_are_parsed() {
        let put = format!(
            r#"{{"id": "{}", "kind": "draft.put", "draftId": "a", "text": "x", "baseVersion": 0}}"#,
            ID.to_uppercase()
        );
        let operation = sent(&put).operation.unwrap();
        assert_eq!((operation.id.as_str(), operation.digest.len()), (ID, 32));
        assert_eq!(operation.action, Action::Put { draft: "a".into(), text: "x".into(), base: 0 });
        let delete = format!(r#"{{"id": "{ID}", "kind": "draft.delete", "draftId": "a", "baseVersion": 7}}"#);
        assert_eq!(sent(&delete).operation.unwrap().action, Action::Delete { draft: "a".into(), base: 7 });
    }

    #[test]
    fn the_digest_covers_all_members_in_any_order() {
        let one = sent(&format!(r#"{{"id": "{ID}", "kind": "session.logout", "sessionId": "a", "at": "x"}}"#));
        let same = sent(&format!(r#"{{"sessionId":"a","at":"x","kind":"session.logout","id":"{ID}"}}"#));
        let other = sent(&format!(r#"{{"sessionId":"a","at":"y","kind":"session.logout","id":"{ID}"}}"#));
        let digest = |sent: Sent| sent.operation.unwrap().digest;
        let one = digest(one);
        assert_eq!(one, digest(same));
        assert_ne!(one, digest(other));
    }

    #[test]
    fn a_form_and_json_give_the_same_digest() {
        let cases = [
            (
                Action::Put { draft: "a".into(), text: "x\n\"y\"".into(), base: 3 },
                r#""kind":"draft.put","draftId":"a","text":"x\n\"y\"","baseVersion":3"#,
            ),
            (
                Action::Keep { draft: "a".into(), text: "x".into(), version: 3 },
                r#""kind":"draft.keep","draftId":"a","text":"x","baseVersion":3"#,
            ),
            (Action::Delete { draft: "a".into(), base: 3 }, r#""kind":"draft.delete","draftId":"a","baseVersion":3"#),
            (
                Action::Rename { device: "dev_a".into(), name: "RequestContext".into() },
                r#""kind":"device.rename","deviceId":"dev_a","name":"RequestContext""#,
            ),
            (Action::LogOut { session: "aiq_1_a".into() }, r#""kind":"session.logout","sessionId":"aiq_1_a""#),
        ];
        for (action, members) in cases {
            let made = Operation::new(ID, action).unwrap();
            assert_eq!(made, sent(&format!(r#"{{"id":"{ID}",{members}}}"#)).operation.unwrap());
        }
    }

    #[test]
    fn a_digest_that_version_0_1_stored_is_still_recognised() {
        let put =
            |text: &str| Operation::new(ID, Action::Put { draft: "a".into(), text: text.into(), base: 0 }).unwrap();
        let stored = Sha256::digest(r#"Put { draft: "a", text: "x", base: 0 }"#);
        assert!(put("x").has_digest(&stored) && put("x").has_digest(&put("x").digest));
        assert!(!put("y").has_digest(&stored) && !put("y").has_digest(&put("x").digest));
    }

    #[test]
    fn an_invalid_operation_names_the_wrong_member() {
        assert!(wrong(r#""kind": "draft.burn""#).contains("draft.burn"));
        assert!(wrong(r#""kind": "draft.put", "draftId": "a b", "text": "", "baseVersion": 0"#).contains("draftId"));
        for base in ["-1", "1.5", "\"1\"", "null", "1e3", "18446744073709551615"] {
            let members = format!(r#""kind": "draft.put", "draftId": "a", "text": "", "baseVersion": {base}"#);
            assert!(wrong(&members).contains("baseVersion"), "{base}");
        }
        let put =
            |text: &str| wrong(&format!(r#""kind": "draft.put", "draftId": "a", "text": "{text}", "baseVersion": 0"#));
        assert!(put("\\u0000").contains("U+0000"));
        assert!(put(&"é".repeat(10_001)).contains("10001"));
        assert!(put("\\ud800").contains("cannot be read"), "half of a surrogate pair");
        assert!(wrong(r#""kind": "device.rename", "deviceId": "dev_a", "name": " ""#).contains("name"));
        assert!(wrong(r#""kind": "session.logout""#).contains("sessionId"));
    }

    #[test]
    fn an_operation_without_an_id_is_invalid_and_has_no_id() {
        for text in ["1", "null", "[]", "{}", r#"{"id": 7, "kind": "draft.put"}"#] {
            let sent = sent(text);
            assert!(sent.id.is_none() && sent.operation.is_err(), "{text}");
        }
        let odd = sent(r#"{"id": "7", "kind": "session.logout", "sessionId": "a"}"#);
        assert_eq!(odd.id.as_deref(), Some("7"));
        assert!(odd.operation.unwrap_err().to_string().contains("UUID"));
    }

    #[test]
    fn any_text_of_up_to_ten_thousand_characters_is_valid() {
        for text in ["😀".repeat(LONGEST), "a".repeat(LONGEST), String::new(), "\u{feff}\r\n\u{7}".to_owned()] {
            assert!(check_text(&text).is_ok());
        }
    }
}
