//! Merge patches of session data. The input is two JSON texts with a zero byte between them: the stored data and the
//! patch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use sessile::records::session::data::{LARGEST, Patch, merge};

fuzz_target!(|texts: &[u8]| {
    let mut texts = texts.splitn(2, |byte| *byte == 0);
    let (Some(stored), Some(patch)) = (texts.next().and_then(parse), texts.next().and_then(parse)) else { return };
    check_rfc_7396(&stored, &patch);
    let Ok(checked) = Patch::new(patch.clone()) else {
        assert!(!patch.is_object() || patch.to_string().contains("\\u0000"), "{patch}");
        return;
    };
    let Ok(result) = checked.clone().apply(&stored.to_string()) else {
        assert!(merged(&stored, &patch).to_string().len() > LARGEST, "refused: {stored} {patch}");
        return;
    };
    assert!(result.len() <= LARGEST);
    // Writing the result and reading it again changes no number and no text.
    assert_eq!(checked.apply(&result).ok().as_deref(), Some(result.as_str()));
});

/// Checks the properties that follow from RFC 7396, section 2.
fn check_rfc_7396(stored: &Value, patch: &Value) {
    let result = merged(stored, patch);
    assert_eq!(merged(&result, patch), result, "not idempotent: {stored} {patch}");
    assert!(depth(&result) <= depth(stored).max(depth(patch)), "deeper: {stored} {patch}");
    let Value::Object(changes) = patch else {
        assert_eq!(&result, patch);
        return;
    };
    let empty = json!({});
    let before = if stored.is_object() { stored } else { &empty };
    let names = changes.keys().chain(before.as_object().into_iter().flat_map(|entries| entries.keys()));
    let mut remaining = result.as_object().map_or(usize::MAX, serde_json::Map::len);
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let expected = match (changes.get(name), before.get(name)) {
            (None, old) => old.cloned(),
            (Some(Value::Null), _) => None,
            (Some(change), old) => Some(merged(old.unwrap_or(&Value::Null), change)),
        };
        assert_eq!(result.get(name), expected.as_ref(), "{name:?}: {stored} {patch}");
        remaining -= usize::from(expected.is_some());
    }
    assert_eq!(remaining, 0, "an unexpected name: {stored} {patch}");
}

fn parse(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

fn merged(target: &Value, patch: &Value) -> Value {
    let mut result = target.clone();
    merge(&mut result, patch.clone());
    result
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
