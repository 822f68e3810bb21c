//! What the layout promises (DESIGN, layout): who may depend on whom, where `unsafe` may stand, how files look.
//! A test, so that it runs with all others; reads `cargo metadata` and the sources, changes nothing.

mod graph;
mod sources;

use graph::Graph;

/// What a crate of ours may use of ours, and what it must not reach, not even through others.
struct Layer {
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

const LAYERS: [Layer; 13] = [
    Layer {
        name: "protocols",
        ours: &[],
        never: &["tokio", "hyper", "rustls", "rustix", "socket2", "memmap2", "hickory-resolver"],
    },
    Layer { name: "distcache", ours: &[], never: &["hyper", "http", "http-body", "hickory-resolver"] },
    Layer { name: "distcache-capi", ours: &["distcache"], never: &["hyper", "http", "rustls"] },
    Layer {
        name: "store",
        ours: &[],
        never: &["hyper", "http", "http-body", "rustls", "url", "hickory-resolver"],
    },
    Layer {
        name: "cache",
        ours: &["protocols", "store"],
        never: &["hyper", "rustls", "socket2", "hickory-resolver"],
    },
    Layer { name: "origins", ours: &["cache", "protocols"], never: &[] },
    Layer {
        name: "doors",
        ours: &["cache", "distcache", "protocols", "store"],
        never: &["hickory-resolver"],
    },
    Layer {
        name: "standpipe",
        ours: &["cache", "distcache", "doors", "origins", "protocols", "store"],
        never: &[],
    },
    Layer {
        name: "testkit",
        ours: &["cache", "doors", "origins", "protocols", "standpipe", "store"],
        never: &[],
    },
    Layer { name: "scenarios", ours: &["testkit"], never: &[] },
    // Programs of the developers: they use the built server, not its parts; but eviction is measured by itself, and
    // load on session servers is written with their codec.
    Layer { name: "benches", ours: &["distcache", "store"], never: &[] },
    // A workspace of its own.
    Layer {
        name: "standpipe-fuzz",
        ours: &["cache", "distcache", "doors", "origins", "protocols", "store"],
        never: &[],
    },
    Layer { name: "xtask", ours: &[], never: &["tokio"] },
];

/// A second TLS or crypto stack, a client that hides what must be controlled, a map with locks in its guards.
const NOWHERE: [&str; 7] =
    ["dashmap", "native-tls", "openssl", "openssl-sys", "reqwest", "ring", "hyper-tls"];

/// Everything that does not hold, one sentence each.
fn broken_edges(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    let layer_of = |name: &str| LAYERS.iter().find(|layer| layer.name == name);
    for (name, used) in &graph.direct {
        let Some(layer) = layer_of(name) else {
            problems.push(format!("{name} has no layer: say in edges.rs what it may use"));
            continue;
        };
        let forbidden =
            used.iter().filter(|used| layer_of(used).is_some() && !layer.ours.contains(&used.as_str()));
        problems.extend(forbidden.map(|used| format!("{name} must not depend on {used}")));
        let reached =
            |never: &&&str| graph.reached.get(name).is_some_and(|reached| reached.contains(**never));
        let never = layer.never.iter().filter(reached);
        problems.extend(never.map(|never| format!("{name} must not reach {never}, not even through others")));
    }
    let nowhere = NOWHERE.iter().filter(|name| graph.everything.contains(**name));
    problems.extend(nowhere.map(|name| format!("{name} must not be used anywhere")));
    problems
}

mod tests {
    use std::path::Path;

    use super::*;
    use crate::step::root;

    #[test]
    fn crates_depend_on_each_other_only_as_the_layout_allows() {
        let graph = Graph::load().expect("cargo metadata");
        assert_eq!(broken_edges(&graph), Vec::<String>::new());
    }

    #[test]
    fn sources_keep_the_house_rules() {
        assert_eq!(sources::broken_rules(&root()), Vec::<String>::new());
    }

    #[test]
    fn forbidden_edges_are_found() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let edges = |user: &str, used: &[&str]| (user.to_owned(), names(used));
        let graph = Graph {
            direct: [
                edges("doors", &["origins", "bytes"]),
                edges("newcomer", &[]),
                edges("store", &["bytes"]),
            ]
            .into(),
            reached: [edges("store", &["bytes", "http"])].into(),
            everything: names(&["ring", "bytes"]),
        };
        assert_eq!(
            broken_edges(&graph),
            [
                "doors must not depend on origins",
                "newcomer has no layer: say in edges.rs what it may use",
                "store must not reach http, not even through others",
                "ring must not be used anywhere",
            ]
        );
    }

    #[test]
    fn broken_house_rules_are_found() {
        let problems = |path: &str, text: &str| sources::broken_rules_of(Path::new(path), text);
        assert_eq!(problems("crates/cache/src/a.rs", "fn a() {}\n"), Vec::<String>::new());
        assert_eq!(problems("crates/cache/src/a/mod.rs", "").len(), 1);
        assert_eq!(problems("crates/cache/src/a.rs", "unsafe { b() }\n").len(), 1);
        assert_eq!(problems("crates/store/src/files/a.rs", "unsafe { b() }\n"), Vec::<String>::new());
        assert_eq!(problems("crates/cache/src/a.rs", "// unsafe is not used\n"), Vec::<String>::new());
        assert_eq!(problems("crates/cache/src/lib.rs", "mod a;\n").len(), 1);
        assert_eq!(problems("crates/cache/src/lib.rs", "#![forbid(unsafe_code)]\n"), Vec::<String>::new());
        assert_eq!(problems("crates/cache/src/a.rs", &"\n".repeat(501)).len(), 1);
        assert_eq!(problems("crates/cache/src/a/tests.rs", &"\n".repeat(799)), Vec::<String>::new());
        assert_eq!(problems("crates/doors/src/a.rs", "use store::{\n    Entry, Writer,\n};\n").len(), 1);
        assert_eq!(problems("crates/doors/src/a.rs", "fn a(w: store::Writer<Http>) {}\n").len(), 1);
        assert_eq!(problems("crates/doors/src/a.rs", "use store::Reader;\n"), Vec::<String>::new());
    }
}
