//! Resolves each setting's text from its flag, variable or default, and collects the problems. Called only by the
//! settings check.
//!
//! Invariant: every problem is collected, so that one start reports all of them.

use std::collections::HashMap;

use super::{links, values};

/// A row of the settings table, with the flag's value if the flag was given.
pub(super) struct Setting {
    variable: &'static str,
    flag: String,
    default: Option<&'static str>,
    typed: Option<String>,
}

impl Setting {
    pub(super) fn new(
        variable: &'static str,
        field: &str,
        default: Option<&'static str>,
        typed: Option<String>,
    ) -> Self {
        Self { variable, flag: format!("--{}", field.replace('_', "-")), default, typed }
    }

    #[cfg(test)]
    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }
}

/// A setting is invalid. The [`Input`] holds the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

/// The texts of all settings, and the problems found.
pub(super) struct Input {
    /// By variable: the name to use in messages (the flag if it was given), and the text if there is one.
    given: HashMap<&'static str, (String, Option<String>)>,
    problems: Vec<String>,
}

impl Input {
    pub(super) fn new(table: Vec<Setting>, env: impl Iterator<Item = (String, String)>) -> Self {
        let mut in_env = HashMap::new();
        let mut problems = Vec::new();
        for (name, value) in env.filter(|(name, value)| !links::is_of_service_link(name, value)) {
            if table.iter().any(|setting| setting.variable == name) {
                in_env.insert(name, value);
            } else if name.starts_with("SESSILE_") {
                problems.push(format!(
                    "{} is not a setting: unset it, or see \"sessile serve --help\" for a list of settings",
                    name.escape_debug()
                ));
            }
        }
        problems.sort();
        let given = table
            .into_iter()
            .map(|setting| {
                let default = setting.default.map(str::to_owned);
                let (label, text) = match setting.typed {
                    Some(typed) => (setting.flag, Some(typed)),
                    None => (setting.variable.to_owned(), in_env.remove(setting.variable).or(default)),
                };
                (setting.variable, (label, text))
            })
            .collect();
        Self { given, problems }
    }

    /// The setting's name for messages: the flag if it was given, else the variable.
    pub(super) fn label(&self, variable: &'static str) -> String {
        self.given.get(variable).map_or_else(|| variable.to_owned(), |(label, _)| label.clone())
    }

    /// The setting's text; empty if it has none.
    pub(super) fn value(&self, variable: &'static str) -> String {
        self.given.get(variable).and_then(|(_, text)| text.clone()).unwrap_or_default()
    }

    /// The value of a setting that must have one.
    pub(super) fn read<T>(
        &mut self,
        variable: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Refused> {
        match self.read_if_set(variable, parse)? {
            Some(value) => Ok(value),
            None => Err(self.refuse(format!("{variable} is missing: set it"))),
        }
    }

    /// The value of a setting; `None` if it is not set and has no default.
    pub(super) fn read_if_set<T>(
        &mut self,
        variable: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Refused> {
        let Some((label, Some(text))) = self.given.get(variable) else {
            return Ok(None);
        };
        values::text(text).and_then(parse).map(Some).map_err(|problem| {
            self.problems.push(format!("{label}: {problem}"));
            Refused
        })
    }

    /// Adds a problem that concerns more than one setting.
    pub(super) fn refuse(&mut self, problem: String) -> Refused {
        self.problems.push(problem);
        Refused
    }

    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }
}
