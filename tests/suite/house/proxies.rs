//! The proxy configurations in `ops/proxies` are what `sessile app snippet` prints for an example.

use std::path::{Path, PathBuf};

use sessile::web::snippet::{Proxy, Snippet, render};

/// The file of each configuration, or the folder if it has several files.
const PLACES: [(Proxy, &str); 5] = [
    (Proxy::Nginx, "nginx.conf"),
    (Proxy::Caddy, "Caddyfile"),
    (Proxy::Traefik, "traefik"),
    (Proxy::Haproxy, "haproxy"),
    (Proxy::Envoy, "envoy.yaml"),
];

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
fn the_example_of_each_proxy_is_what_the_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/proxies");
    for (path, text) in PLACES.iter().flat_map(|(proxy, place)| example(*proxy, &root.join(place))) {
        if std::env::var_os("SESSILE_TEST_WRITE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let advice = "run this test with SESSILE_TEST_WRITE=1, then look at the change";
        assert!(kept == text, "{} differs from the template: {advice}", path.display());
    }
}

/// The files of a configuration.
fn example(proxy: Proxy, place: &Path) -> Vec<(PathBuf, String)> {
    let printed = render(&Snippet {
        app_origin: "https://shop.example.com",
        public_paths: &["/manifest.webmanifest".to_owned(), "/hooks/".to_owned()],
        upstream: "127.0.0.1:3000",
        sessile: "127.0.0.1:8080",
        token: None,
        proxy,
    })
    .unwrap();
    match printed.split_once("\n--- ") {
        None => vec![(place.to_owned(), printed)],
        Some((_, files)) => files
            .split("\n--- ")
            .map(|file| file.split_once('\n').unwrap())
            .map(|(name, text)| (place.join(name), format!("{}\n", text.trim_end())))
            .collect(),
    }
}
