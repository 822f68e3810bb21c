//! The reference of all keys, `docs/configuration.md`, written from the table of keys.

use super::show::toml_value;
use super::tables::{KINDS, Kind, Member, Otherwise};
use super::{KEYS, Key, KeyDefault, Shape};

const HEAD: &str = "\
# Configuration

<!-- Written by `cargo xtask config-reference` from crates/standpipe/src/config/keys.rs; changes here are lost. -->

Every key is optional. A key can be given in three ways, the first one that is there wins:

1. as a flag, for example `--store-quota 500GB`,
2. as an environment variable, for example `STANDPIPE_STORE_QUOTA=500GB` (an empty one counts as not set),
3. in a TOML file, for example `quota = \"500GB\"` below `[store]`.

The file is the one named by `--config FILE` or `STANDPIPE_CONFIG`, else `standpipe/standpipe.toml` in the user's
configuration directory (`$XDG_CONFIG_HOME` or `~/.config`) when it exists. Flags of lists may be repeated; in flags and
variables commas separate the items of a list.

`standpipe check-config [FILE]` prints the effective configuration and where each value came from; it ends with 0 when
everything is valid, else with 2 and a list of all that is wrong, keys that contradict each other included.

Sizes have a unit, decimal (`kB`, `MB`, `GB`, `TB`) or binary (`KiB`, `MiB`, `GiB`, `TiB`). Durations have one of `ms`, `s`,
`min`, `h`, `d`, `w`.
";

const TABLES: &str = "
# Tables

These may stand in the file any number of times, and only there. Sites, rules, access rules, users of the proxy, certificates
and `[policy]` are read again on SIGHUP and by `POST /api/v1/reload`; what changed is logged, and when anything is wrong all
stays as it was. Other keys take effect at the next start, as do addresses to listen on: `[[listener]]` tables and `listen` of
a site.
";

/// The whole page.
pub(crate) fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let mut section = "";
    for key in KEYS {
        if key.section() != section {
            section = key.section();
            page.push_str(&format!("\n## `[{section}]`\n"));
        }
        page.push_str(&entry(key));
    }
    page.push_str(TABLES);
    page.extend(KINDS.iter().map(table));
    page
}

fn table(kind: &Kind) -> String {
    let members: String = kind.members.iter().map(member).collect();
    format!("\n## `[[{}]]`\n\n{}\n\n{members}", kind.name, kind.doc.trim())
}

fn member(member: &Member) -> String {
    let otherwise = match member.otherwise {
        Otherwise::Needed => "needed".to_owned(),
        Otherwise::Text("") => "optional".to_owned(),
        Otherwise::Text(text) => format!("default `{}`", toml_value(member.shape, &[text.to_owned()])),
    };
    format!(
        "- `{name}` ({otherwise}): {doc} Value: {expects}. Example: `{name} = {example}`\n",
        name = member.name,
        doc = member.doc,
        expects = (member.expects)(),
        example = member.example,
    )
}

fn entry(key: &Key) -> String {
    let alias = key.alias.map_or(String::new(), |alias| format!(", `--{alias}`"));
    format!(
        "\n### `{name}`\n\n{doc}\n\n- value: {expects}\n- default: {default}\n- flag: `--{flag}`{alias}\n- environment: \
         `{variable}`\n- example: `{member} = {example}`\n",
        name = key.name,
        doc = key.doc,
        expects = (key.expects)(),
        default = shown_default(key),
        flag = key.flag(),
        variable = key.variable(),
        member = key.member(),
        example = key.example,
    )
}

/// The default as it stands in help texts.
pub(crate) fn shown_default(key: &Key) -> String {
    match key.default {
        KeyDefault::Found { how, .. } => how.to_owned(),
        KeyDefault::Text("") if key.shape == Shape::List => "none".to_owned(),
        KeyDefault::Text("") => "nothing".to_owned(),
        KeyDefault::Text(text) if key.shape == Shape::List => {
            let items: Vec<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
            format!("`{}`", toml_value(key.shape, &items))
        }
        KeyDefault::Text(text) => format!("`{}`", toml_value(key.shape, &[text.to_owned()])),
    }
}
