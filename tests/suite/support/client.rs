//! An HTTP client with a cookie jar. It adds only the cookies and `Origin`; a test sets every other header itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::PASSWORD;

/// A client that keeps cookies and follows no redirects. It sends `Origin` with unsafe requests unless disabled.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    address: String,
    origin: Option<String>,
    /// The suffix of cookie names: `_` and the port of the public origin, if it has one.
    port: String,
    /// The cookies that the server set, by name without the port.
    pub cookies: BTreeMap<String, String>,
}

/// A response with its whole body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Client {
    pub fn new(address: &str, origin: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .allow_non_standard_methods(true)
            .build();
        Self {
            agent: config.into(),
            address: address.to_owned(),
            origin: Some(origin.to_owned()),
            port: port_in_names(origin),
            cookies: BTreeMap::new(),
        }
    }

    /// Sends no `Origin`, as a program that is not a browser.
    pub fn without_origin(mut self) -> Self {
        self.origin = None;
        self
    }

    /// Sends a request with these headers and this body.
    pub fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.address));
        let jar = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}{}={value}", self.port))
            .collect::<Vec<_>>()
            .join("; ");
        if !jar.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
            request = request.header("Cookie", jar);
        }
        let own_origin = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("origin"));
        if let (Some(origin), false) = (&self.origin, own_origin || matches!(method, "GET" | "HEAD")) {
            request = request.header("Origin", origin);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        let mut response = if matches!(method, "GET" | "HEAD") && body.is_empty() {
            self.agent.run(request.map(|_| ()))?
        } else {
            self.agent.run(request)?
        };
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let answer =
            Answer { status: response.status().as_u16(), headers, body: response.body_mut().read_to_string()? };
        self.keep_cookies(&answer);
        Ok(answer)
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn json(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    /// Posts the fields without adding a form token.
    pub fn form(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes())
    }

    pub fn form_token(&mut self, page: &str) -> String {
        self.get(page).form_token()
    }

    /// Logs in through the API.
    pub fn log_in(&mut self, email: &str) -> Answer {
        let answer = self.try_log_in(email, PASSWORD);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    pub fn try_log_in(&mut self, email: &str, password: &str) -> Answer {
        self.json("POST", "/api/establish-session", &serde_json::json!({"email": email, "password": password}))
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for cookie in answer.all("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a cookie");
            // The jar ignores names without a port. A test that needs such a cookie of an old version sends it itself.
            let Some(name) = name.strip_suffix(self.port.as_str()) else { continue };
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The suffix of cookie names under this origin.
pub fn port_in_names(origin: &str) -> String {
    let port = origin.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    port.map(|port| format!("_{port}")).unwrap_or_default()
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers.iter().filter(move |(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `type` of a problem document.
    pub fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// The `Set-Cookie` value for a cookie, whose name may end with a port.
    pub fn sets(&self, name: &str) -> Option<&str> {
        let is_port = |rest: &str| rest.strip_prefix('_').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
        self.all("set-cookie").find(|cookie| {
            let rest = cookie.split('=').next().and_then(|sent| sent.strip_prefix(name));
            rest.is_some_and(|rest| rest.is_empty() || is_port(rest))
        })
    }

    pub fn form_token(&self) -> String {
        self.value_of("csrf")
    }

    /// The value of the first field of this name.
    pub fn value_of(&self, field: &str) -> String {
        let begins = format!("name=\"{field}\" value=\"");
        let (_, rest) = self.body.split_once(&begins).unwrap_or_else(|| panic!("a field {field}: {self:?}"));
        rest.split('"').next().expect("a value").replace("&#38;", "&")
    }
}
