//! Where sessions are kept: in memory, or in Valkey or Redis.
//!
//! Two steps, because files are read as the user who started the program, and threads are started as the one it becomes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use distcache::store::redis::{OpenError, RedisSettings, RedisStore, RedisTls};
use distcache::store::{Keys, KeysError, MemorySettings};
use distcache::{MemoryStore, SessionStore};
use doors::session::Kept;

/// What was chosen.
pub(crate) struct Choice {
    /// `redis://…`; `None`: in memory.
    pub(crate) url: Option<String>,
    /// Bounds, in memory.
    pub(crate) memory: MemorySettings,
    /// How to use what is behind the URL.
    pub(crate) remote: Remote,
}

/// How to use a store elsewhere.
#[derive(Default)]
pub(crate) struct Remote {
    /// File of the keys that seal sessions before they leave.
    pub(crate) key: Option<PathBuf>,
    /// What names of sessions begin with there.
    pub(crate) prefix: Option<String>,
    /// Time for one operation.
    pub(crate) timeout: Option<Duration>,
    /// Whom to trust.
    pub(crate) ca: Option<PathBuf>,
    /// What to show.
    pub(crate) certificate: Option<PathBuf>,
    /// Its private key.
    pub(crate) certificate_key: Option<PathBuf>,
}

/// A store that only has to be opened.
pub(crate) enum Place {
    Memory(MemorySettings),
    Redis(Box<RedisSettings>),
}

impl Choice {
    /// Reads the files, and checks whatever can be checked without the store.
    pub(crate) fn read(self) -> Result<Place, String> {
        match self.url {
            None if self.remote.key.is_some() => {
                Err("a key that seals sessions is of use only with a store that is not memory".to_owned())
            }
            None if self.memory.bytes < MemorySettings::LEAST_BYTES => Err(format!(
                "max-bytes is {} and must be at least {}, or there are sessions that have no room",
                self.memory.bytes,
                MemorySettings::LEAST_BYTES
            )),
            None => Ok(Place::Memory(self.memory)),
            Some(url) => self.remote.read(&url).map(|settings| Place::Redis(Box::new(settings))),
        }
    }
}

impl Remote {
    fn read(self, url: &str) -> Result<RedisSettings, String> {
        let path = self.key.ok_or("a store that is not memory needs a key to seal sessions with")?;
        let keys = Keys::read(&path).map_err(|error| format!("{}: {}", path.display(), because(&error)))?;
        let client = match (self.certificate, self.certificate_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((contents(&certificate)?, contents(&key)?)),
            _ => return Err("the store's client certificate and its key are given together".to_owned()),
        };
        let ca = self.ca.as_deref().map(contents).transpose()?;
        let defaults = RedisSettings::new(url, keys);
        let settings = RedisSettings {
            prefix: self.prefix.unwrap_or_else(|| defaults.prefix.clone()),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            tls: RedisTls { ca, client },
            ..defaults
        };
        settings.check().map_err(not_opened)?;
        Ok(settings)
    }
}

impl Place {
    /// Opens the store. A Redis that is down is no error: it is asked again later.
    pub(crate) fn open(self) -> Result<Kept, String> {
        match self {
            Self::Memory(settings) => {
                let memory = Arc::new(MemoryStore::new(&settings));
                let store: Arc<dyn SessionStore> = Arc::clone(&memory) as _;
                Ok(Kept { store, memory: Some(memory), redis: None })
            }
            Self::Redis(settings) => {
                let redis = RedisStore::open(*settings).map_err(not_opened)?;
                let redis = Arc::new(redis);
                let store: Arc<dyn SessionStore> = Arc::clone(&redis) as _;
                Ok(Kept { store, memory: None, redis: Some(redis) })
            }
        }
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn not_opened(error: OpenError) -> String {
    match error {
        OpenError::Settings(problem) => problem,
        OpenError::Thread(error) => format!("no thread for the store: {error}"),
    }
}

fn because(error: &KeysError) -> String {
    match error {
        KeysError::Io(error) => error.to_string(),
        KeysError::Open => "everyone may read it; take that right away (chmod o-rwx)".to_owned(),
        KeysError::Line(line) => format!("line {line} is not 64 hexadecimal digits"),
        KeysError::Count => "needs one to eight different keys, and at most one for names".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn choice(url: Option<&str>, key: Option<&Path>) -> Choice {
        let remote = Remote { key: key.map(Path::to_owned), ..Remote::default() };
        Choice { url: url.map(str::to_owned), memory: MemorySettings::default(), remote }
    }

    #[test]
    fn a_store_in_memory_has_room_for_every_session_or_is_refused() {
        let with = |bytes| {
            let memory = MemorySettings { bytes, ..MemorySettings::default() };
            Choice { memory, ..choice(None, None) }.read()
        };
        assert!(with(MemorySettings::LEAST_BYTES).is_ok());
        let problem = with(MemorySettings::LEAST_BYTES - 1).err().unwrap_or_default();
        assert!(problem.contains("max-bytes is 33919"), "{problem}");
    }

    #[test]
    fn a_store_elsewhere_needs_a_key_and_memory_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let key = directory.path().join("key");
        fs::write(&key, "ab".repeat(32)).expect("written");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
        let url = Some("redis+unix:///none");
        let problem = |url, key| choice(url, key).read().err().unwrap_or_default();
        assert!(problem(None, Some(key.as_path())).contains("only with"));
        assert!(problem(url, None).contains("needs a key"));
        assert!(problem(url, Some(Path::new("/none"))).contains("/none"));
        assert!(choice(None, None).read().and_then(Place::open).is_ok_and(|kept| kept.memory.is_some()));
        assert!(choice(url, Some(&key)).read().and_then(Place::open).is_ok_and(|kept| kept.redis.is_some()));
        // Known before the program goes to the background, and without the password.
        for wrong in ["http://:secret@h/", "redis://:secret@h:99999", "redis+cluster://:secret@"] {
            let said = problem(Some(wrong), Some(&key));
            assert!(!said.is_empty() && !said.contains("secret"), "{wrong}: {said}");
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("ours");
        assert!(problem(url, Some(&key)).contains("everyone"));
    }
}
