//! Requests for help as the pages for admins show them. The template is `parts/help.html`; its page has the fields
//! `help: Vec<HelpRow>` and `page`.

use super::layout::{self, When};
use crate::{base::db::Instant, records::help::HelpRequest};

/// A person who forgot their password.
#[derive(Debug, Clone)]
pub struct HelpRow {
    pub id: String,
    pub letter: String,
    pub name: String,
    pub email: String,
    pub when: When,
}

impl HelpRow {
    pub fn rows(requests: &[HelpRequest], now: Instant) -> Vec<Self> {
        let row = |HelpRequest { person, asked_at }: &HelpRequest| Self {
            id: person.id.clone(),
            letter: layout::initial(&person.name),
            name: person.name.clone(),
            email: person.email.clone(),
            when: When::past(*asked_at, now),
        };
        requests.iter().map(row).collect()
    }
}
