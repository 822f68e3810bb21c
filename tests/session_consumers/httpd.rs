//! Apache httpd from Debian with our provider module, compiled as its README says.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Signal, kill_process, kill_process_group};
use scenarios::session::pid;
use testkit::guarded;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::handshake::Certificate;
use crate::library::{Library, run, workspace};

/// Compiles the module; where it is.
pub(crate) fn compile_module(library: &Library, directory: &Path) -> PathBuf {
    let source = "mod_socache_distcache.c";
    // libtool leaves its files beside the source.
    std::fs::copy(workspace().join("packaging/httpd").join(source), directory.join(source))
        .expect("the source is there");
    let mut apxs = std::process::Command::new("apxs");
    apxs.args(["-c", "-Wc,-Wall", "-Wc,-Wextra", "-Wc,-Werror"])
        .arg(format!("-I{}", library.prefix().join("include").display()))
        .arg(format!("-L{}", library.prefix().join("lib").display()))
        .args(["-ldistcache", source])
        .current_dir(directory);
    run(&mut apxs);
    directory.join(".libs/mod_socache_distcache.so")
}

/// Compiles what is preloaded for the lifetimes of httpd's own provider; where it is.
pub(crate) fn compile_short_timeouts(library: &Library, directory: &Path) -> PathBuf {
    let object = directory.join("short_timeouts.so");
    let mut cc = std::process::Command::new("cc");
    cc.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&object);
    cc.arg(format!("-I{}", library.prefix().join("include").display()));
    cc.arg(workspace().join("tests/session_consumers/short_timeouts.c"));
    // Loads the library with it, so that there is a next one.
    run(cc
        .arg(format!("-L{}", library.prefix().join("lib").display()))
        .args(["-Wl,--no-as-needed", "-ldistcache"]));
    object
}

/// A running httpd.
pub(crate) struct Httpd {
    pub(crate) port: u16,
    child: Child,
}

impl Httpd {
    /// Starts one with this multi-processing module, in a directory of its own.
    pub(crate) async fn start(
        mpm: &str,
        directory: &Path,
        library: &Library,
        module: &Path,
        certificate: &Certificate,
        sessions: &str,
    ) -> Self {
        Self::start_with(None, mpm, directory, library, module, certificate, sessions).await
    }

    /// The same, with an object that is loaded before all libraries.
    pub(crate) async fn start_with(
        preloaded: Option<&Path>,
        mpm: &str,
        directory: &Path,
        library: &Library,
        module: &Path,
        certificate: &Certificate,
        sessions: &str,
    ) -> Self {
        std::fs::create_dir(directory).expect("a writable directory");
        // httpd cannot choose a port by itself: take a free one, and another when somebody was quicker.
        for _ in 0..10 {
            let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let port = probe.local_addr().expect("a bound socket has an address").port();
            drop(probe);
            let config = config(mpm, directory, module, certificate, sessions, port);
            std::fs::write(directory.join("httpd.conf"), config).expect("a writable directory");
            let child = Command::new("/usr/sbin/apache2")
                .args(["-D", "FOREGROUND", "-f"])
                .arg(directory.join("httpd.conf"))
                .env("LD_LIBRARY_PATH", library.prefix().join("lib"))
                .envs(preloaded.map(|object| ("LD_PRELOAD", object)))
                .stdin(Stdio::null())
                // When it ends it signals its process group.
                .process_group(0)
                .spawn()
                .expect("apache2 runs: `cargo xtask test` installs it");
            let mut httpd = Self { port, child };
            if guarded("httpd to listen", httpd.listens()).await {
                return httpd;
            }
        }
        let log = std::fs::read_to_string(directory.join("error.log")).unwrap_or_default();
        panic!("httpd did not start in ten attempts:\n{log}");
    }

    /// Waits until it accepts connections; `false` when it ended instead.
    async fn listens(&mut self) -> bool {
        loop {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return true;
            }
            if self.child.try_wait().expect("a child of this process").is_some() {
                return false;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends it with all its children.
    pub(crate) async fn stop(mut self) {
        let id = self.child.id().expect("it runs");
        kill_process(pid(id), Signal::TERM).expect("it runs");
        guarded("httpd to end", self.child.wait()).await.expect("a child of this process");
    }
}

impl Drop for Httpd {
    /// Leaves no child behind when a test fails.
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            let _gone = kill_process_group(pid(id), Signal::KILL);
        }
    }
}

fn config(
    mpm: &str,
    directory: &Path,
    module: &Path,
    certificate: &Certificate,
    sessions: &str,
    port: u16,
) -> String {
    let (at, module) = (directory.display(), module.display());
    let (file, key) = (certificate.file.display(), certificate.key.display());
    let mut apxs = std::process::Command::new("apxs");
    let modules = run(apxs.args(["-q", "LIBEXECDIR"]));
    let modules = modules.trim();
    format!(
        "ServerRoot {at}\nPidFile {at}/pid\nDefaultRuntimeDir {at}\nMutex file:{at} default\n\
         ErrorLog {at}/error.log\nLogLevel info\nDocumentRoot {at}\n\
         LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so\n\
         LoadModule authz_core_module {modules}/mod_authz_core.so\n\
         LoadModule ssl_module {modules}/mod_ssl.so\n\
         LoadModule socache_distcache_module {module}\n\
         User www-data\nGroup www-data\n\
         Listen 127.0.0.1:{port}\nServerName localhost:443\n\
         SSLSessionCache dc:{sessions}\nSSLSessionCacheTimeout 300\nSSLSessionTickets off\n\
         SSLEngine on\nSSLCertificateFile {file}\nSSLCertificateKeyFile {key}\n"
    )
}
