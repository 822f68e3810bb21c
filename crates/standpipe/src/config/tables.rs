//! The tables that may stand in the file any number of times: sites, rules, listeners, and what belongs to one of them.
//!
//! Each row of [`tables!`] makes one [`Member`] for messages and reference, and one field of the table's struct. Like keys
//! their values are texts first; a table without a member that it needs, or with one that is wrong, is refused with its
//! place.

mod read;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use super::raw::{Given, Source};
use super::value::{
    ConditionalStatus, FieldName, HostWord, IgnoredParameter, KeptHost, ListenAddress, MediaType, MethodWord,
    OriginUrl, PathWord, RangeFillWord, SetCookieWord, Shape, SiteName, StatusTtlWord, Value, WhenFull,
};

pub(super) use read::{Reading, kind_of, read};

/// A kind of table.
pub(crate) struct Kind {
    /// `site` of `[[site]]`, `rule.case` of `[[rule.case]]`.
    pub(crate) name: &'static str,
    /// One or two sentences.
    pub(crate) doc: &'static str,
    /// What may stand in it.
    pub(crate) members: &'static [Member],
}

/// What may stand in a table.
pub(crate) struct Member {
    /// As the file writes it.
    pub(crate) name: &'static str,
    /// How the file may write its value.
    pub(crate) shape: Shape,
    /// What a correct value looks like.
    pub(crate) expects: fn() -> String,
    /// What holds when it is not there.
    pub(crate) otherwise: Otherwise,
    /// One or two sentences.
    pub(crate) doc: &'static str,
    /// A value, as TOML.
    pub(crate) example: &'static str,
}

/// What holds when a member is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// The table is refused.
    Needed,
    /// This text; a list is separated by commas.
    Text(&'static str),
}

/// A table as it was typed.
pub(crate) struct RawTable {
    /// What it is.
    pub(crate) kind: &'static Kind,
    /// Where it begins.
    pub(crate) place: Source,
    /// What stands in it.
    pub(crate) given: HashMap<&'static str, Given>,
    /// Tables that belong to it.
    pub(crate) below: Vec<RawTable>,
}

impl RawTable {
    fn value<T: Value>(&self, member: &Member) -> Result<T, String> {
        let (texts, place) = match (self.given.get(member.name), member.otherwise) {
            (Some(given), _) => (given.texts.clone(), &given.source),
            (None, Otherwise::Needed) => {
                return Err(format!("{}: [[{}]] needs `{}`", self.place, self.kind.name, member.name));
            }
            (None, Otherwise::Text(text)) if member.shape == Shape::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                (items.map(str::to_owned).collect(), &self.place)
            }
            (None, Otherwise::Text(text)) => (vec![text.to_owned()], &self.place),
        };
        T::parse(&texts).map_err(|problem| format!("{place}: {}.{}: {problem}", self.kind.name, member.name))
    }
}

macro_rules! tables {
    ($($(#[doc = $kind_doc:literal])+ $table:ident = $kind:literal {
        $($field:ident: $type:ty = $name:literal, $otherwise:expr, $example:literal, $doc:literal;)+
    })+) => {
        /// Every kind of table, those that belong to another one after it.
        pub(crate) static KINDS: &[Kind] = &[$(Kind {
            name: $kind,
            doc: concat!($($kind_doc),+),
            members: &[$(Member {
                name: $name,
                shape: <$type as Value>::SHAPE,
                expects: <$type as Value>::expects,
                otherwise: $otherwise,
                doc: $doc,
                example: $example,
            }),+],
        }),+];

        $(
            $(#[doc = $kind_doc])+
            #[derive(Clone, Debug)]
            pub(crate) struct $table {
                $(#[doc = $doc] pub(crate) $field: $type,)+
            }

            impl $table {
                /// Parses one table; all that is wrong in it is reported.
                fn parse(raw: &RawTable) -> Result<Self, Vec<String>> {
                    let mut members = raw.kind.members.iter();
                    $(let $field = match members.next() {
                        Some(member) => raw.value::<$type>(member),
                        None => Err(String::from($name)),
                    };)+
                    let mut problems = Vec::new();
                    $(if let Err(problem) = &$field { problems.push(problem.clone()); })+
                    match ($($field.ok(),)+) {
                        ($(Some($field),)+) => Ok(Self { $($field),+ }),
                        _ => Err(problems),
                    }
                }
            }
        )+
    };
}

use Otherwise::{Needed, Text};

tables! {
    /// A site: an origin behind a path, a host, or a listener of its own. All methods pass; GET and HEAD are cached.
    SiteTable = "site" {
        name: SiteName = "name", Needed, r#""docs""#,
            "What it is called: it is found at `/r/NAME/` and named in rules and logs.";
        origins: Vec<OriginUrl> = "origin", Needed, r#""https://docs.example/""#,
            "Base URL of the origin; what follows the site's prefix is appended to its path as it stands. Of several, the first that can be reached answers, and the first is in the URL under which objects are kept. `origin.allow` need not name it.";
        hosts: Vec<HostWord> = "hosts", Text(""), r#"["docs.lab.example", "*.docs.lab.example"]"#,
            "Hosts that are this site on every listener that is no other site's own; a port after the host does not count.";
        prefix: Option<String> = "prefix", Text(""), r#""/docs""#,
            "Path below which it is found, in place of `/r/NAME`.";
        host: KeptHost = "host", Text("origin"), r#""keep""#,
            "`Host` for the origin: that of its URL (`origin`), or the client's (`keep`), which is then part of the key.";
        listen: Vec<ListenAddress> = "listen", Text(""), r#"["127.0.0.1:9000"]"#,
            "Addresses and ports where the site is the root.";
    }

    /// What is wanted of some requests: the first rule that fits one is taken. Rules speak of the URL that the origin is asked for, so they hold for sites and forward proxy alike.
    RuleTable = "rule" {
        name: Option<String> = "name", Text(""), r#""images""#,
            "For people: in logs and explanations.";
        sites: Vec<SiteName> = "site", Text(""), r#"["docs"]"#,
            "Sites it is for; without, all of them and the forward proxy.";
        hosts: Vec<HostWord> = "host", Text(""), r#"["*.example"]"#,
            "Hosts of the origin: `name`, `*.name` for all below it.";
        paths: Vec<PathWord> = "path", Text(""), r#"["/img/**", "**.iso"]"#,
            "Paths at the origin: `*` stands for anything but a slash, `**` for anything.";
        methods: Vec<MethodWord> = "method", Text(""), r#"["GET", "HEAD"]"#,
            "Methods.";
        ttl: Option<Duration> = "ttl", Text(""), r#""1d""#,
            "Lifetime in place of the origin's; `no-store`, `private` and `no-cache` still count.";
        default_ttl: Option<Duration> = "default-ttl", Text(""), r#""5min""#,
            "Lifetime when the origin names none.";
        error_ttl: Vec<StatusTtlWord> = "error-ttl", Text(""), r#"["404=30s", "500-599=5s"]"#,
            "Lifetimes of errors when the origin names none.";
        stale_while_revalidate: Option<Duration> = "stale-while-revalidate", Text(""), r#""1min""#,
            "How long past its lifetime an object is served while it is asked for again; in place of the origin's word.";
        stale_if_error: Option<Duration> = "stale-if-error", Text(""), r#""1d""#,
            "How long past its lifetime an object stands in for an origin that fails; in place of the origin's word.";
        bypass: bool = "bypass", Text("false"), "true",
            "Whether requests pass by the store.";
        ignore_directives: bool = "ignore-directives", Text("false"), "true",
            "Whether the origin's `Cache-Control`, `Expires` and targeted fields do not count.";
        ignore_query: Vec<IgnoredParameter> = "ignore-query", Text(""), r#"["utm_*", "session"]"#,
            "Query parameters that make no other object of it; the origin still sees them.";
        set_cookie: SetCookieWord = "set-cookie", Text("keep"), r#""strip""#,
            "Answers with `Set-Cookie`: stored as the origin's directives say (`keep`), stored without it (`strip`), or not stored (`refuse`).";
        forward: Vec<FieldName> = "forward", Text(""), r#"["Accept", "Accept-Language"]"#,
            "Request fields that reach the origin where the answer may be stored; without, all that cannot change it for others.";
        range_fill: RangeFillWord = "range-fill", Text("auto"), r#""whole""#,
            "How a range of an object that is not there is fetched: the `pieces` around it, the `whole`, or `auto`.";
        when_full: WhenFull = "when-full", Text("stream"), r#""refuse""#,
            "What becomes of a request whose object the store cannot take, as in `fetch.when-full`.";
    }

    /// What is wanted of some answers to the requests of the rule above; of other answers the rule's own wishes hold.
    CaseTable = "rule.case" {
        statuses: Vec<ConditionalStatus> = "status", Text(""), r#"["404", "500-599"]"#,
            "Statuses.";
        types: Vec<MediaType> = "type", Text(""), r#"["image/*", "text/css"]"#,
            "Media types.";
        ttl: Option<Duration> = "ttl", Text(""), r#""1d""#,
            "As in the rule.";
        default_ttl: Option<Duration> = "default-ttl", Text(""), r#""5min""#,
            "As in the rule.";
        error_ttl: Vec<StatusTtlWord> = "error-ttl", Text(""), r#"["404=30s"]"#,
            "As in the rule.";
        stale_while_revalidate: Option<Duration> = "stale-while-revalidate", Text(""), r#""1min""#,
            "As in the rule.";
        stale_if_error: Option<Duration> = "stale-if-error", Text(""), r#""1d""#,
            "As in the rule.";
        bypass: bool = "bypass", Text("false"), "true",
            "Whether such answers are not stored.";
        ignore_directives: bool = "ignore-directives", Text("false"), "true",
            "As in the rule.";
        set_cookie: SetCookieWord = "set-cookie", Text("keep"), r#""strip""#,
            "As in the rule.";
    }

    /// A listener beside those of `server.listen`, with TLS when certificates belong to it.
    ListenerTable = "listener" {
        address: ListenAddress = "address", Needed, r#"":443""#,
            "Address and port to listen on.";
        site: Option<SiteName> = "site", Text(""), r#""docs""#,
            "The site that is its root; without, it is a listener like those of `server.listen`.";
    }

    /// A certificate of the listener above. Of several, the one for the name that a client asks for is shown, else the first. They are read again when the files change.
    CertificateTable = "listener.certificate" {
        chain: PathBuf = "chain", Needed, r#""/etc/standpipe/site.pem""#,
            "Certificate chain (PEM), its own certificate first.";
        key: PathBuf = "key", Needed, r#""/etc/standpipe/site-key.pem""#,
            "Its private key (PEM).";
    }
}

/// A table, where it stands, and the tables that belong to it.
#[derive(Clone, Debug)]
pub(crate) struct At<T, B = ()> {
    /// For messages.
    pub(crate) place: String,
    /// What stands in it.
    pub(crate) table: T,
    /// In their order.
    pub(crate) below: Vec<B>,
}

/// All tables, parsed, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    /// Sites.
    pub(crate) sites: Vec<At<SiteTable>>,
    /// Rules with their cases.
    pub(crate) rules: Vec<At<RuleTable, CaseTable>>,
    /// Listeners with their certificates.
    pub(crate) listeners: Vec<At<ListenerTable, CertificateTable>>,
}

impl Tables {
    /// Parses everything; all that is wrong is reported together.
    pub(crate) fn parse(raw: &[RawTable]) -> Result<Self, Vec<String>> {
        let mut tables = Self::default();
        let mut problems = Vec::new();
        for table in raw {
            let parsed = match table.kind.name {
                "site" => at(table, SiteTable::parse, |_| Ok(())).map(|site| tables.sites.push(site)),
                "rule" => at(table, RuleTable::parse, CaseTable::parse).map(|rule| tables.rules.push(rule)),
                _ => at(table, ListenerTable::parse, CertificateTable::parse)
                    .map(|listener| tables.listeners.push(listener)),
            };
            problems.extend(parsed.err().into_iter().flatten());
        }
        if problems.is_empty() { Ok(tables) } else { Err(problems) }
    }
}

fn at<T, B>(
    raw: &RawTable,
    parse: fn(&RawTable) -> Result<T, Vec<String>>,
    parse_below: fn(&RawTable) -> Result<B, Vec<String>>,
) -> Result<At<T, B>, Vec<String>> {
    let mut problems = Vec::new();
    let mut below = Vec::new();
    for table in &raw.below {
        match parse_below(table) {
            Ok(parsed) => below.push(parsed),
            Err(more) => problems.extend(more),
        }
    }
    match parse(raw) {
        Ok(table) if problems.is_empty() => return Ok(At { place: raw.place.to_string(), table, below }),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    Err(problems)
}

#[cfg(test)]
mod tests;
