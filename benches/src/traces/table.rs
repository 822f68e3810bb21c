//! The result of a comparison: tables for people, JSON for later comparison.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::cost::Cost;
use super::trace::Trace;
use super::{Line, POLICIES};

const ARC: usize = 1;
const STORE: usize = POLICIES.len() - 1;

/// Machine, traces, hit ratios and costs.
pub(super) fn markdown(
    machine: &[(&str, String)],
    traces: &[Trace],
    lines: &[Line],
    costs: &[Cost],
) -> String {
    let mut text = String::from("# Eviction on traces\n\n");
    for (name, value) in machine.iter().filter(|(name, _)| !["nginx", "varnish"].contains(name)) {
        let _ = writeln!(text, "- {name}: {value}");
    }
    text.push_str("\n| trace | requests | objects | GiB |\n|---|---|---|---|\n");
    for trace in traces {
        let mib = trace.footprint() >> 20;
        let (requests, objects) = (trace.requests.len(), trace.objects());
        let _ = writeln!(
            text,
            "| {} | {requests} | {objects} | {}.{} |",
            trace.name,
            mib >> 10,
            ((mib & 1023) * 10) >> 10
        );
    }
    text.push_str("\nHits in percent: of bytes, then of requests. The cache is in percent of the bytes of all objects.\n\n");
    let names = POLICIES.join(" | ");
    let _ = writeln!(text, "| trace | cache | {names} | store − ARC | {names} |");
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(2 * POLICIES.len() + 1));
    for line in lines {
        let _ = write!(text, "| {} | {} % |", line.trace, line.percent);
        for ratios in &line.ratios {
            let _ = write!(text, " {:.2} |", ratios.bytes);
        }
        let _ = write!(text, " {:+.2} |", ahead(line));
        for ratios in &line.ratios {
            let _ = write!(text, " {:.2} |", ratios.objects);
        }
        text.push('\n');
    }
    let behind: Vec<_> = lines.iter().filter(|line| ahead(line) < 0.0).collect();
    let _ = writeln!(
        text,
        "\nByte hit ratio at least ARC's: {} of {} lines.",
        lines.len() - behind.len(),
        lines.len()
    );
    text.push_str("\n| cost with 10 million entries | | |\n|---|---|---|\n");
    for cost in costs {
        let _ = writeln!(text, "| {} | {:.1} | {} |", cost.what, cost.value, cost.unit);
    }
    text
}

/// The same in a form for programs.
pub(super) fn json(machine: &[(&str, String)], lines: &[Line], costs: &[Cost]) -> Value {
    let rows = lines.iter().flat_map(|line| {
        line.ratios.iter().zip(POLICIES).map(|(ratios, policy)| {
            json!({
                "trace": line.trace, "cache_percent": line.percent, "policy": policy,
                "byte_hit_percent": ratios.bytes, "object_hit_percent": ratios.objects,
            })
        })
    });
    json!({
        "machine": machine.iter().map(|(name, value)| (*name, value)).collect::<std::collections::BTreeMap<_, _>>(),
        "rows": rows.collect::<Vec<_>>(),
        "costs": costs.iter().map(|cost| json!({
            "what": cost.what, "value": cost.value, "unit": cost.unit,
        })).collect::<Vec<_>>(),
    })
}

/// How far the store is ahead of ARC, in percent of the bytes.
fn ahead(line: &Line) -> f64 {
    line.ratios[STORE].bytes - line.ratios[ARC].bytes
}
