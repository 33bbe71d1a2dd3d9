//! The JSON object that a session's client may store: its limits and its changes. Called by the page module that serves
//! `/api/session/data`.
//!
//! Invariant: the stored data is an object of at most [`LARGEST`] bytes of JSON, without U+0000.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use serde_json::{Map, Value};

use super::{live::is_live, service::Sessions, who::Who};
use crate::base::{
    db::{Conn, find, run, schema::sessions},
    error::{Error, Result},
};

/// Maximum size of a session's data, in bytes of JSON.
pub const LARGEST: usize = 16 * 1024;

/// A validated merge patch (RFC 7396) for the data of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch(Map<String, Value>);

impl Patch {
    /// Validates a patch that a client sent.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the patch is not an object, or contains U+0000, which PostgreSQL cannot store.
    pub fn new(sent: Value) -> Result<Self> {
        if holds_nul(&sent) {
            return Err(Error::Invalid("U+0000 cannot be stored".into()));
        }
        let Value::Object(patch) = sent else {
            return Err(Error::Invalid("the data of a session must be a JSON object".into()));
        };
        Ok(Self(patch))
    }

    /// Applies the patch to the stored JSON text and returns the new text.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the result is larger than [`LARGEST`].
    pub fn apply(self, stored: &str) -> Result<String> {
        let mut whole: Value = serde_json::from_str(stored).map_err(Error::bug)?;
        merge(&mut whole, Value::Object(self.0));
        let text = whole.to_string();
        if text.len() > LARGEST {
            return Err(Error::TooLarge);
        }
        Ok(text)
    }
}

impl Sessions {
    /// The JSON object that the session's client stored; `None` if the session is not live.
    pub async fn data(&self, account_id: &str, id: &str) -> Result<Option<String>> {
        let (account_id, id) = (account_id.to_owned(), id.to_owned());
        self.db
            .read(async move |conn: &mut Conn<'_>| {
                let own = sessions::table.filter(sessions::account_id.eq(&account_id)).filter(sessions::id.eq(&id));
                find!(conn, first(own.filter(is_live()).select(sessions::data)))
            })
            .await
    }
}

/// Applies a patch to the data of a session and returns the new data. The caller has locked the session's row.
///
/// # Errors
/// [`Error::TooLarge`] when the result is larger than [`LARGEST`].
pub async fn change(conn: &mut Conn<'_>, who: &Who, patch: Patch) -> Result<String> {
    let own = || {
        let of_account = sessions::table.filter(sessions::account_id.eq(&who.account_id));
        of_account.filter(sessions::id.eq(&who.session_id))
    };
    let stored: String = run!(conn, first(own().select(sessions::data)))?;
    let changed = patch.apply(&stored)?;
    let set = (sessions::data.eq(&changed), sessions::version.eq(sessions::version + 1));
    run!(conn, execute(diesel::update(own()).set(set)))?;
    Ok(changed)
}

/// Merges `patch` into `target` as RFC 7396, section 2, specifies.
pub fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                merge(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(entries) => entries.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, collection::vec, prelude::*};
    use serde_json::json;

    use super::*;

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn merges_as_the_rfc_does() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!(["a", "b"]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (target, patch, whole) in cases {
            assert_eq!(merged(&target, &patch), whole, "{target} {patch}");
        }
    }

    #[test]
    fn finds_nul_at_any_depth() {
        for value in [json!("\0"), json!({"a\0": 1}), json!([{"a": ["\0"]}])] {
            assert!(holds_nul(&value), "{value}");
        }
        assert!(!holds_nul(&json!({"a": ["b", 1, null, true]})));
    }

    /// An inexact float parser would change these numbers, a little more with every patch to another member.
    #[test]
    fn a_patch_leaves_numbers_in_other_members_unchanged() {
        for number in
            ["7.976931348321567e+307", "1.7976931348623157e+308", "5e-324", "0.1", "-0.0", "18446744073709551615"]
        {
            let stored = format!("{{\"n\":{number}}}");
            let patch = Patch::new(json!({"other": null})).unwrap();
            assert_eq!(patch.apply(&stored).unwrap(), stored);
        }
    }

    fn merged(target: &Value, patch: &Value) -> Value {
        let mut whole = target.clone();
        merge(&mut whole, patch.clone());
        whole
    }

    /// Uses few names, so that patches often match existing members.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..3).prop_map(Value::from),
                btree_map("[a-c]", inner, 0..4).prop_map(|entries| entries.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn applying_a_patch_twice_equals_applying_it_once(target in any_json(), patch in any_json()) {
            let once = merged(&target, &patch);
            prop_assert_eq!(merged(&once, &patch), once);
        }

        #[test]
        fn an_empty_patch_changes_no_object(target in any_json()) {
            let whole = merged(&target, &json!({}));
            prop_assert_eq!(whole, if target.is_object() { target } else { json!({}) });
        }

        #[test]
        fn each_member_is_merged_on_its_own(target in any_json(), patch in any_json()) {
            let whole = merged(&target, &patch);
            let Value::Object(patch) = patch else {
                prop_assert_eq!(whole, patch);
                return Ok(());
            };
            let names = ["a", "b", "c"];
            for name in names {
                let expected = match (patch.get(name), target.get(name)) {
                    (None, before) => before.cloned(),
                    (Some(Value::Null), _) => None,
                    (Some(change), before) => Some(merged(before.unwrap_or(&Value::Null), change)),
                };
                prop_assert_eq!(whole.get(name), expected.as_ref(), "{}", name);
            }
            prop_assert!(whole.as_object().is_some_and(|whole| whole.keys().all(|name| names.contains(&name.as_str()))));
        }

        #[test]
        fn stored_data_is_never_too_large_and_can_be_patched_again(target in any_json(), patch in any_json(), pad in 0..20_000_usize) {
            let stored = json!({"a": target, "pad": "x".repeat(pad)}).to_string();
            let Ok(patch) = Patch::new(patch) else { return Ok(()) };
            match patch.clone().apply(&stored) {
                Ok(whole) => {
                    prop_assert!(whole.len() <= LARGEST);
                    prop_assert_eq!(patch.apply(&whole).ok(), Some(whole));
                }
                Err(error) => prop_assert!(matches!(error, Error::TooLarge) && pad > 15_000, "{}", error),
            }
        }
    }
}
