//! The data of a session: two JSON texts with a zero byte between, what is stored and a patch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use sessile::session::data::{LARGEST, Patch, merge};

fuzz_target!(|texts: &[u8]| {
    let mut texts = texts.splitn(2, |byte| *byte == 0);
    let (Some(stored), Some(patch)) = (texts.next().and_then(read), texts.next().and_then(read)) else { return };
    laws(&stored, &patch);
    let Ok(checked) = Patch::new(patch.clone()) else {
        assert!(!patch.is_object() || patch.to_string().contains("\\u0000"), "{patch}");
        return;
    };
    let Ok(whole) = checked.clone().apply(&stored.to_string()) else {
        assert!(merged(&stored, &patch).to_string().len() > LARGEST, "refused: {stored} {patch}");
        return;
    };
    assert!(whole.len() <= LARGEST);
    // Nobody's numbers or texts change by being read and written again.
    assert_eq!(checked.apply(&whole).ok().as_deref(), Some(whole.as_str()));
});

/// RFC 7396, section 2, as it shows from outside.
fn laws(stored: &Value, patch: &Value) {
    let whole = merged(stored, patch);
    assert_eq!(merged(&whole, patch), whole, "not idempotent: {stored} {patch}");
    assert!(depth(&whole) <= depth(stored).max(depth(patch)), "deeper: {stored} {patch}");
    let Value::Object(changes) = patch else {
        assert_eq!(&whole, patch);
        return;
    };
    let nothing = json!({});
    let before = if stored.is_object() { stored } else { &nothing };
    let names = changes.keys().chain(before.as_object().into_iter().flat_map(|entries| entries.keys()));
    let mut left = whole.as_object().map_or(usize::MAX, serde_json::Map::len);
    for name in names.collect::<std::collections::BTreeSet<_>>() {
        let expected = match (changes.get(name), before.get(name)) {
            (None, stands) => stands.cloned(),
            (Some(Value::Null), _) => None,
            (Some(change), stands) => Some(merged(stands.unwrap_or(&Value::Null), change)),
        };
        assert_eq!(whole.get(name), expected.as_ref(), "{name:?}: {stored} {patch}");
        left -= usize::from(expected.is_some());
    }
    assert_eq!(left, 0, "a name from nowhere: {stored} {patch}");
}

fn read(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

fn merged(target: &Value, patch: &Value) -> Value {
    let mut whole = target.clone();
    merge(&mut whole, patch.clone());
    whole
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
