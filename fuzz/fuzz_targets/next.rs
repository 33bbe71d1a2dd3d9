//! Where a login leads: whatever `next` says, never to another origin.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sessile::{session::guard, settings::PublicUrl};
use url::Url;

fuzz_target!(|next: &str| {
    for public in [PublicUrl::localhost(8080, false), PublicUrl::localhost(443, true)] {
        let Some(address) = guard::own_address(&public, next) else { continue };
        let own = Url::parse(public.origin()).expect("an origin");
        assert!(address.starts_with('/') && !matches!(address.as_bytes().get(1), Some(b'/' | b'\\')), "{address}");
        assert!(address.bytes().all(|byte| byte.is_ascii_graphic()), "no header: {address}");
        // As a browser would follow it, from wherever the login page stands.
        for page in ["/login", "/login?next=x", "/a/b/"] {
            let led = own.join(page).expect("a page").join(&address).expect("an address");
            assert_eq!(led.origin(), own.origin(), "{address}");
            assert!(led.username().is_empty() && led.password().is_none(), "{address}");
            assert_eq!(&led[url::Position::BeforePath..], address);
        }
        // What the form keeps leads where the address led.
        if let Some(again) = guard::own_address(&public, &address) {
            assert_eq!(again, address);
        } else {
            assert!(address.len() > next.len(), "refused the second time: {address}");
        }
        let remembered = guard::login_address(&address);
        assert!(remembered == "/login" || remembered.starts_with("/login?next="), "{remembered}");
    }
});
