//! Whether proxies are believed as they should be, and passwords travel safely. Called by [`risks`](super).

use ipnet::IpNet;

use super::finding::Finding;
use crate::base::settings::Settings;

/// Whether addresses and schemes that proxies tell of are believed of the right ones, and passwords travel safely.
pub fn proxy_trust(settings: &Settings) -> Finding {
    if let Some(wide) = settings.trusted_proxies.iter().find(|net| is_the_world(net)) {
        return Err(format!(
            "SESSILE_TRUSTED_PROXIES believes {wide}, so that anybody may claim any address: name the proxies' own networks"
        ));
    }
    let own_tls = settings.tls.is_some();
    let public = settings.public_url.as_ref();
    let is_https = public.map_or(own_tls, |public| public.is_https());
    if is_https && !own_tls && settings.trusted_proxies.is_empty() {
        return Err("SESSILE_PUBLIC_URL is https, but no proxy is trusted and TLS is not served here, so that every \
            browser seems to come from the proxy: name it in SESSILE_TRUSTED_PROXIES, or set SESSILE_TLS_CERT and \
            SESSILE_TLS_KEY"
            .to_owned());
    }
    let host = public.map_or("localhost", |public| public.host());
    let stays_here = settings.listen.ip().to_canonical().is_loopback() && is_loopback(host);
    if !is_https && !stays_here {
        return Err(format!(
            "passwords would cross the network in the clear (http://{host}, listening on {}): put a proxy with TLS \
             before it or serve TLS here, and set SESSILE_PUBLIC_URL to https://…",
            settings.listen
        ));
    }
    Ok(match settings.trusted_proxies.len() {
        0 => "no proxy is believed".to_owned(),
        count => format!("{count} networks are believed"),
    })
}

/// Whether a network is so wide that no one owns it.
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
