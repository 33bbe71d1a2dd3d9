//! Where a setting's text comes from: flag, variable or default. Called by the check of the settings alone; every
//! refusal is noted here, so that one start shows all of them.

use std::collections::HashMap;

use super::{links, values};

/// A line of the table of settings, with its flag if that was typed.
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

/// A setting could not be had; why is noted in the [`Input`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused;

/// The texts of all settings, and the problems found so far.
pub(super) struct Input {
    /// By variable: what to call the setting (its flag if that was typed), and its text if it has one.
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
                    "{} is not a setting: unset it, or see \"sessile serve --help\" for those there are",
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

    /// What the person who set it calls this setting: the flag if it was typed, else the variable.
    pub(super) fn label(&self, variable: &'static str) -> String {
        self.given.get(variable).map_or_else(|| variable.to_owned(), |(label, _)| label.clone())
    }

    /// The text of a setting; empty if it has none.
    pub(super) fn value(&self, variable: &'static str) -> String {
        self.given.get(variable).and_then(|(_, text)| text.clone()).unwrap_or_default()
    }

    /// The value of a setting that has a default.
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

    /// The value of a setting, or None if it is not set and has no default.
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

    /// Notes a problem that is not in one value alone.
    pub(super) fn refuse(&mut self, problem: String) -> Refused {
        self.problems.push(problem);
        Refused
    }

    pub(super) fn into_problems(self) -> Vec<String> {
        self.problems
    }
}
