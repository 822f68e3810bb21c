//! Where tunnels lead and who may open them, for the fuzz targets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Uri};

use super::Users;
use super::connect::{ConnectRule, asked};

/// Checks what CONNECT asks for: asked again by its canonical name it is the same, and a rule that names it allows it.
pub fn tunnel(target: &str) {
    let Some((host, port)) = asked_by(target) else { return };
    assert!(!host.is_empty() && port > 0 && !host.contains(['@', '/', '[', ']']));
    // Nobody has such a name; in a rule it means others.
    if host.contains('*') {
        return;
    }
    let name = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    assert_eq!(asked_by(&name), Some((host.clone(), port)));
    for rule in [&name, &format!("{host}:{port}"), &format!("{host}:*"), &format!("*:{port}")] {
        let rule = ConnectRule::parse(rule).expect("what a refusal tells to write");
        assert!(rule.allows(&host, port) && !rule.allows(&format!("x{host}"), port.wrapping_add(1)));
    }
}

fn asked_by(target: &str) -> Option<(String, u16)> {
    let uri: Uri = target.parse().ok()?;
    asked(&Request::builder().uri(uri).body(()).ok()?.into_parts().0).ok()
}

/// Checks a list of users: each line lets in who says the same, and nobody who says more or less.
pub fn users(text: &str) {
    let Ok(users) = Users::parse(text) else { return };
    let is_in = |words: &str| {
        let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(words))).expect("base64");
        users.check(&HeaderMap::from_iter([(PROXY_AUTHORIZATION, value)])).is_ok()
    };
    let lines: Vec<_> =
        text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
    for line in &lines {
        assert!(is_in(line));
        let (more, less) = (format!("{line}x"), &line[..line.floor_char_boundary(line.len() - 1)]);
        assert!(!is_in(&more) || lines.contains(&&*more));
        assert!(!is_in(less) || lines.contains(&less));
    }
    assert_eq!(users.check(&HeaderMap::new()).is_ok(), lines.is_empty());
}
