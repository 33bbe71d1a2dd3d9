use super::{NO_TOKEN, Proxy, Snippet, render, values::Values};

fn example(proxy: Proxy) -> Snippet<'static> {
    Snippet {
        app_origin: "https://shop.example.com",
        public_paths: &[],
        upstream: "127.0.0.1:3000",
        sessile: "127.0.0.1:8080",
        token: None,
        proxy,
    }
}

#[test]
fn without_a_token_the_first_line_says_so() {
    for proxy in Proxy::ALL {
        let text = render(&example(proxy)).unwrap();
        assert!(text.lines().next().unwrap().contains(NO_TOKEN), "{text}");
        let filled = render(&Snippet { token: Some("tok-1_A"), ..example(proxy) }).unwrap();
        assert!(!filled.contains(NO_TOKEN) && filled.contains("tok-1_A"), "{filled}");
    }
}

#[test]
fn values_that_would_change_the_configuration_are_refused() {
    let bad = |change: fn(Snippet<'static>) -> Snippet<'static>| {
        assert!(Proxy::ALL.iter().all(|proxy| render(&change(example(*proxy))).is_err()));
    };
    bad(|snippet| Snippet { app_origin: "shop", ..snippet });
    bad(|snippet| Snippet { upstream: "127.0.0.1", ..snippet });
    bad(|snippet| Snippet { upstream: "app;:80", ..snippet });
    bad(|snippet| Snippet { sessile: "[::1;]:80", ..snippet });
    bad(|snippet| Snippet { sessile: "sessile:0", ..snippet });
    bad(|snippet| Snippet { token: Some("a b"), ..snippet });
}

#[test]
fn only_an_app_of_this_machine_listens_on_this_machine_alone() {
    let local = Snippet { app_origin: "http://shop.localhost:8000", ..example(Proxy::Nginx) };
    assert!(render(&local).unwrap().contains("listen 127.0.0.1:8000;"));
    assert!(render(&example(Proxy::Nginx)).unwrap().contains("listen 443 ssl"));
}

#[test]
fn names_of_different_apps_differ() {
    let slug = |origin| Values::new(&Snippet { app_origin: origin, ..example(Proxy::Nginx) }).unwrap().slug;
    assert_eq!(slug("https://shop.example.com"), "shop_example_com");
    assert_ne!(slug("https://shop-a.example.com"), slug("https://shop.a.example.com"));
    assert_ne!(slug("http://localhost:3000"), slug("http://localhost:3001"));
    assert!(slug("http://[::1]:3000").chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
}
