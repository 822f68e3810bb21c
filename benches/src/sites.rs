//! Hits of reverse proxies: a configured site with explicit freshness and an ETag, beside nginx and Varnish.

use crate::generated::GeneratedOrigin;
use crate::hits::{self, Case};
use crate::report::Report;
use crate::{Options, cpu, servers};

const KIB: u64 = 1024;
/// CPU per request of ours at most this share of the best nginx, and of Varnish.
const BOUND: f64 = 1.0;

/// 1 KiB to 1 MiB, keep-alive, 32 connections; two of them also with `Vary: Accept-Encoding`.
pub(crate) fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let case = |name, file: &'static str, size, requests| Case {
        name,
        file,
        fields: if file.starts_with("/vary/") { "Accept-Encoding: gzip, deflate, br\r\n" } else { "" },
        size,
        connections: 32,
        requests,
    };
    let cases = [
        case("site, 1 KiB hit", "/1024", KIB, 80_000),
        case("site, 16 KiB hit", "/16384", 16 * KIB, 60_000),
        case("site, 64 KiB hit", "/65536", 64 * KIB, 30_000),
        case("site, 1 MiB hit", "/1048576", 1024 * KIB, 4_000),
        case("site, 1 KiB hit with Vary", "/vary/1024", KIB, 80_000),
        case("site, 16 KiB hit with Vary", "/vary/16384", 16 * KIB, 60_000),
    ];
    let origin = GeneratedOrigin::start()?;
    let mut all = servers::nginx_caches(origin.address)?;
    all.push(servers::varnish(origin.address)?);
    all.push(servers::standpipe_site(origin.address, cpu::SERVER_CORE)?);
    for case in &cases {
        hits::warm_up(&all, case)?;
        let before = origin.requests();
        hits::measure(options, report, &all, case, "µs/request", |seconds, requests, _| {
            seconds * 1e6 / requests as f64
        })?;
        if origin.requests() != before {
            return Err(format!("{}: not all of it were hits", case.name));
        }
        for other in ["nginx", "varnish"] {
            let ratio = report.median(case.name, "standpipe") / report.best(case.name, other);
            let text = match other {
                "nginx" => "CPU of ours / best nginx",
                _ => "CPU of ours / varnish",
            };
            report.verdict(case.name, text.to_owned(), ratio, BOUND);
        }
    }
    Ok(())
}
