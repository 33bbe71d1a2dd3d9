//! Splits a URL with several hosts into one configuration per host. tokio-postgres can try the hosts in turn, but a
//! host that accepts the connection and then hangs would block all hosts after it. Called by the connect plan, and by
//! the URL's Display.
//!
//! Invariant: each configuration keeps every other setting of the URL.

use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// One configuration per host, in the order in which the hosts are tried.
pub(crate) fn each(config: &Config) -> Vec<Config> {
    let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    (0..names.len().max(addresses.len()))
        .map(|n| {
            let mut host = without_hosts(config);
            if let Some(name) = names.get(n) {
                match name {
                    Host::Tcp(name) => host.host(name),
                    Host::Unix(path) => host.host_path(path),
                };
            }
            if let Some(address) = addresses.get(n) {
                host.hostaddr(*address);
            }
            if let Some(port) = ports.get(n).or(ports.first()) {
                host.port(*port);
            }
            host
        })
        .collect()
}

/// The host's name for messages.
pub(crate) fn name(host: &Config) -> String {
    let name = match (host.get_hosts().first(), host.get_hostaddrs().first()) {
        (Some(Host::Tcp(name)), _) => name.clone(),
        (Some(Host::Unix(path)), _) => path.display().to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "the server".to_owned(),
    };
    host.get_ports().first().map_or(name.clone(), |port| format!("{name}:{port}"))
}

/// A copy of the configuration without its hosts and ports.
fn without_hosts(config: &Config) -> Config {
    let mut bare = Config::new();
    if let Some(user) = config.get_user() {
        bare.user(user);
    }
    if let Some(password) = config.get_password() {
        bare.password(password);
    }
    if let Some(name) = config.get_dbname() {
        bare.dbname(name);
    }
    if let Some(name) = config.get_application_name() {
        bare.application_name(name);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        bare.connect_timeout(*timeout);
    }
    if let Some(timeout) = config.get_tcp_user_timeout() {
        bare.tcp_user_timeout(*timeout);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        bare.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        bare.keepalives_retries(retries);
    }
    bare.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs());
    bare
}
