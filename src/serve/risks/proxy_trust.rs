//! Checks which proxies are trusted, and that passwords are not sent in the clear. Called by [`warn`](super::warn) and
//! by `doctor`.
//!
//! Invariant: the check reads only the settings.

use ipnet::IpNet;

use super::finding::Finding;
use crate::base::settings::Settings;

/// Checks that forwarding headers are trusted from the right proxies only, and that passwords are not sent in the
/// clear.
pub fn proxy_trust(settings: &Settings) -> Finding {
    if let Some(wide) = settings.trusted_proxies.iter().find(|net| is_the_world(net)) {
        return Err(format!(
            "SESSILE_TRUSTED_PROXIES trusts {wide}, so anybody may claim any address: list only the networks of your proxies"
        ));
    }
    let own_tls = settings.tls.is_some();
    let public = settings.public_url.as_ref();
    let is_https = public.map_or(own_tls, |public| public.is_https());
    if is_https && !own_tls && settings.trusted_proxies.is_empty() {
        return Err("SESSILE_PUBLIC_URL is https, but no proxy is trusted and TLS is not served here, so every \
            browser seems to have the proxy's address: list the proxy in SESSILE_TRUSTED_PROXIES, or set SESSILE_TLS_CERT and \
            SESSILE_TLS_KEY"
            .to_owned());
    }
    let host = public.map_or("localhost", |public| public.host());
    let stays_here = settings.listen.ip().to_canonical().is_loopback() && is_loopback(host);
    if !is_https && !stays_here {
        return Err(format!(
            "passwords would cross the network in the clear (http://{host}, listening on {}): put a proxy with TLS \
             in front or serve TLS here, and set SESSILE_PUBLIC_URL to https://…",
            settings.listen
        ));
    }
    Ok(match settings.trusted_proxies.len() {
        0 => "no trusted proxies".to_owned(),
        count => format!("{count} trusted networks"),
    })
}

/// Whether a network is too large to belong to one operator.
fn is_the_world(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() < 8,
        IpNet::V6(net) => net.prefix_len() < 7,
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
