#![no_main]
//! Proxies by the environment's variables: no text breaks them, and a password is shown nowhere.

use libfuzzer_sys::fuzz_target;
use origins::ProxySettings;

/// As it stands there, and as it would in a field (base64 of `u:5ECRET`).
const SECRET: [&str; 2] = ["5ECRET", "dTo1RUNSRVQ"];

fuzz_target!(|input: (&str, &str)| {
    let (host, direct) = input;
    let read = |http: &str| {
        let pairs = [("http_proxy", http), ("HTTPS_PROXY", host), ("no_proxy", direct)];
        ProxySettings::from_env(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    let shown = match read(&format!("http://u:5ECRET@{host}")) {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => error.to_string(),
    };
    let is_hidden = SECRET.iter().all(|secret| !shown.contains(secret));
    assert!(is_hidden || SECRET.iter().any(|secret| host.contains(secret) || direct.contains(secret)));
});
