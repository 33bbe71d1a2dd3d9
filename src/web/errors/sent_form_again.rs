//! The form on an error page that lets a person send their input again when the service is back. Used for every form
//! whose handler does not show its own form again.
//!
//! Invariant: a password that was sent never comes back in a page.

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SentFormAgain {
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) kind: Kind,
    /// Always `None`: the field macros of the templates require it.
    pub(super) error: Option<String>,
}

/// How a field is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not typed by a person.
    Hidden,
    /// A single-line input.
    Line { label: &'static str, kind: &'static str, complete: &'static str },
    /// A multi-line text.
    Text { label: &'static str },
    /// A password, which has to be typed again.
    Password { label: &'static str, complete: &'static str },
}

impl SentFormAgain {
    pub(super) fn new(sent: Vec<(String, String)>) -> Self {
        let replaces = sent.iter().any(|(name, _)| name == "current_password");
        let creates = sent.iter().any(|(name, _)| name == "name");
        let mut fields: Vec<Field> = Vec::with_capacity(sent.len());
        for (name, value) in sent {
            let kind = match name.as_str() {
                // No form of ours sends a name twice.
                name if fields.iter().any(|field| field.name == name) => Kind::Hidden,
                "text" => Kind::Text { label: "Your post" },
                "name" => Kind::Line { label: "Name", kind: "text", complete: "name" },
                "email" => Kind::Line { label: "Email", kind: "email", complete: "username" },
                "current_password" => Kind::Password { label: "Current password", complete: "current-password" },
                "password" if replaces => Kind::Password { label: "New password", complete: "new-password" },
                "password" if creates => Kind::Password { label: "Password", complete: "new-password" },
                name if is_password(name) => Kind::Password { label: "Password", complete: "current-password" },
                _ => Kind::Hidden,
            };
            if kind == Kind::Hidden && is_password(&name) {
                continue;
            }
            let value = if is_password(&name) { String::new() } else { value };
            fields.push(Field { name, value, kind, error: None });
        }
        Self { fields }
    }

    pub(super) fn asks_password(&self) -> bool {
        self.fields.iter().any(|field| matches!(field.kind, Kind::Password { .. }))
    }

    /// Whether the form has a field that a person typed.
    pub(super) fn is_typed(&self) -> bool {
        self.fields.iter().any(|field| field.kind != Kind::Hidden)
    }
}

/// The name of every password field ends with "password"; a test checks the templates.
fn is_password(name: &str) -> bool {
    name.ends_with("password")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn again(sent: &[(&str, &str)]) -> SentFormAgain {
        SentFormAgain::new(sent.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn everything_typed_comes_back_except_passwords() {
        let form = again(&[
            ("csrf", "t"),
            ("email", "kim@example.com"),
            ("current_password", "secret 1"),
            ("password", "secret 2"),
            ("password", "secret 3"),
            ("other_password", "secret 4"),
        ]);
        let values: Vec<(&str, &str)> =
            form.fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        assert_eq!(
            values,
            [
                ("csrf", "t"),
                ("email", "kim@example.com"),
                ("current_password", ""),
                ("password", ""),
                ("other_password", "")
            ]
        );
        assert_eq!(form.fields[3].kind, Kind::Password { label: "New password", complete: "new-password" });
        assert!(form.asks_password() && form.is_typed());
        assert!(!again(&[("csrf", "t"), ("ending", "others")]).is_typed());
    }

    #[test]
    fn every_password_field_of_the_pages_is_known_by_its_name() {
        let mut names = Vec::new();
        look_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), &mut names);
        assert!(names.len() >= 4, "{names:?}");
        assert!(names.iter().all(|name| is_password(name)), "{names:?}");
    }

    fn look_into(folder: &Path, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look_into(&path, names);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for call in text.split("fields::password(\"").skip(1) {
                names.push(call.split('"').next().unwrap().to_owned());
            }
            let by_hand = text.matches("type=\"password\"").count();
            assert!(by_hand == 0 || path.ends_with("parts/field.html"), "{}", path.display());
        }
    }
}
