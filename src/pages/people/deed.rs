//! What can be done to a person after a question, with its words. Called by the question's page.
//!
//! Invariant: a deed is read back from its word.

use crate::{actions::person::end::Which, base::text::is_id};

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    SignOut(Which),
    Disable,
    Enable,
    ResetSecondFactor,
    Export,
    Delete,
}

impl Deed {
    /// Its name in addresses and forms.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::SignOut(_) => "sign-out",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::ResetSecondFactor => "reset-second-factor",
            Self::Export => "export",
            Self::Delete => "delete",
        }
    }

    /// The device or session that it names.
    pub(super) fn which(&self) -> String {
        match self {
            Self::SignOut(Which::Session(id) | Which::OnDevice(id)) => id.clone(),
            _ => String::new(),
        }
    }

    pub(super) fn parse(word: &str, which: &str) -> Option<Self> {
        match word {
            "sign-out" if which.is_empty() => Some(Self::SignOut(Which::All)),
            "sign-out" if !is_id(which) => None,
            "sign-out" if which.starts_with("dev_") => Some(Self::SignOut(Which::OnDevice(which.to_owned()))),
            "sign-out" => Some(Self::SignOut(Which::Session(which.to_owned()))),
            "disable" => Some(Self::Disable),
            "enable" => Some(Self::Enable),
            "reset-second-factor" => Some(Self::ResetSecondFactor),
            "export" => Some(Self::Export),
            "delete" => Some(Self::Delete),
            _ => None,
        }
    }

    /// The heading, what follows from it, and the label of the button.
    pub(super) fn in_words(&self, person: &str) -> (String, &'static str, &'static str) {
        match self {
            Self::SignOut(Which::All) => (
                format!("Sign {person} out everywhere?"),
                "They can sign in again with their password.",
                "Sign out everywhere",
            ),
            Self::SignOut(_) => (
                format!("Sign {person} out there?"),
                "They stay signed in on their other devices, and can sign in again with their password.",
                "Sign out",
            ),
            Self::Disable => (
                format!("Disable the account of {person}?"),
                "They are signed out everywhere and cannot sign in, until you enable the account again. Nothing is deleted.",
                "Disable account",
            ),
            Self::Enable => (
                format!("Enable the account of {person}?"),
                "They can sign in again with their password.",
                "Enable account",
            ),
            Self::ResetSecondFactor => (
                format!("Remove the second factor of {person}?"),
                "Their authenticator app, passkeys and recovery codes stop working, and they are signed out everywhere. They \
                 then sign in with their password, and are told about it. Do this only if you are sure who asks you.",
                "Remove second factor",
            ),
            Self::Export => (
                format!("Download what is kept about {person}?"),
                "You get a file with their account, devices, sign-ins, drafts and activity. They see that you did it.",
                "Download",
            ),
            Self::Delete => (
                format!("Delete the account of {person}?"),
                "Everything that is kept about them is deleted at once, with their drafts. This cannot be undone.",
                "Delete account",
            ),
        }
    }

    /// What the page that follows reports as done.
    pub(super) fn done(&self) -> &'static str {
        match self {
            Self::SignOut(Which::All) => "signed-out-everywhere",
            Self::SignOut(_) => "signed-out",
            Self::Disable => "disabled",
            Self::Enable => "enabled",
            Self::ResetSecondFactor => "second-factor-removed",
            Self::Export => "exported",
            Self::Delete => "deleted",
        }
    }

    /// Whether it takes something away.
    pub(super) fn ends(&self) -> bool {
        !matches!(self, Self::Enable | Self::Export)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_is_read_back_from_its_words() {
        for deed in [
            Deed::SignOut(Which::All),
            Deed::SignOut(Which::Session("aiq_1_a".into())),
            Deed::SignOut(Which::OnDevice("dev_1".into())),
            Deed::Disable,
            Deed::Enable,
            Deed::ResetSecondFactor,
            Deed::Export,
            Deed::Delete,
        ] {
            assert_eq!(Deed::parse(deed.word(), &deed.which()), Some(deed));
        }
        assert_eq!(Deed::parse("remove", ""), None);
        assert_eq!(Deed::parse("sign-out", "a b"), None);
    }
}
