//! The redirect after a login. Whatever `next` contains, it never leads to another origin.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sessile::{base::settings::PublicUrl, web::return_to};
use url::Url;

fuzz_target!(|next: &str| {
    for public in [PublicUrl::localhost(8080, false), PublicUrl::localhost(443, true)] {
        let Some(address) = return_to::own_address(&public, next) else { continue };
        let own = Url::parse(public.origin()).expect("an origin");
        assert!(address.starts_with('/') && !matches!(address.as_bytes().get(1), Some(b'/' | b'\\')), "{address}");
        assert!(address.bytes().all(|byte| byte.is_ascii_graphic()), "not fit for a header: {address}");
        // Resolve the address as a browser would, from each page that may contain it.
        for page in ["/login", "/login?next=x", "/a/b/"] {
            let target = own.join(page).expect("a page").join(&address).expect("an address");
            assert_eq!(target.origin(), own.origin(), "{address}");
            assert!(target.username().is_empty() && target.password().is_none(), "{address}");
            assert_eq!(&target[url::Position::BeforePath..], address);
        }
        // The login form checks the address again. It stays the same, unless escaping has made it too long.
        if let Some(checked) = return_to::own_address(&public, &address) {
            assert_eq!(checked, address);
        } else {
            assert!(address.len() > next.len(), "rejected the second time: {address}");
        }
        let login = return_to::login_address(&address);
        assert!(login == "/login" || login.starts_with("/login?next="), "{login}");
    }
});
