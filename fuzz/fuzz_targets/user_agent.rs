//! The `User-Agent` header. Every value yields a valid device name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sessile::records::device::{self, Client};

fuzz_target!(|user_agent: &str| {
    let mut client = Client::from_user_agent(user_agent);
    for part in [&client.browser, &client.os] {
        assert!(!part.is_empty() && part.len() <= 40 && part.is_ascii(), "{part:?}");
    }
    for installed in [false, true] {
        client.installed = installed;
        let label = client.label();
        assert_eq!(device::check_name(&label).ok(), Some(label));
    }
});
