//! Where a program is served, in this process or in one of its own.

use super::Client;

/// Where it listens.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    pub port: u16,
}

impl Served {
    /// As its first line says.
    pub fn from_line(line: &str) -> Self {
        let address = line.strip_prefix("sessile: listening on ").unwrap_or_else(|| panic!("{line}"));
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        Self { address: address.to_owned(), port }
    }

    /// A browser without cookies, whose pages are under the public origin.
    pub fn client(&self) -> Client {
        Client::new(&self.address, &format!("http://localhost:{}", self.port))
    }

    /// The name of a cookie under the default public origin: it carries the port.
    pub fn cookie(&self, name: &str) -> String {
        format!("{name}_{}", self.port)
    }
}

/// The secret of the link that its second line gives.
pub fn secret_of_link(line: &str) -> String {
    line.split_once("/setup?token=").unwrap_or_else(|| panic!("{line}")).1.to_owned()
}
