//! The manifest with the operator's name and icons. Called by [`pwa`](super).

use serde_json::{Map, Value, json};

use crate::base::brand::Brand;

/// The embedded manifest, changed where the brand differs from our own.
pub(super) fn text(embedded: &str, brand: &Brand) -> Result<String, String> {
    if brand.is_our_own() {
        return Ok(embedded.to_owned());
    }
    let mut manifest: Map<String, Value> = serde_json::from_str(embedded).map_err(|error| error.to_string())?;
    for key in ["name", "short_name"] {
        manifest.insert(key.to_owned(), json!(brand.name));
    }
    // The pictures show our own name and colour.
    manifest.remove("screenshots");
    if !brand.icons().is_empty() {
        let icons = brand.icons().iter().map(|icon| {
            json!({"src": icon.file.path, "sizes": icon.sizes, "type": media_type(icon.file.content_type), "purpose": icon.purpose})
        });
        let icons: Vec<Value> = icons.collect();
        for shortcut in manifest.get_mut("shortcuts").and_then(Value::as_array_mut).into_iter().flatten() {
            shortcut["icons"] = icons.iter().take(1).cloned().collect();
        }
        manifest.insert("icons".to_owned(), icons.into());
    }
    serde_json::to_string_pretty(&manifest).map_err(|error| error.to_string())
}

/// How many icons and pictures of the product the manifest must have.
pub(super) fn least_pictures(brand: &Brand) -> [usize; 2] {
    [if brand.icons().is_empty() { 3 } else { brand.icons().len() }, if brand.is_our_own() { 2 } else { 0 }]
}

/// Without the character set, which is of no use in a manifest.
fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default()
}
