//! Where to connect, and connecting: one server or a cluster.

use std::time::Duration;

use ::redis::aio::{ConnectionLike, MultiplexedConnection};
use ::redis::cluster::ClusterClient;
use ::redis::cluster_async::ClusterConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, RedisError, RedisResult, TlsCertificates, Value,
};

use super::{OpenError, RedisSettings};

/// Times a cluster's client asks another node when one says that it is not the one, or is lost.
const CLUSTER_RETRIES: u32 = 3;
/// Milliseconds between them.
const CLUSTER_RETRY_WAIT: u64 = 20;

/// Certificates for `rediss`, as PEM.
#[derive(Default)]
pub struct RedisTls {
    /// Whom to trust; `None`: whom the system trusts.
    pub ca: Option<Vec<u8>>,
    /// Certificate chain and private key to show.
    pub client: Option<(Vec<u8>, Vec<u8>)>,
}

pub(super) enum Target {
    Single(Box<(Client, AsyncConnectionConfig)>),
    Cluster(Box<ClusterClient>),
}

/// A connection; clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, OpenError> {
        let url = &settings.url;
        if url.contains('#') {
            return Err(OpenError::Settings("nothing may follow # in the URL: TLS is always checked".into()));
        }
        let tls = settings.tls.is_given().then(|| settings.tls.certificates());
        let secure = ["rediss:", "rediss+", "valkeys:", "valkeys+"].iter().any(|with| url.starts_with(with));
        if tls.is_some() && !secure {
            return Err(OpenError::Settings("certificates are of use only with rediss://".into()));
        }
        let target = match cluster_nodes(url) {
            Some(nodes) => Self::cluster(nodes, settings, tls),
            None => Self::single(url, settings, tls),
        };
        target.map_err(|error| OpenError::Settings(error.to_string()))
    }

    fn single(url: &str, settings: &RedisSettings, tls: Option<TlsCertificates>) -> RedisResult<Self> {
        let client = match tls {
            Some(tls) => Client::build_with_tls(url, tls)?,
            None => Client::open(url)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout))
            // Operations have limits of their own, which know more.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(settings.in_flight.clamp(1, 4096));
        Ok(Self::Single(Box::new((client, config))))
    }

    fn cluster(
        nodes: Vec<String>,
        settings: &RedisSettings,
        tls: Option<TlsCertificates>,
    ) -> RedisResult<Self> {
        let mut builder = ClusterClient::builder(nodes)
            .connection_timeout(settings.connect_timeout)
            .response_timeout(settings.timeout)
            .overall_response_timeout(Some(settings.timeout.max(Duration::from_millis(1))))
            .retries(CLUSTER_RETRIES)
            .min_retry_wait(CLUSTER_RETRY_WAIT)
            .max_retry_wait(CLUSTER_RETRY_WAIT)
            .connection_concurrency_limit(settings.in_flight.max(1));
        if let Some(tls) = tls {
            builder = builder.certs(tls);
        }
        Ok(Self::Cluster(Box::new(builder.build()?)))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Connects. Must be called on the runtime where the connection is to live.
    pub(super) async fn connect(&self) -> Result<Connection, RedisError> {
        match self {
            Self::Single(single) => {
                let (client, config) = &**single;
                client.get_multiplexed_async_connection_with_config(config).await.map(Connection::Single)
            }
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
}

impl Connection {
    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        }
    }
}

impl RedisTls {
    fn is_given(&self) -> bool {
        self.ca.is_some() || self.client.is_some()
    }

    fn certificates(&self) -> TlsCertificates {
        let client = self.client.clone();
        TlsCertificates {
            client_tls: client.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: self.ca.clone(),
        }
    }
}

/// `redis+cluster://user:password@a,b:1/0` is `redis://user:password@a/0` and `redis://user:password@b:1/0`.
fn cluster_nodes(url: &str) -> Option<Vec<String>> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.strip_suffix("+cluster")?;
    let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    Some(hosts.split(',').map(|host| format!("{scheme}://{user}{host}{tail}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keys;

    fn settings(url: &str) -> RedisSettings {
        RedisSettings::new(url, Keys::parse(&[7; 32]).expect("a key"))
    }

    #[test]
    fn urls_of_clusters_name_every_node() {
        let nodes =
            cluster_nodes("rediss+cluster://u:p%40@a,b:1,[::1]:2/0?protocol=resp3").expect("a cluster");
        assert_eq!(
            nodes,
            [
                "rediss://u:p%40@a/0?protocol=resp3",
                "rediss://u:p%40@b:1/0?protocol=resp3",
                "rediss://u:p%40@[::1]:2/0?protocol=resp3"
            ]
        );
        assert_eq!(cluster_nodes("redis://a,b"), None);
    }

    #[test]
    fn urls_that_can_work_are_taken_and_others_refused_without_their_password() {
        let good = [
            "redis://localhost",
            "valkey://u:p@localhost:1/2",
            "rediss://localhost",
            "redis+unix:///run/redis.sock?db=1",
            "redis+cluster://localhost:1,localhost:2",
            "rediss+cluster://:p@localhost",
        ];
        for url in good {
            assert!(Target::new(&settings(url)).is_ok(), "{url}");
            assert_eq!(Target::new(&settings(url)).is_ok_and(|it| it.is_cluster()), url.contains("cluster"));
        }
        let bad = [
            "",
            "localhost",
            "http://secret@localhost",
            "redis://:secret@localhost:99999",
            "redis://:secret@localhost/zero",
            "redis+cluster://:secret@",
            "redis+cluster://:secret@a,,b",
            "redis+cluster+unix:///secret",
            "rediss://:secret@localhost#insecure",
            "redis://0.0.0.0",
        ];
        for url in bad {
            let problem = Target::new(&settings(url)).err().map(|error| error.to_string());
            assert!(problem.is_some_and(|problem| !problem.contains("secret")), "{url}");
        }
    }

    #[test]
    fn certificates_want_tls_and_must_be_some() {
        let with = |url: &str, ca: &[u8]| {
            let tls = RedisTls { ca: Some(ca.to_vec()), client: None };
            Target::new(&RedisSettings { tls, ..settings(url) }).is_ok()
        };
        assert!(!with("redis://localhost", b""));
        assert!(!with(
            "rediss://localhost",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        ));
    }
}
