//! From switches to a service that is open, in the order that matters: bind, socket's owner, background, pidfile, user.
//!
//! Runs on the only thread there is; what starts threads comes afterwards.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgMatches;
use distcache::Address;
use distcache::net::tls::ServerConfig;
use distcache::net::{ListenSettings, Listener};
use nix::unistd::{Group, Uid, User, initgroups, setgid, setuid};

use super::arguments::DETACHED;
use super::process::{harden, raise_open_files};
use super::signals::Users;
use super::{Program, daemon};

/// How a service wants to be started.
pub(super) struct Startup {
    program: Program,
    listen: Address,
    owner: Option<String>,
    group: Option<String>,
    mode: Option<u32>,
    background: Background,
    pidfile: Option<PathBuf>,
    user: Option<String>,
    /// What SIGUSR1 and SIGUSR2 do.
    pub(super) users: Users,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Background {
    /// Stay where we are.
    No,
    /// Go there.
    Wanted,
    /// We are the process that went there.
    Reached,
}

impl Startup {
    /// As the switches say. `listen` has a default or is required.
    pub(super) fn new(program: Program, arguments: &ArgMatches) -> Result<Self, String> {
        let text = |name: &str| arguments.get_one::<String>(name).cloned();
        let listen = arguments.get_one::<Address>("listen").cloned();
        Ok(Self {
            program,
            listen: listen.ok_or("no address to listen on")?,
            owner: text("sockowner"),
            group: text("sockgroup"),
            mode: arguments.get_one("sockperms").copied(),
            background: match (arguments.get_flag("daemon"), arguments.get_flag(DETACHED)) {
                (false, _) => Background::No,
                (true, false) => Background::Wanted,
                (true, true) => Background::Reached,
            },
            pidfile: arguments.get_one::<PathBuf>("pidfile").cloned(),
            user: text("user"),
            users: if arguments.get_flag("killable") { Users::End } else { Users::AreIgnored },
        })
    }

    /// Whether [`daemon::start`] has to be called, and nothing else.
    pub(super) fn is_for_background(&self) -> bool {
        self.background == Background::Wanted
    }

    /// Limits of the process, then the listener. Must be called within a runtime, before there are threads.
    pub(super) fn open(&self, tls: Option<Arc<ServerConfig>>) -> Result<Listener, String> {
        if self.background == Background::Reached {
            daemon::leave_session()?;
        }
        harden().into_iter().for_each(|refused| self.program.say(refused));
        raise_open_files();
        let path = match &self.listen {
            Address::Unix(path) => Some(path),
            _ => None,
        };
        let settings =
            ListenSettings { mode: self.mode.filter(|_| path.is_some()), tls, ..ListenSettings::default() };
        let listener = Listener::bind(&self.listen, &settings)
            .map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        match path {
            Some(path) => self.give_away(path),
            None if self.owner.is_some() || self.group.is_some() || self.mode.is_some() => {
                self.program.say("warning: only unix sockets have an owner, a group and a mode");
            }
            None => {}
        }
        Ok(listener)
    }

    /// Everything is open: background, pidfile, user, in this order. Afterwards threads may start. Says where it listens,
    /// with the port that the system chose: scripts wait for this line.
    pub(super) fn settle(&self, listener: &Listener) -> Result<(), String> {
        if self.background == Background::Reached {
            std::env::set_current_dir("/").map_err(|error| format!("cannot go to /: {error}"))?;
        }
        if let Some(path) = &self.pidfile {
            fs::write(path, std::process::id().to_string())
                .map_err(|error| format!("pidfile {}: {error}", path.display()))?;
        }
        if let Some(name) = &self.user {
            become_user(name)?;
            // Another user can be dumped again.
            harden();
        }
        self.program.say(format_args!("listening on {}", listener.address()));
        if self.background == Background::Reached {
            daemon::ready()?;
        }
        Ok(())
    }

    /// Failing is only a warning: the socket works, for fewer users than wanted.
    fn give_away(&self, path: &Path) {
        if self.owner.is_none() && self.group.is_none() {
            return;
        }
        let given = self.owner_and_group().and_then(|(owner, group)| {
            chown(path, owner, group).map_err(|error| format!("{}: {error}", path.display()))
        });
        if let Err(problem) = given {
            self.program.say(format_args!("warning: the socket keeps its owner: {problem}"));
        }
    }

    /// An owner alone brings its primary group along.
    fn owner_and_group(&self) -> Result<(Option<u32>, Option<u32>), String> {
        let user = self.owner.as_deref().map(find_user).transpose()?;
        let group = match &self.group {
            Some(name) => Some(find_group(name)?.gid.as_raw()),
            None => user.as_ref().map(|user| user.gid.as_raw()),
        };
        Ok((user.map(|user| user.uid.as_raw()), group))
    }
}

/// Becomes another user for good: its groups, all of them, then itself.
fn become_user(name: &str) -> Result<(), String> {
    let user = find_user(name)?;
    let become_it = || -> nix::Result<()> {
        // Only root may choose its groups; who is this user already keeps those it has.
        if Uid::effective() == user.uid && Uid::current() == user.uid {
            return Ok(());
        }
        let name = CString::new(user.name.as_str()).map_err(|_| nix::errno::Errno::EINVAL)?;
        initgroups(&name, user.gid)?;
        setgid(user.gid)?;
        setuid(user.uid)
    };
    become_it().map_err(|error| format!("cannot become {name}: {error}"))?;
    if !user.uid.is_root() && setuid(Uid::from_raw(0)).is_ok() {
        return Err(format!("became {name}, but could become root again"));
    }
    Ok(())
}

fn find_user(name: &str) -> Result<User, String> {
    match User::from_name(name) {
        Ok(found) => found.ok_or_else(|| format!("there is no user `{name}`")),
        Err(error) => Err(format!("user `{name}`: {error}")),
    }
}

fn find_group(name: &str) -> Result<Group, String> {
    match Group::from_name(name) {
        Ok(found) => found.ok_or_else(|| format!("there is no group `{name}`")),
        Err(error) => Err(format!("group `{name}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::arguments;

    fn startup(words: &[&str]) -> Startup {
        let words = ["dc_server", "--listen=UNIX:/s"].iter().chain(words);
        let matches = arguments::classic(Program::Server).try_get_matches_from(words).expect("fine");
        Startup::new(Program::Server, &matches).expect("complete")
    }

    #[test]
    fn an_owner_brings_its_group_unless_there_is_another() {
        let root = startup(&["--sockowner=root"]);
        assert_eq!(root.owner_and_group(), Ok((Some(0), Some(0))));
        assert_eq!(startup(&["--sockgroup=root"]).owner_and_group(), Ok((None, Some(0))));
        assert!(startup(&["--sockowner=no-such-user"]).owner_and_group().is_err());
    }

    #[test]
    fn only_the_first_process_of_a_daemon_starts_another() {
        assert!(!startup(&[]).is_for_background());
        assert!(startup(&["--daemon"]).is_for_background());
        assert!(!startup(&["--daemon", "--detached"]).is_for_background());
    }

    #[test]
    fn who_one_is_already_one_may_become() {
        let me = User::from_uid(Uid::current()).ok().flatten().expect("a user");
        if !me.uid.is_root() {
            assert_eq!(become_user(&me.name), Ok(()));
        }
        let missing = become_user("no-such-user").expect_err("missing");
        assert!(missing.contains("no-such-user"), "{missing}");
    }
}
