//! The fields of the forms that add and change an app. Called by the pages for admins.
//!
//! Invariant: a refused form is shown with everything that was typed, except the password.

use serde::Deserialize;

use crate::{
    actions::apps::checks::{Changes, Field, Refused},
    records::{
        account::Role,
        app::{App, Identity},
    },
    web::snippet,
};

/// Where an app listens, unless somebody says otherwise.
pub(super) const UPSTREAM: &str = "127.0.0.1:3000";

/// The fields as they were typed. A checkbox is sent only if it is checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AppFields {
    pub name: String,
    pub url: String,
    /// `everyone` or `some`.
    pub who: String,
    pub owners: Option<String>,
    pub admins: Option<String>,
    pub members: Option<String>,
    /// One per line, or divided by commas.
    pub groups: String,
    /// E-mail addresses, one per line, or divided by commas or spaces.
    pub people: String,
    pub remote: Option<String>,
    pub observe: Option<String>,
    pub cross_site: Option<String>,
    pub preflight: Option<String>,
    pub second_factor: Option<String>,
    /// One per line.
    pub public: String,
    pub upstream: String,
    pub current_password: String,
}

/// What is wrong with the fields.
#[derive(Debug, Clone, Default)]
pub struct Wrong {
    pub name: Option<String>,
    pub url: Option<String>,
    pub who: Option<String>,
    pub groups: Option<String>,
    pub people: Option<String>,
    pub public: Option<String>,
    pub upstream: Option<String>,
    pub password: Option<String>,
}

impl Wrong {
    pub fn of(refused: Refused) -> Self {
        let mut wrong = Self::default();
        let words = Some(sentence(&refused.words));
        match refused.field {
            Field::Name => wrong.name = words,
            Field::Origin => wrong.url = words,
            Field::Rules => wrong.who = words,
            Field::Groups => wrong.groups = words,
            Field::Accounts => wrong.people = words,
            Field::PublicPaths => wrong.public = words,
        }
        wrong
    }

    pub fn is_any(&self) -> bool {
        let Self { name, url, who, groups, people, public, upstream, password } = self;
        [name, url, who, groups, people, public, upstream, password].into_iter().any(Option::is_some)
    }

    /// The id of the first field with a message, which gets the focus.
    pub fn first(&self) -> &'static str {
        let fields = [
            ("name", &self.name),
            ("url", &self.url),
            ("who", &self.who),
            ("groups", &self.groups),
            ("people", &self.people),
            ("upstream", &self.upstream),
            ("public", &self.public),
            ("current_password", &self.password),
        ];
        fields.into_iter().find(|(_, words)| words.is_some()).map(|(id, _)| id).unwrap_or_default()
    }
}

impl AppFields {
    /// The fields for an app as it is, with its rules as a person types them.
    pub fn of(app: &App, rules: &[String]) -> Self {
        let is_checked = |on: bool| on.then(|| "yes".to_owned());
        let has_role = |role: Role| is_checked(rules.contains(&format!("role:{role}")));
        let beginning = |with: &str| rules.iter().filter_map(|rule| rule.strip_prefix(with)).collect::<Vec<_>>();
        let is_for_everyone = rules.iter().any(|rule| rule == "everyone");
        Self {
            name: app.name.clone(),
            url: app.origin.clone(),
            who: if is_for_everyone { "everyone" } else { "some" }.to_owned(),
            owners: has_role(Role::Owner),
            admins: has_role(Role::Admin),
            members: has_role(Role::Member),
            groups: beginning("group:").join("\n"),
            people: beginning("account:").join("\n"),
            remote: is_checked(app.identity == Identity::Remote),
            observe: is_checked(app.observe),
            cross_site: is_checked(app.allow_cross_site),
            preflight: is_checked(app.allow_preflight),
            second_factor: is_checked(app.require_second_factor),
            public: app.public_paths.join("\n"),
            upstream: String::new(),
            current_password: String::new(),
        }
    }

    /// What the fields ask for.
    pub fn changes(&self) -> Result<Changes, Box<Wrong>> {
        let admit = self.rules()?;
        if admit.is_empty() {
            let who = Some("Choose a role, or write a group or a person.".to_owned());
            return Err(Box::new(Wrong { who, ..Wrong::default() }));
        }
        if self.name.trim().is_empty() {
            return Err(Box::new(Wrong { name: Some("Enter a name.".to_owned()), ..Wrong::default() }));
        }
        Ok(Changes {
            name: Some(self.name.clone()),
            origin: Some(self.url.clone()),
            admit: Some(admit),
            identity: Some(if self.remote.is_some() { Identity::Remote } else { Identity::Sessile }),
            observe: Some(self.observe.is_some()),
            allow_cross_site: Some(self.cross_site.is_some()),
            allow_preflight: Some(self.preflight.is_some()),
            require_second_factor: Some(self.second_factor.is_some()),
            public_paths: Some(parts(&self.public, &['\n', ' ', ',']).collect()),
        })
    }

    /// Where the app listens.
    pub fn upstream(&self) -> Result<&str, Box<Wrong>> {
        let typed = self.upstream.trim();
        let typed = if typed.is_empty() { UPSTREAM } else { typed };
        snippet::check_place(typed).map(|()| typed).map_err(|words| {
            let upstream = Some(sentence(&words));
            Box::new(Wrong { upstream, ..Wrong::default() })
        })
    }

    pub fn is_for_some(&self) -> bool {
        self.who == "some"
    }

    /// Whether one of the settings that few need differs from its default.
    pub fn has_more(&self) -> bool {
        let boxes = [&self.remote, &self.observe, &self.cross_site, &self.preflight, &self.second_factor];
        boxes.into_iter().any(Option::is_some) || !self.public.trim().is_empty()
    }

    fn rules(&self) -> Result<Vec<String>, Box<Wrong>> {
        match self.who.as_str() {
            "everyone" => return Ok(vec!["everyone".to_owned()]),
            "some" => {}
            _ => {
                let who = Some("Choose who may use it.".to_owned());
                return Err(Box::new(Wrong { who, ..Wrong::default() }));
            }
        }
        let roles = [(Role::Owner, &self.owners), (Role::Admin, &self.admins), (Role::Member, &self.members)];
        let roles = roles.into_iter().filter(|(_, is_checked)| is_checked.is_some());
        let roles = roles.map(|(role, _)| format!("role:{role}"));
        let groups = parts(&self.groups, &['\n', ',']).map(|group| format!("group:{group}"));
        let people = parts(&self.people, &['\n', ',', ';', ' ']).map(|email| format!("account:{email}"));
        Ok(roles.chain(groups).chain(people).collect())
    }
}

fn parts<'a>(text: &'a str, dividers: &'a [char]) -> impl Iterator<Item = String> + 'a {
    text.split(dividers).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// The message of an error as a sentence.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_from_the_fields_and_written_into_them() {
        let typed = AppFields {
            who: "some".to_owned(),
            admins: Some("yes".to_owned()),
            groups: "Till staff, Night\r\n".to_owned(),
            people: "kim@example.com\r\nalex@example.com ".to_owned(),
            ..AppFields::default()
        };
        let rules =
            ["role:admin", "group:Till staff", "group:Night", "account:kim@example.com", "account:alex@example.com"];
        assert_eq!(typed.rules().unwrap(), rules);
        assert!(AppFields { who: "every".to_owned(), ..typed.clone() }.rules().is_err());
        assert_eq!(AppFields { who: "everyone".to_owned(), ..typed }.rules().unwrap(), ["everyone"]);
        assert!(AppFields { who: "some".to_owned(), ..AppFields::default() }.changes().is_err());
    }

    #[test]
    fn messages_begin_with_a_capital_letter() {
        assert_eq!(sentence("the address is not a URL"), "The address is not a URL.");
    }
}
