//! Sites, rules and listeners, from keys and tables alike, as the doors want them.

use cache::policy;
use cache::policy::{Directives, Traffic};
use doors::exchange::{CaseSettings, HostSent, Plan, RuleSettings, SiteSettings, Wishes};
use doors::listen::CertificateFiles;

use super::Values;
use super::tables::{At, CaseTable, RuleTable, SiteTable, Tables};
use super::value::{ListenAddress, RangeFillWord, WhenFull, seconds};

/// One listener.
#[derive(Clone, Debug)]
pub(crate) struct Listening {
    /// Where.
    pub(crate) address: ListenAddress,
    /// The site that is its root.
    pub(crate) site: Option<String>,
    /// Certificates; without any it speaks no TLS.
    pub(crate) certificates: Vec<CertificateFiles>,
    /// What asked for it, for messages.
    pub(crate) place: String,
}

impl Listening {
    /// What is wrong when its site is not there.
    pub(super) fn unknown_site(&self, plan: &Plan) -> Option<String> {
        let site = self.site.as_deref().filter(|site| !plan.has_site(site))?;
        Some(format!("{}: there is no site `{site}`", self.place))
    }
}

/// Everything to listen on, in order: keys first, then the tables.
pub(crate) fn listening(values: &Values, tables: &Tables) -> Vec<Listening> {
    let plain = |address: &ListenAddress, place: &str, site: Option<&str>| Listening {
        address: *address,
        site: site.map(str::to_owned),
        certificates: Vec::new(),
        place: place.to_owned(),
    };
    let mut all: Vec<_> =
        values.server_listen.iter().map(|address| plain(address, "server.listen", None)).collect();
    let flags = values.server_site_listen.iter();
    all.extend(flags.map(|flag| plain(&flag.address, "server.site-listen", Some(&flag.name.0))));
    for At { place, table: site, .. } in &tables.sites {
        let addresses = site.listen.iter();
        all.extend(addresses.map(|address| plain(address, place, Some(&site.name.0))));
    }
    for At { place, table: listener, below } in &tables.listeners {
        let files =
            below.iter().map(|files| CertificateFiles { chain: files.chain.clone(), key: files.key.clone() });
        all.push(Listening {
            certificates: files.collect(),
            ..plain(&listener.address, place, listener.site.as_ref().map(|site| &*site.0))
        });
    }
    all
}

/// Sites and rules, compiled; the message says what is wrong between them.
pub(crate) fn plan(values: &Values, tables: &Tables) -> Result<Plan, String> {
    let flags = values.server_site.iter().map(|site| SiteSettings {
        name: site.name.0.clone(),
        origins: vec![site.origin.0.clone()],
        hosts: Vec::new(),
        prefix: None,
        host: HostSent::Origin,
    });
    let sites = flags.chain(tables.sites.iter().map(|site| self::site(&site.table))).collect();
    let rules = tables.rules.iter().map(rule).collect();
    Plan::new(sites, rules, policy(values), values.server_memo.count()).map_err(|error| error.to_string())
}

fn policy(values: &Values) -> policy::Settings {
    policy::Settings {
        heuristic_max: values.policy_heuristic_max,
        reload_floor: values.policy_reload_floor,
        stale_on_error: values.policy_stale_on_error,
        vary_fields: values.policy_vary_fields.count(),
        targets: values.policy_targets.iter().map(|name| name.0.clone()).collect(),
    }
}

fn site(table: &SiteTable) -> SiteSettings {
    SiteSettings {
        name: table.name.0.clone(),
        origins: table.origins.iter().map(|origin| origin.0.clone()).collect(),
        hosts: table.hosts.iter().map(|host| host.0.clone()).collect(),
        prefix: table.prefix.clone(),
        host: table.host.0,
    }
}

/// What is wanted of answers. `[[rule]]` and `[[rule.case]]` say it with the same members, in types of their own.
macro_rules! wishes {
    ($table:expr) => {
        Wishes {
            ttl: $table.ttl.map(seconds),
            default_ttl: $table.default_ttl.map(seconds),
            error_ttls: $table.error_ttl.iter().map(|ttl| ttl.0).collect(),
            stale_while_revalidate: $table.stale_while_revalidate.map(seconds),
            stale_if_error: $table.stale_if_error.map(seconds),
            traffic: traffic($table.bypass),
            directives: directives($table.ignore_directives),
            set_cookie: $table.set_cookie.0,
        }
    };
}

fn rule(rule: &At<RuleTable, CaseTable>) -> RuleSettings {
    let At { place, table, below } = rule;
    let forward = table.forward.iter().map(|name| name.0.clone()).collect::<Vec<_>>();
    let RangeFillWord(range_fill) = table.range_fill;
    RuleSettings {
        name: table.name.clone().unwrap_or_else(|| place.clone()),
        sites: table.sites.iter().map(|name| name.0.clone()).collect(),
        hosts: table.hosts.iter().map(|host| host.0.clone()).collect(),
        paths: table.paths.iter().map(|path| path.0.clone()).collect(),
        methods: table.methods.iter().map(|method| method.0.clone()).collect(),
        wishes: wishes!(table),
        cases: below.iter().map(case).collect(),
        ignored_query: table.ignore_query.iter().map(|name| name.0.clone()).collect(),
        forward: (!forward.is_empty()).then_some(forward),
        range_fill,
        when_full: match table.when_full {
            WhenFull::Stream => cache::WhenFull::Stream,
            WhenFull::Refuse => cache::WhenFull::Refuse,
        },
    }
}

fn case(table: &CaseTable) -> CaseSettings {
    CaseSettings {
        statuses: table.statuses.iter().map(|statuses| statuses.0).collect(),
        types: table.types.iter().map(|kind| kind.0.clone()).collect(),
        wishes: wishes!(table),
    }
}

const fn traffic(bypass: bool) -> Traffic {
    if bypass { Traffic::Bypassed } else { Traffic::Cached }
}

const fn directives(ignored: bool) -> Directives {
    if ignored { Directives::Ignored } else { Directives::Obeyed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::default_values;

    #[test]
    fn the_defaults_of_the_keys_are_those_of_the_policy() {
        assert_eq!(policy(&default_values()), policy::Settings::default());
    }
}
