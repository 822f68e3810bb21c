//! The table of configuration keys: the single source of file keys, flags, environment variables, defaults,
//! help texts and the reference in `docs/configuration.md`.
//!
//! Each row makes one [`Key`] in [`KEYS`] and one field of [`Values`]. A row that nobody reads is a compiler
//! warning, a field without a row does not exist.

use std::path::PathBuf;
use std::time::Duration;

use super::facts::{self, Facts};
use super::raw::Raw;
use super::value::{
    AccessLog, AccessRule, Buffer, ConnectTarget, FieldName, FieldValue, HttpsSessions, ListenAddress,
    LogFormat, LogLevel, Number, OriginRule, OwnHost, PeerAddress, Resolver, SessionAddress, Shape, SiteFlag,
    SiteListen, Size, SocketMode, TrustedProxy, Value, Wait, WhenFull,
};

/// What is known about one key.
pub(crate) struct Key {
    /// `section.key`.
    pub(crate) name: &'static str,
    /// A second, shorter flag.
    pub(crate) alias: Option<&'static str>,
    /// How the file may write it.
    pub(crate) shape: Shape,
    /// What a correct value looks like.
    pub(crate) expects: fn() -> String,
    /// Value when nobody gives one, as text; a list is separated by commas.
    pub(crate) default: KeyDefault,
    /// One or two sentences.
    pub(crate) doc: &'static str,
    /// A value that is not the default, as TOML.
    pub(crate) example: &'static str,
    /// Whether a value would be accepted, without keeping it.
    #[cfg(test)]
    pub(crate) check: fn(&[String]) -> Result<(), String>,
}

/// Where a default comes from.
pub(crate) enum KeyDefault {
    /// Always this text.
    Text(&'static str),
    /// Found on this machine at start.
    Found {
        /// What is done, for the reference.
        how: &'static str,
        /// Does it.
        find: fn(&Facts, &Raw) -> String,
    },
}

impl Key {
    /// `server` of `server.listen`.
    pub(crate) fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// `listen` of `server.listen`.
    pub(crate) fn member(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, member)| member)
    }

    /// `server-listen`, without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('.', "-")
    }

    /// `STANDPIPE_SERVER_LISTEN`.
    pub(crate) fn variable(&self) -> String {
        format!("STANDPIPE_{}", self.name.replace(['.', '-'], "_").to_uppercase())
    }
}

/// The key with this name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

macro_rules! keys {
    ($($field:ident: $type:ty = $name:literal $(/ $alias:literal)?, $default:expr, $example:literal, $doc:literal;)+) => {
        /// Every key, in the order of the reference. Defaults that are found may use the rows above them.
        pub(crate) static KEYS: &[Key] = &[$(Key {
            name: $name,
            alias: [$(Some($alias),)? None][0],
            shape: <$type as Value>::SHAPE,
            expects: <$type as Value>::expects,
            default: $default,
            doc: $doc,
            example: $example,
            #[cfg(test)]
            check: |texts| <$type as Value>::parse(texts).map(drop),
        }),+];

        /// The value of every key.
        #[derive(Clone, Debug)]
        pub(crate) struct Values {
            $(#[doc = $doc] pub(crate) $field: $type,)+
        }

        impl Values {
            /// Parses everything; all wrong values are reported together.
            pub(crate) fn parse(raw: &Raw) -> Result<Self, Vec<String>> {
                $(let $field = raw.value::<$type>($name);)+
                let mut problems = Vec::new();
                $(if let Err(problem) = &$field { problems.push(problem.clone()); })+
                match ($($field.ok(),)+) {
                    ($(Some($field),)+) if problems.is_empty() => Ok(Self { $($field),+ }),
                    _ => Err(problems),
                }
            }
        }
    };
}

use KeyDefault::{Found, Text};

keys! {
    server_listen: Vec<ListenAddress> = "server.listen" / "listen", Text("127.0.0.1:8001"), r#"["0.0.0.0:8001", "[::]:8001"]"#,
        "Addresses and ports to listen on; `:8001` means every address of this machine, port 0 any free port.";
    server_name: String = "server.name", Found { how: "the host name", find: facts::host_name }, r#""cache1.lab.example""#,
        "Name of this node in `Via`, `Cache-Status` and `X-Cache`, where other characters than those of a token become `_`; it must be unique, because a request that has been here is refused as a loop.";
    server_hosts: Vec<OwnHost> = "server.hosts", Text(""), r#"["cache1.lab.example"]"#,
        "Names of this node beside the addresses it listens on: requests in absolute form for one of them are for its own pages, all others for the forward proxy.";
    server_site: Vec<SiteFlag> = "server.site" / "site", Text(""), r#"["docs=https://docs.example/"]"#,
        "Sites in one word, `NAME=URL`, found at `/r/NAME/`; `[[site]]` tables can say more.";
    server_site_listen: Vec<SiteListen> = "server.site-listen" / "site-listen", Text(""), r#"["docs=127.0.0.1:9000"]"#,
        "Listeners of which a site is the root, `NAME=ADDRESS:PORT`.";
    server_content_timeout: Wait = "server.content-timeout", Text("60s"), r#""5min""#,
        "Time a client may pause within the content of a request to a site or through the forward proxy.";
    server_certificate_interval: Wait<1_000, 86_400_000> = "server.certificate-interval", Text("30s"), r#""1h""#,
        "How often the certificate files of listeners are looked at for changes.";
    server_memo: Number<0, 10_000_000> = "server.memo", Text("4096"), "100000",
        "Most request targets of sites and forward proxy whose parsed form is remembered.";
    server_shutdown_file: Option<PathBuf> = "server.shutdown-file", Text(""), r#""/run/standpipe/shutdown""#,
        "While this file exists the health check answers 503, so that a load balancer sends nobody here any more.";
    server_drain_delay: Duration = "server.drain-delay", Text("0s"), r#""10s""#,
        "After SIGTERM or SIGINT the health check answers 503 this long while all else goes on, so that load balancers send nobody here any more when the listener closes; `server.grace` begins afterwards.";
    server_grace: Duration = "server.grace", Text("30s"), r#""5min""#,
        "After SIGTERM or SIGINT, fills and answers under way may go on this long; a second signal ends at once.";
    server_max_connections: Number<1, 1_000_000> = "server.max-connections", Text("10000"), "2000",
        "Most client connections at once; further ones wait in the kernel's queue.";
    server_accept_pause: Wait = "server.accept-pause", Text("100ms"), r#""1s""#,
        "Pause before the next connection is taken when the system has no descriptor or memory left.";
    server_header_timeout: Wait = "server.header-timeout", Text("30s"), r#""10s""#,
        "Time a client has to send the head of a request.";
    server_keepalive_timeout: Wait = "server.keepalive-timeout", Text("75s"), r#""15s""#,
        "Time an idle client connection is kept.";
    server_write_timeout: Wait = "server.write-timeout", Text("60s"), r#""5min""#,
        "Time after which a client that takes nothing is disconnected.";
    server_max_headers: Number<8, 10_000> = "server.max-headers", Text("100"), "200",
        "Most header fields of a request.";
    server_max_head: Buffer<8_192, 16_777_216> = "server.max-head", Text("64KiB"), r#""16KiB""#,
        "Most bytes of a request's head.";
    server_max_target: Buffer<256, 1_048_576> = "server.max-target", Text("8KiB"), r#""32KiB""#,
        "Most bytes of a request's target (path and query); longer ones are answered 414.";
    server_h2_max_streams: Number<1, 100_000> = "server.h2-max-streams", Text("256"), "100",
        "HTTP/2: most requests at once on one connection.";
    server_h2_max_reset_streams: Number<1, 100_000> = "server.h2-max-reset-streams", Text("20"), "100",
        "HTTP/2: most requests a client has reset and that are not forgotten yet; more cut the connection.";
    server_h2_stream_buffer: Buffer<16_384, 1_073_741_824> = "server.h2-stream-buffer", Text("256KiB"), r#""1MiB""#,
        "HTTP/2: most bytes of an answer buffered for one request.";
    server_h2_ping_interval: Wait = "server.h2-ping-interval", Text("20s"), r#""1min""#,
        "HTTP/2: how often a silent client is asked whether it is still there.";
    server_h2_ping_timeout: Wait = "server.h2-ping-timeout", Text("20s"), r#""5s""#,
        "HTTP/2: time a client has to answer that.";
    server_workers: Number<1, 1024> = "server.workers", Found { how: "cores this process may run on", find: facts::cores }, "2",
        "Threads that serve connections.";
    server_blocking_threads: Number<1, 1024> = "server.blocking-threads", Text("16"), "64",
        "Most threads for calls that make their caller wait, such as the system's resolver.";

    store_directory: PathBuf = "store.directory", Found { how: "`standpipe` in the user's cache directory, for root without a home `/var/cache/standpipe`", find: facts::store_directory }, r#""/srv/standpipe""#,
        "Directory of the store. It belongs to one process and may be deleted whenever the server is stopped.";
    store_quota: Size = "store.quota", Found { how: "10 % of the free disk, at most `20GB`", find: facts::quota }, r#""500GB""#,
        "Most bytes of objects, growing ones included.";
    store_max_entries: Number<1, 1_000_000_000> = "store.max-entries", Text("10000000"), "100000000",
        "Most objects, whatever their length; beyond, others are evicted. Each takes about 120 bytes of memory.";
    store_high_mark: Number<1, 100> = "store.high-mark", Text("95"), "90",
        "Percent of `store.quota` in use above which objects are evicted.";
    store_low_mark: Number<0, 100> = "store.low-mark", Text("90"), "80",
        "Percent of `store.quota` in use at which eviction stops.";
    store_huge_share: Number<1, 100> = "store.huge-share", Text("50"), "10",
        "Percent of `store.quota` above which an object has to be asked for twice before others are evicted for it.";
    store_free_floor: Size = "store.free-floor", Text("1GB"), r#""50GB""#,
        "Bytes that are left free on the store's file system, whatever `store.quota` says.";
    store_min_idle: Duration = "store.min-idle", Text("0s"), r#""1h""#,
        "How long an object must not have been asked for before it may be evicted; KissCache keeps everything for an hour.";
    store_memory: Size = "store.memory", Text("64MiB"), r#""512MiB""#,
        "Most bytes of small objects and of what is known about hot ones kept in memory as well.";
    store_load_threads: Number<1, 64> = "store.load-threads", Found { how: "cores this process may run on", find: facts::cores }, "8",
        "Threads that load the index at start; what is asked for meanwhile is loaded first.";
    store_commit_interval: Wait = "store.commit-interval", Text("500ms"), r#""100ms""#,
        "Longest time between a change and its record on the disk: what a crash can cost.";
    store_compact_from: Size = "store.compact-from", Text("1MiB"), r#""16MiB""#,
        "Bytes of outdated records in one of the 64 logs of the index below which it is not rewritten.";
    store_scrub_rate: Size = "store.scrub-rate", Text("50MB"), r#""500MB""#,
        "Bytes a second that a scrub reads when it is not told another rate.";
    store_disk_threads: Number<1, 512> = "store.disk-threads", Text("4"), "16",
        "Threads that wait for the disk.";
    store_disk_queue: Number<1, 1_000_000> = "store.disk-queue", Text("1024"), "4096",
        "Most jobs that wait for a disk thread.";
    store_open_files: Number<16, 1_000_000> = "store.open-files", Text("1024"), "8192",
        "Most files of objects held open.";
    store_sweep_interval: Wait = "store.sweep-interval", Text("60s"), r#""10min""#,
        "Time between two removals of objects that nobody wants kept any more.";
    store_sweep_batch: Number<1, 1_000_000> = "store.sweep-batch", Text("4096"), "1000",
        "Most objects removed in one pass; then another pass follows at once.";

    fetch_default_ttl: Duration = "fetch.default-ttl", Text("10d"), r#""1d""#,
        "Oldest copy a request without `ttl` accepts, and how long it wants the object kept.";
    fetch_pass_headers: Vec<String> = "fetch.pass-headers", Text(""), r#"["Authorization", "PRIVATE-TOKEN"]"#,
        "Request header fields that `passheaders` may name. Their values become part of the key and are never stored in clear.";
    fetch_pass_headers_default: Vec<String> = "fetch.pass-headers-default", Text(""), r#"["PRIVATE-TOKEN"]"#,
        "Header fields passed when a request has no `passheaders`; each must also stand in `fetch.pass-headers`.";
    fetch_memo: Number<0, 10_000_000> = "fetch.memo", Text("4096"), "100000",
        "Most request targets whose parsed form is remembered.";
    fetch_when_full: WhenFull = "fetch.when-full", Text("stream"), r#""refuse""#,
        "What becomes of a request whose object the store cannot take, because there is no room, the object is larger than the whole quota or the disk does not work: `stream` sends it uncached from the origin to the client, `refuse` answers 507 or, for the disk, 500.";

    policy_heuristic_max: Duration = "policy.heuristic-max", Text("1d"), r#""1h""#,
        "Longest lifetime that is guessed from `Last-Modified`, for sites and forward proxy.";
    policy_reload_floor: Duration = "policy.reload-floor", Text("1s"), r#""10s""#,
        "For so long after an origin confirmed an object, a client's `no-cache` and `max-age` do not make it be asked again, so that herds of reloads do not reach it.";
    policy_stale_on_error: Duration = "policy.stale-on-error", Text("1d"), r#""1h""#,
        "How long past its lifetime an object may stand in for an origin that cannot be reached and names no `stale-if-error`.";
    policy_vary_fields: Number<0, 64> = "policy.vary-fields", Text("16"), "4",
        "Most fields that `Vary` may name; answers that name more are not stored.";
    policy_targets: Vec<FieldName> = "policy.targets", Text("CDN-Cache-Control"), r#"["Lab-Cache-Control", "CDN-Cache-Control"]"#,
        "Targeted fields (RFC 9213) in the order of their rank: the first that is valid goes before `Cache-Control`.";

    proxy_connect: Vec<ConnectTarget> = "proxy.connect", Text("*:443"), r#"["*:443", "*.lab.example:22"]"#,
        "Hosts and ports that CONNECT may lead to; `origin.allow` decides about addresses in any case.";
    proxy_max_tunnels: Number<0, 1_000_000> = "proxy.max-tunnels", Text("1024"), "64",
        "Most tunnels (CONNECT) at once; further ones are refused.";
    proxy_tunnel_idle: Wait = "proxy.tunnel-idle", Text("5min"), r#""1h""#,
        "Time after which a tunnel ends when nothing comes from either side.";
    proxy_users_file: Option<PathBuf> = "proxy.users-file", Text(""), r#""/etc/standpipe/proxy-users""#,
        "File with a line `name:password` for each user of the forward proxy (`Proxy-Authorization: Basic`); without, the access rules alone decide.";

    fill_retry_for: Duration = "fill.retry-for", Text("8s"), r#""30s""#,
        "How long after the first attempt further ones may start before the origin has answered.";
    fill_resume_for: Duration = "fill.resume-for", Text("30s"), r#""2min""#,
        "How long a broken transfer is resumed without progress.";
    fill_retry_pause: Wait = "fill.retry-pause", Text("100ms"), r#""1s""#,
        "First pause between attempts; doubled each time, with jitter.";
    fill_retry_pause_max: Wait = "fill.retry-pause-max", Text("2s"), r#""10s""#,
        "Longest pause between attempts that the origin did not ask for.";
    fill_max: Number<1, 100_000> = "fill.max", Text("512"), "64",
        "Most fills at once.";
    fill_max_waiting: Number<0, 1_000_000> = "fill.max-waiting", Text("4096"), "1000",
        "Most fills that wait for their turn; further ones are refused at once.";
    fill_wait: Duration = "fill.wait", Text("10s"), r#""1min""#,
        "How long a fill waits for its turn.";
    fill_max_bypasses: Number<1, 100_000> = "fill.max-bypasses", Text("512"), "64",
        "Most objects at once that are streamed uncached because the store cannot take them; `fill.max-waiting` and `fill.wait` hold for those who wait for that.";
    fill_piece: Buffer<65_536, 1_073_741_824> = "fill.piece", Text("1MiB"), r#""4MiB""#,
        "Length of the aligned pieces in which ranges of objects are fetched that are not there, on sites and through the proxy.";
    fill_max_variants: Number<1, 100_000> = "fill.max-variants", Text("64"), "256",
        "Most variants of one URL (`Vary`); the oldest goes first.";
    fill_take_overs: Number<0, 100> = "fill.take-overs", Text("3"), "1",
        "How often a waiting request starts over when the fill it waited for ended without a decision.";
    fill_flush_pause: Wait = "fill.flush-pause", Text("5ms"), r#""20ms""#,
        "After a pause of the origin this long, those who follow a fill get all that has come.";
    fill_stale_if_error: Duration = "fill.stale-if-error", Text("1d"), r#""0s""#,
        "How long past its time an object may be served, marked as stale, while its origin is down.";

    negative_gone: Duration = "negative.gone", Text("30s"), r#""5min""#,
        "How long 404 and 410 are remembered.";
    negative_other: Duration = "negative.other", Text("10s"), r#""1s""#,
        "How long other refusals are remembered.";
    negative_unstorable: Duration = "negative.unstorable", Text("2min"), r#""10min""#,
        "How long the store is not tried again with an object that it broke off for want of room or because of its disk; meanwhile `fetch.when-full` decides.";
    negative_entries: Number<0, 10_000_000> = "negative.entries", Text("10000"), "100000",
        "Most refusals remembered; the oldest goes first.";

    origin_allow: Vec<OriginRule> = "origin.allow" / "allow-origin", Text(""), r#"["10.20.0.0/16", "artifacts.lab.example"]"#,
        "Networks and hosts that may be origins although their addresses are otherwise refused: loopback, link-local, private, metadata.";
    origin_http2: bool = "origin.http2", Text("true"), "false",
        "Whether HTTP/2 is offered to https origins.";
    origin_resolver: Resolver = "origin.resolver", Text("hickory"), r#""system""#,
        "Who resolves host names: `hickory` knows how long an answer lives, `system` follows the name service switch.";
    origin_resolve_timeout: Wait = "origin.resolve-timeout", Text("5s"), r#""2s""#,
        "Time to resolve a host name.";
    origin_max_addresses: Number<1, 1000> = "origin.max-addresses", Text("16"), "4",
        "Most addresses of one host that are tried.";
    origin_connect_timeout: Wait<1, 86_400_000> = "origin.connect-timeout", Text("10s"), r#""3s""#,
        "Time to connect, over all addresses, proxy and TLS included.";
    origin_connect_stagger: Wait = "origin.connect-stagger", Text("250ms"), r#""100ms""#,
        "Head start of one address before the next is tried beside it.";
    origin_tcp_keepalive: Wait<1_000, 32_400_000> = "origin.tcp-keepalive", Text("60s"), r#""20s""#,
        "Silence on a connection after which the other side is probed.";
    origin_first_byte_timeout: Wait = "origin.first-byte-timeout", Text("60s"), r#""2min""#,
        "Time from a request to the head of its answer, connecting included.";
    origin_idle_timeout: Wait = "origin.idle-timeout", Text("60s"), r#""2min""#,
        "Time in which `origin.min-progress` bytes of an answer must come.";
    origin_min_progress: Size = "origin.min-progress", Text("1KiB"), r#""64KiB""#,
        "Bytes that must come within `origin.idle-timeout`, so that an origin that drips is not waited for for ever.";
    origin_max_head: Buffer<8_192, 16_777_216> = "origin.max-head", Text("64KiB"), r#""256KiB""#,
        "Most bytes of the head of an answer.";
    origin_max_head_fields: Number<16, 10_000> = "origin.max-head-fields", Text("256"), "1000",
        "Most header fields of an answer.";
    origin_read_buffer: Buffer<8_192, 67_108_864> = "origin.read-buffer", Text("2MiB"), r#""1MiB""#,
        "Most bytes read from an origin at once.";
    origin_max_redirects: Number<0, 100> = "origin.max-redirects", Text("10"), "3",
        "Most redirects followed for one object.";
    origin_allow_downgrade: bool = "origin.allow-downgrade", Text("false"), "true",
        "Whether a redirect may lead from https to http.";
    origin_max_connections_per_host: Number<1, 10_000> = "origin.max-connections-per-host", Text("32"), "8",
        "Most exchanges with one host and port at once.";
    origin_queue_per_host: Number<0, 1_000_000> = "origin.queue-per-host", Text("1024"), "64",
        "Most exchanges that wait for one host and port.";
    origin_queue_timeout: Wait = "origin.queue-timeout", Text("60s"), r#""10s""#,
        "Time an exchange waits there.";
    origin_max_hosts: Number<1, 1_000_000> = "origin.max-hosts", Text("4096"), "256",
        "Most hosts with exchanges at once.";
    origin_pool_idle_timeout: Wait = "origin.pool-idle-timeout", Text("30s"), r#""90s""#,
        "Time an idle connection to an origin is kept.";
    origin_pool_idle_per_host: Number<0, 10_000> = "origin.pool-idle-per-host", Text("16"), "32",
        "Most idle connections kept to one host and port.";
    origin_ca_files: Vec<PathBuf> = "origin.ca-files", Text(""), r#"["/etc/ssl/lab-ca.pem"]"#,
        "Files with certificates (PEM) trusted beside the system's.";
    origin_user_agent: FieldValue = "origin.user-agent", Text(concat!("Standpipe/", env!("CARGO_PKG_VERSION"))), r#""lab-cache""#,
        "The `User-Agent` origins see.";

    access_rules: Vec<AccessRule> = "access.rules", Text(""), r#"["deny 10.0.0.7", "allow 10.0.0.0/8 door=fetch|health", "allow loopback"]"#,
        "Who may do what: the first rule that fits decides, and what none fits is refused. Without rules, loopback and private networks may do everything. Doors are fetch, site, proxy, connect, admin, metrics and health; for clients outside loopback and private networks, a rule opens proxy and connect only by naming them.";
    access_trusted_proxies: Vec<TrustedProxy> = "access.trusted-proxies", Text(""), r#"["10.0.0.1"]"#,
        "Networks whose `X-Forwarded-For` is believed.";

    admin_delete_by_get: bool = "admin.delete-by-get", Text("false"), "true",
        "Whether `GET /api/v1/delete?url=…` deletes, as it does in KissCache.";
    admin_max_pins: Number<0, 100_000> = "admin.max-pins", Text("1000"), "50",
        "Most pins (promises that objects are not evicted until a time) at once.";
    admin_max_walks: Number<1, 64> = "admin.max-walks", Text("2"), "4",
        "Most looks at all objects at once (purges by prefix or expression, lists); more are refused.";
    admin_patience: Wait = "admin.patience", Text("60s"), r#""5min""#,
        "How long a purge or a list is waited for; then a purge goes on by itself.";
    admin_max_prewarms: Number<1, 1_000> = "admin.max-prewarms", Text("4"), "1",
        "Most lists of URLs that are prewarmed at once; more are refused.";
    admin_prewarm_urls: Number<1, 10_000_000> = "admin.prewarm-urls", Text("100000"), "1000",
        "Most URLs of a list that is prewarmed.";
    admin_prewarm_width: Number<1, 10_000> = "admin.prewarm-width", Text("8"), "32",
        "Most of them fetched at once, for each list.";
    admin_explain_urls: Number<0, 10_000_000> = "admin.explain-urls", Text("1024"), "100000",
        "Most URLs of which the last answers of their origins are remembered, for `explain`; the oldest goes first.";

    session_listen: Vec<SessionAddress> = "session.listen", Text(""), r#"["UNIX:/run/standpipe/sessions"]"#,
        "Addresses of the door for TLS sessions (the distcache protocol): `UNIX:path`, `IP:host:port`, `IP6:[host]:port`, `TLS:host:port`, without host every address of this machine. Without any there is no such door. Sessions are secrets and the protocol knows no password: let a unix socket, loopback or `TLS:` with a client CA say who may connect.";
    session_sessions: Number<64, 100_000_000> = "session.sessions", Text("100000"), "1000000",
        "Most TLS sessions in memory; a full store drops those that end first.";
    session_max_bytes: Size = "session.max-bytes", Text("128MiB"), r#""1GiB""#,
        "Most bytes that TLS sessions and their ids take in memory.";
    session_min_ttl: Duration = "session.min-ttl", Text("0s"), r#""5min""#,
        "Shorter timeouts of TLS sessions are raised to this: httpd's own module asks for less than a second.";
    session_store: Option<String> = "session.store", Text(""), r#""redis://127.0.0.1/0""#,
        "Valkey or Redis to keep TLS sessions in, instead of memory.";
    session_store_key: Option<PathBuf> = "session.store-key", Text(""), r#""/etc/standpipe/session.key""#,
        "File of the key that seals TLS sessions before they leave for a Valkey or Redis; all nodes that share them have the same.";
    session_store_prefix: String = "session.store-prefix", Text("session:"), r#""tls:""#,
        "What names of TLS sessions begin with in `session.store`.";
    session_store_timeout: Wait<1, 60_000> = "session.store-timeout", Text("250ms"), r#""100ms""#,
        "Time for one operation of `session.store`; one that takes longer is a miss.";
    session_store_ca: Option<PathBuf> = "session.store-ca", Text(""), r#""/etc/standpipe/redis-ca.pem""#,
        "Certificates (PEM) that the certificate of a `rediss://` store must come from, instead of the system's.";
    session_store_certificate: Option<PathBuf> = "session.store-certificate", Text(""), r#""/etc/standpipe/redis.pem""#,
        "Certificate chain (PEM) to show to a `rediss://` store.";
    session_store_certificate_key: Option<PathBuf> = "session.store-certificate-key", Text(""), r#""/etc/standpipe/redis-key.pem""#,
        "Its private key (PEM).";
    session_https: HttpsSessions = "session.https", Text("off"), r#""UNIX:/run/standpipe/sessions""#,
        "Through what the HTTPS listeners share their TLS sessions, so that a client resumes on any node: `own` (the store of this node's door, see `session.listen`), a session server (`UNIX:path`, `IP:host:port`, `IP6:[host]:port`, `TLS:host:port`), or a Valkey or Redis (`redis://…`, used as the `session.store-…` keys say). `off`: clients resume by tickets that only the node that made them can read.";
    session_https_wait: Wait<1, 1_000> = "session.https-wait", Text("5ms"), r#""20ms""#,
        "How long a handshake may wait for the store of `session.https`, on the thread that serves other connections too, and for four times this in 100 ms of that thread; beyond, it is a full handshake.";
    session_https_ca: Option<PathBuf> = "session.https-ca", Text(""), r#""/etc/standpipe/session-ca.pem""#,
        "Certificates (PEM) that the certificate of a `TLS:` server in `session.https` must come from; `session.tls-certificate` is shown to it.";
    session_sessiond: Option<ListenAddress> = "session.sessiond", Text(""), r#""127.0.0.1:54321""#,
        "Address and UDP port where stunnels find the same TLS sessions (`sessiond = host:port` in theirs). There is neither encryption nor authentication.";
    session_sessiond_allow: Vec<PeerAddress> = "session.sessiond-allow", Text("127.0.0.1,::1"), r#"["10.0.0.7"]"#,
        "Addresses of the stunnels that are listened to.";
    session_sessiond_in_flight: Number<1, 1_000_000> = "session.sessiond-in-flight", Text("1024"), "64",
        "Most requests of stunnels that wait for `session.store`; further ones are dropped.";
    session_max_connections: Number<1, 1_000_000> = "session.max-connections", Text("10000"), "1000",
        "Most connections for TLS sessions at once; one too many is closed.";
    session_idle_timeout: Duration = "session.idle-timeout", Text("0s"), r#""10min""#,
        "A connection without a request for this long is closed; `0s`: never.";
    session_request_timeout: Wait = "session.request-timeout", Text("10s"), r#""1s""#,
        "Time for a request that has begun to be whole, and for a TLS handshake.";
    session_write_timeout: Wait = "session.write-timeout", Text("30s"), r#""5s""#,
        "Time after which a client that takes none of its answers is cut.";
    session_output: Buffer<1_024, 16_777_216> = "session.output", Text("64KiB"), r#""1MiB""#,
        "Bytes of answers that wait for a slow client before its next request is taken up.";
    session_in_flight: Number<1, 100_000> = "session.in-flight", Text("64"), "8",
        "Most requests of one connection that wait for `session.store`.";
    session_socket_mode: SocketMode = "session.socket-mode", Text("0600"), r#""0660""#,
        "Mode of the unix sockets.";
    session_allow_uid: Vec<Number<0, 4_294_967_295>> = "session.allow-uid", Text(""), r#"["33"]"#,
        "User ids that may connect to the unix sockets; without any, whoever the mode lets in.";
    session_tls_certificate: Option<PathBuf> = "session.tls-certificate", Text(""), r#""/etc/standpipe/session.pem""#,
        "Certificate chain (PEM) for `TLS:` addresses.";
    session_tls_key: Option<PathBuf> = "session.tls-key", Text(""), r#""/etc/standpipe/session-key.pem""#,
        "Its private key (PEM).";
    session_tls_client_ca: Option<PathBuf> = "session.tls-client-ca", Text(""), r#""/etc/standpipe/session-ca.pem""#,
        "Certificates (PEM) that a client's certificate must come from; needed with `session.tls-certificate`.";

    log_access: AccessLog = "log.access", Text("auto"), r#""json""#,
        "The access log, one line per request on stderr: `auto` is human on a terminal and JSON otherwise, `off` is none.";
    log_format: LogFormat = "log.format", Text("auto"), r#""json""#,
        "How other log lines look: `auto` is human on a terminal and JSON otherwise.";
    log_level: LogLevel = "log.level", Text("info"), r#""info,cache=debug""#,
        "What is logged, as a whole and by part.";
    log_queue: Number<16, 1_000_000> = "log.queue", Text("8192"), "65536",
        "Most lines that wait to be written, of the access log and of the other log; further ones are dropped and counted.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_flag_and_variable_exists_once() {
        let mut flags: HashSet<String> = ["config", "help", "version"].map(str::to_owned).into();
        let mut variables: HashSet<String> =
            ["STANDPIPE_CONFIG", "STANDPIPE_BIN", "STANDPIPE_SERVER"].map(str::to_owned).into();
        for key in KEYS {
            assert!(
                key.name.split_once('.').is_some_and(|(_, member)| !member.contains('.')),
                "{}",
                key.name
            );
            assert!(flags.insert(key.flag()), "{}", key.flag());
            assert!(key.alias.is_none_or(|alias| flags.insert(alias.to_owned())), "{}", key.name);
            assert!(variables.insert(key.variable()), "{}", key.variable());
        }
    }

    #[test]
    fn sections_stand_together() {
        let mut seen = Vec::new();
        for key in KEYS {
            if seen.last() != Some(&key.section()) {
                assert!(!seen.contains(&key.section()), "{}", key.name);
                seen.push(key.section());
            }
        }
    }

    #[test]
    fn every_example_is_toml_that_its_key_accepts() {
        for key in KEYS {
            let text = format!("[{}]\n{} = {}\n", key.section(), key.member(), key.example);
            let mut raw = Raw::default();
            assert_eq!(raw.add_file("example.toml".as_ref(), &text), Vec::<String>::new());
            let given = raw.given(key.name).expect(key.name);
            assert_eq!((key.check)(&given.texts), Ok(()), "{}", key.name);
        }
    }

    #[test]
    fn a_flag_and_a_variable_are_made_from_the_name() {
        let key = find("server.shutdown-file").expect("in the table");
        assert_eq!(key.flag(), "server-shutdown-file");
        assert_eq!(key.variable(), "STANDPIPE_SERVER_SHUTDOWN_FILE");
    }
}
