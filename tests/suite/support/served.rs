//! The address of a served program, whether it runs in this process or in its own.

use super::Client;

/// The listening address.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    pub port: u16,
}

impl Served {
    /// Parses the first line of standard output.
    pub fn from_line(line: &str) -> Self {
        let address = line.strip_prefix("sessile: listening on ").unwrap_or_else(|| panic!("{line}"));
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        Self { address: address.to_owned(), port }
    }

    /// A client without cookies that sends the public origin.
    pub fn client(&self) -> Client {
        Client::new(&self.address, &format!("http://localhost:{}", self.port))
    }

    /// The name of a cookie under the default public origin, with its port.
    pub fn cookie(&self, name: &str) -> String {
        format!("{name}_{}", self.port)
    }
}

/// The secret in the setup link on the second line of standard output.
pub fn secret_of_link(line: &str) -> String {
    line.split_once("/setup?token=").unwrap_or_else(|| panic!("{line}")).1.to_owned()
}
