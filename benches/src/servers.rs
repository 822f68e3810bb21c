//! Starting the servers under test: nginx in three configurations, Varnish, and ours.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cpu;

/// A running server.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Turns an origin path into the path to ask this server for.
    prefix: String,
    child: Child,
    /// Where it keeps what it cached.
    pub(crate) folder: PathBuf,
}

impl Server {
    /// Path on this server of an object that the origin has under `path`.
    pub(crate) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds used so far.
    pub(crate) fn cpu(&self) -> f64 {
        cpu::seconds(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let patience = Instant::now();
        while patience.elapsed() < Duration::from_secs(5) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            std::thread::yield_now();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A folder for this run; everything in it goes when the run ends.
pub(crate) fn scratch(name: &str) -> Result<PathBuf, String> {
    let base = std::env::var_os("BENCH_DIRECTORY").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join(format!("standpipe-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    Ok(folder)
}

/// An nginx that serves static files on the load core: the origin.
pub(crate) fn nginx_origin(root: &Path) -> Result<Server, String> {
    let folder = scratch("origin")?;
    let address = free_port()?;
    let site = format!(
        "server {{ listen {address} backlog=4096; root {root}; sendfile on; tcp_nopush off;
 }}",
        root = root.display()
    );
    nginx("nginx origin", &folder, address, &site, cpu::LOAD_CORE)
}

/// The three ways to run nginx `proxy_cache`; one configuration alone misleads.
pub(crate) fn nginx_caches(origin: SocketAddr) -> Result<Vec<Server>, String> {
    let variants = [
        ("nginx sendfile", "sendfile on;"),
        ("nginx open_file_cache", "sendfile on; tcp_nopush off; open_file_cache max=10000;"),
        ("nginx output_buffers", "sendfile off; output_buffers 2 512k; open_file_cache max=10000;"),
    ];
    variants
        .into_iter()
        .map(|(name, settings)| nginx_cache(name, settings, origin, cpu::SERVER_CORE))
        .collect()
}

/// One nginx `proxy_cache`.
pub(crate) fn nginx_cache(
    name: &str,
    settings: &str,
    origin: SocketAddr,
    cores: &str,
) -> Result<Server, String> {
    nginx_proxy(name, settings, "", origin, cores)
}

/// One that fetches and keeps pieces of 1 MiB (its slice module).
pub(crate) fn nginx_slices(name: &str, settings: &str, origin: SocketAddr) -> Result<Server, String> {
    let location = "slice 1m; proxy_set_header Range $slice_range;
           proxy_cache_key $uri$is_args$args$slice_range; proxy_cache_valid 206 1h;";
    nginx_proxy(name, settings, location, origin, cpu::SERVER_CORE)
}

fn nginx_proxy(
    name: &str,
    settings: &str,
    location: &str,
    origin: SocketAddr,
    cores: &str,
) -> Result<Server, String> {
    let folder = scratch(&name.replace(' ', "-"))?;
    let address = free_port()?;
    let site = format!(
        "proxy_cache_path {folder}/cache levels=1:2 keys_zone=zone:16m max_size=40g inactive=1h use_temp_path=off;
         {settings}
         upstream origin {{ server {origin}; keepalive 64; }}
         server {{ listen {address} backlog=4096; location / {{
           proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection '';
           proxy_cache zone; proxy_cache_valid 200 1h; proxy_cache_lock on; proxy_cache_lock_timeout 60s;
           {location}
         }} }}",
        folder = folder.display(),
    );
    nginx(name, &folder, address, &site, cores)
}

fn nginx(name: &str, folder: &Path, address: SocketAddr, site: &str, cores: &str) -> Result<Server, String> {
    let configuration = format!(
        "daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; user root;
         worker_rlimit_nofile 65536;
         events {{ worker_connections 8192; }}
         http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; default_type application/octet-stream;
           client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
           uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
           {site} }}",
        folder = folder.display(),
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, configuration).map_err(|error| error.to_string())?;
    let mut command = pinned(cores, "nginx");
    command.arg("-c").arg(&path).arg("-e").arg(folder.join("error.log"));
    let child = spawn(&mut command, Stdio::null())?;
    ready(Server { name: name.to_owned(), address, prefix: String::new(), child, folder: folder.to_owned() })
}

/// The least that a server can do, for bodies of this length.
pub(crate) fn bare(length: u64) -> Result<Server, String> {
    let folder = scratch(&format!("bare-{length}"))?;
    let address = free_port()?;
    let ours = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = pinned(cpu::SERVER_CORE, &ours.display().to_string());
    command.args(["bare", &address.to_string(), &length.to_string()]);
    let child = spawn(&mut command, Stdio::null())?;
    ready(Server { name: "bare epoll loop".to_owned(), address, prefix: String::new(), child, folder })
}

/// What Varnish is not to log of each request: the others write no access log either.
const SILENT: &str = "vsl_mask=-Begin,-Link,-ReqStart,-ReqMethod,-ReqURL,-ReqProtocol,-ReqHeader,-ReqUnset,\
    -VCL_call,-VCL_return,-Hit,-RespProtocol,-RespStatus,-RespReason,-RespHeader,-RespUnset,-Filters,-Timestamp,\
    -Length,-ReqAcct,-End";

/// Varnish with its default settings but for the size of its store and its log.
pub(crate) fn varnish(origin: SocketAddr) -> Result<Server, String> {
    let folder = scratch("varnish")?;
    let address = free_port()?;
    let mut command = pinned(cpu::SERVER_CORE, "varnishd");
    command
        .arg("-F")
        .args(["-a", &address.to_string(), "-b", &origin.to_string(), "-s", "malloc,6g"])
        .args(["-p", "default_ttl=3600", "-p", "thread_pool_max=1200", "-p", SILENT])
        .arg("-n")
        .arg(folder.join("varnish"));
    let child = spawn(&mut command, Stdio::null())?;
    ready(Server { name: "varnish".to_owned(), address, prefix: String::new(), child, folder })
}

/// Our own release binary.
pub(crate) fn standpipe(origin: SocketAddr, cores: &str) -> Result<Server, String> {
    let folder = scratch("standpipe")?;
    let binary = binary();
    let mut command = ours(&binary, &folder, cores);
    command.args(["--store-quota", "40GB"]);
    let mut child = spawn(&mut command, Stdio::piped())?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
    let address = line
        .trim()
        .strip_prefix("standpipe listening on http://")
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| format!("{binary} did not say where it listens: {line:?}"))?;
    let name = "standpipe".to_owned();
    ready(Server { name, address, prefix: format!("/http://{origin}"), child, folder })
}

/// The same as a reverse proxy: a site with a listener of its own.
pub(crate) fn standpipe_site(origin: SocketAddr, cores: &str) -> Result<Server, String> {
    let folder = scratch("standpipe-site")?;
    let address = free_port()?;
    let mut command = ours(&binary(), &folder, cores);
    command
        .args(["--store-quota", "2GiB", "--site", &format!("bench=http://{origin}/")])
        .args(["--site-listen", &format!("bench={address}")]);
    let child = spawn(&mut command, Stdio::null())?;
    ready(Server { name: "standpipe".to_owned(), address, prefix: String::new(), child, folder })
}

fn ours(binary: &str, folder: &Path, cores: &str) -> Command {
    let mut command = pinned(cores, binary);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--allow-origin", "127.0.0.0/8", "--log-access", "off"])
        .arg("--store-directory")
        .arg(folder.join("store"));
    command
}

/// Where it is.
pub(crate) fn binary() -> String {
    std::env::var("STANDPIPE_BIN").unwrap_or_else(|_| "target/release/standpipe".to_owned())
}

/// A program that will run on these cores.
pub(crate) fn pinned(cores: &str, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores, program]);
    command
}

fn spawn(command: &mut Command, stdout: Stdio) -> Result<Child, String> {
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| format!("{command:?} cannot be started: {error}"))
}

/// Waits until the server accepts connections.
fn ready(mut server: Server) -> Result<Server, String> {
    let patience = Instant::now();
    while patience.elapsed() < Duration::from_secs(10) {
        if TcpStream::connect(server.address).is_ok() {
            return Ok(server);
        }
        if let Ok(Some(status)) = server.child.try_wait() {
            return Err(format!("{} ended at its start: {status}", server.name));
        }
        std::thread::yield_now();
    }
    Err(format!("{} does not accept connections", server.name))
}

fn free_port() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}
