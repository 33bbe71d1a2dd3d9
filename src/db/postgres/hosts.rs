//! The hosts of a URL, one by one: tokio-postgres tries them in turn itself, but one that takes the connection and then
//! says nothing would keep it from all that follow. Called by the connect plan.

use tokio_postgres::Config;
use tokio_postgres::config::LoadBalanceHosts;

/// A configuration for each host of this one, in the order in which they are to be tried.
pub(super) fn each(config: &Config) -> Vec<Config> {
    let (names, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let mut hosts: Vec<Config> = (0..names.len().max(addresses.len()))
        .map(|n| {
            let mut host = without_hosts(config);
            if let Some(name) = names.get(n) {
                match name {
                    tokio_postgres::config::Host::Tcp(name) => host.host(name),
                    tokio_postgres::config::Host::Unix(path) => host.host_path(path),
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
        .collect();
    if config.get_load_balance_hosts() == LoadBalanceHosts::Random && !hosts.is_empty() {
        let any = getrandom::u32().unwrap_or_default() as usize;
        let length = hosts.len();
        hosts.rotate_left(any % length);
    }
    hosts
}

/// Everything else that a URL may say.
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
    if let Some(options) = config.get_options() {
        bare.options(options);
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
        .target_session_attrs(config.get_target_session_attrs())
        .load_balance_hosts(config.get_load_balance_hosts());
    bare
}
