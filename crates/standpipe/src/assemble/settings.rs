//! Configuration values as the settings of each crate. Nothing is decided here.

use std::io;
use std::sync::Arc;

use doors::access_log::Format;
use doors::fetch::PassHeaders;
use doors::proxy::TunnelSettings;
use doors::{access_log, admin, fetch, listen};
use origins::{Downgrade, Guard, ProxySettings, ResolverChoice, Versions};

use crate::config::{AccessLog, Resolver, Values, WhenFull};

pub(super) fn store(values: &Values) -> store::Config {
    store::Config {
        directory: values.store_directory.clone(),
        disk: Arc::new(store::RealDisk),
        quota: values.store_quota.0,
        max_entries: values.store_max_entries.0,
        high_mark: values.store_high_mark.percent(),
        low_mark: values.store_low_mark.percent(),
        huge_share: values.store_huge_share.percent(),
        free_floor: values.store_free_floor.0,
        min_idle: values.store_min_idle,
        memory: values.store_memory.0,
        disk_threads: values.store_disk_threads.count(),
        disk_queue: values.store_disk_queue.count(),
        open_files: values.store_open_files.count(),
        load_threads: values.store_load_threads.count(),
        commit_interval: values.store_commit_interval.0,
        await_pins: true,
        compact_from: values.store_compact_from.0,
    }
}

pub(super) fn cache(values: &Values) -> cache::Settings {
    cache::Settings {
        retry_for: values.fill_retry_for,
        resume_for: values.fill_resume_for,
        retry_pause: values.fill_retry_pause.0,
        retry_pause_max: values.fill_retry_pause_max.0,
        negative_gone: values.negative_gone,
        negative_other: values.negative_other,
        negative_unstorable: values.negative_unstorable,
        negative_entries: values.negative_entries.count(),
        stale_if_error: values.fill_stale_if_error,
        max_fills: values.fill_max.count(),
        max_waiting_fills: values.fill_max_waiting.count(),
        fill_wait: values.fill_wait,
        max_bypasses: values.fill_max_bypasses.count(),
        piece: values.fill_piece.0,
        max_variants: values.fill_max_variants.count(),
        max_pins: values.admin_max_pins.count(),
        take_overs: values.fill_take_overs.small(),
        flush_pause: values.fill_flush_pause.0,
        sweep_interval: values.store_sweep_interval.0,
        sweep_batch: values.store_sweep_batch.count(),
        operators: cache::Operators {
            max_walks: values.admin_max_walks.count(),
            patience: values.admin_patience.0,
            max_prewarms: values.admin_max_prewarms.count(),
            prewarm_urls: values.admin_prewarm_urls.count(),
            prewarm_width: values.admin_prewarm_width.count(),
            remembered_keys: values.admin_explain_urls.count(),
        },
    }
}

pub(super) fn origins(values: &Values, proxies: ProxySettings) -> origins::Settings {
    origins::Settings {
        user_agent: values.origin_user_agent.0.clone(),
        pseudonym: values.server_name.clone(),
        resolver: match values.origin_resolver {
            Resolver::Hickory => ResolverChoice::Hickory,
            Resolver::System => ResolverChoice::System,
        },
        resolve_timeout: values.origin_resolve_timeout.0,
        max_addresses: values.origin_max_addresses.count(),
        connect_timeout: values.origin_connect_timeout.0,
        connect_stagger: values.origin_connect_stagger.0,
        tcp_keepalive: values.origin_tcp_keepalive.0,
        first_byte_timeout: values.origin_first_byte_timeout.0,
        idle_timeout: values.origin_idle_timeout.0,
        min_progress: values.origin_min_progress.0,
        extra_ca_files: values.origin_ca_files.clone(),
        versions: if values.origin_http2 { Versions::Http1AndHttp2 } else { Versions::Http1 },
        proxies,
        max_redirects: values.origin_max_redirects.count(),
        downgrade: if values.origin_allow_downgrade { Downgrade::Follow } else { Downgrade::Refuse },
        max_head_bytes: values.origin_max_head.count(),
        max_head_fields: values.origin_max_head_fields.count(),
        read_buffer: values.origin_read_buffer.count(),
        max_connections_per_host: values.origin_max_connections_per_host.count(),
        max_queue_per_host: values.origin_queue_per_host.count(),
        queue_timeout: values.origin_queue_timeout.0,
        max_hosts: values.origin_max_hosts.count(),
        pool_idle_timeout: values.origin_pool_idle_timeout.0,
        max_idle_per_host: values.origin_pool_idle_per_host.count(),
    }
}

pub(super) fn guard(values: &Values) -> Guard {
    Guard::new(values.origin_allow.iter().map(|rule| rule.0.clone()).collect())
}

pub(super) fn fetch(values: &Values) -> Result<fetch::Settings, String> {
    let (allowed, default) = (&values.fetch_pass_headers, &values.fetch_pass_headers_default);
    Ok(fetch::Settings {
        default_ttl: values.fetch_default_ttl,
        pass_headers: PassHeaders::new(allowed, default).map_err(|error| error.to_string())?,
        memo_entries: values.fetch_memo.count(),
        when_full: match values.fetch_when_full {
            WhenFull::Stream => cache::WhenFull::Stream,
            WhenFull::Refuse => cache::WhenFull::Refuse,
        },
    })
}

pub(super) fn tunnels(values: &Values) -> TunnelSettings {
    TunnelSettings {
        allow: values.proxy_connect.iter().map(|target| target.0.clone()).collect(),
        most: values.proxy_max_tunnels.count(),
        idle: values.proxy_tunnel_idle.0,
    }
}

pub(super) fn admin(values: &Values) -> admin::Settings {
    admin::Settings {
        version: env!("CARGO_PKG_VERSION"),
        shutdown_file: values.server_shutdown_file.clone(),
        scrub_rate: values.store_scrub_rate.0,
        delete_by: if values.admin_delete_by_get {
            admin::DeleteBy::AlsoGet
        } else {
            admin::DeleteBy::PostAndDelete
        },
    }
}

pub(super) fn listen(values: &Values) -> listen::Settings {
    listen::Settings {
        max_connections: values.server_max_connections.count(),
        accept_pause: values.server_accept_pause.0,
        head_timeout: values.server_header_timeout.0,
        idle_timeout: values.server_keepalive_timeout.0,
        write_timeout: values.server_write_timeout.0,
        grace: values.server_grace,
        max_headers: values.server_max_headers.count(),
        max_head_bytes: values.server_max_head.count(),
        max_streams: values.server_h2_max_streams.small(),
        max_reset_streams: values.server_h2_max_reset_streams.count(),
        max_stream_buffer: values.server_h2_stream_buffer.count(),
        ping_interval: values.server_h2_ping_interval.0,
        ping_timeout: values.server_h2_ping_timeout.0,
    }
}

/// `None` when there is to be no access log.
pub(super) fn access_log(values: &Values) -> Option<access_log::Settings> {
    let chosen = access_log::Settings::for_output(&io::stderr());
    let format = match values.log_access {
        AccessLog::Off => return None,
        AccessLog::Auto => chosen.format,
        AccessLog::Human => Format::Human,
        AccessLog::Json => Format::Json,
    };
    Some(access_log::Settings { format, queue: values.log_queue.count() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::default_values;

    #[test]
    fn the_defaults_of_the_keys_are_those_of_the_crates() {
        let values = default_values();
        assert_eq!(cache(&values), cache::Settings::default());
        assert_eq!(listen(&values), listen::Settings::default());
        assert_eq!(format!("{:?}", tunnels(&values)), format!("{:?}", TunnelSettings::default()));
        let origins = origins(&values, ProxySettings::default());
        let pseudonym = origins.pseudonym.clone();
        assert_eq!(
            format!("{origins:?}"),
            format!("{:?}", origins::Settings { pseudonym, ..Default::default() })
        );
        let (ours, theirs) = (fetch(&values).expect("valid"), fetch::Settings::default());
        assert_eq!((ours.default_ttl, ours.memo_entries), (theirs.default_ttl, theirs.memo_entries));
        assert_eq!(ours.pass_headers, theirs.pass_headers);
        assert_eq!(ours.when_full, theirs.when_full);
    }

    #[test]
    fn passed_headers_must_be_allowed() {
        let mut values = default_values();
        values.fetch_pass_headers_default = vec!["x-token".to_owned()];
        let problem = fetch(&values).expect_err("not allowed");
        assert!(problem.contains("fetch.pass-headers-default"), "{problem}");
    }
}
