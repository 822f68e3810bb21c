//! The switches of the session programs: one table for the long form and the classic one.
//!
//! Deliberately has no effects. Numbers are strict: decimal digits and nothing else.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use distcache::Address;
use distcache::limits::{ID, ID_AND_SESSION, TIMEOUT_MS};

use super::Program;
use crate::config::{Size, Word};

/// Marks the second process of `-daemon`; of no use to people.
pub(super) const DETACHED: &str = "detached";

const LISTEN_HELP: &str = "UNIX:path, IP:host:port, IP:port, IP6:…, TLS:… or FD:n";
const OURS: &str = "Beyond the classic switches";
const TLS: &str = "For TLS: addresses";
const HOUR_MS: u64 = 3_600_000;

/// `standpipe session` with its commands.
pub(crate) fn command() -> Command {
    Command::new("session")
        .about("Share TLS sessions among servers (the distcache protocol)")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(Program::ALL.map(|program| with_switches(Command::new(program.command()), program)))
        .subcommand(
            Command::new("links").about("Make the links dc_server, dc_client, dc_test and dc_snoop").arg(
                Arg::new("directory")
                    .value_name("DIR")
                    .required(true)
                    .value_parser(value_parser!(PathBuf))
                    .help("Where to make them"),
            ),
        )
}

/// The same program under its classic name.
pub(super) fn classic(program: Program) -> Command {
    let name = program.classic_name();
    with_switches(Command::new(name), program)
        .disable_help_flag(true)
        .override_usage(format!("{name} [-switch [value]] …   (one dash or two)"))
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Print this, as -h and -? do"))
}

fn with_switches(command: Command, program: Program) -> Command {
    let command = command.args_override_self(true);
    match program {
        Program::Server => command
            .about("Keep sessions for others")
            .args(server())
            .args(remote_store())
            .args(process())
            .args(limits(10_000))
            .args(server_tls()),
        Program::Client => command
            .about("Bring many local clients to one server over one connection")
            .args(client())
            .args(process())
            .args(limits(1024))
            .args(server_tls())
            .arg(path("tls-ca", "Certificates (PEM) that the server's must come from").help_heading(TLS)),
        Program::Test => command
            .about("Check a server operation by operation, and measure it")
            .args(test())
            .args(client_tls()),
        Program::Snoop => command
            .about("Forward connections to a server and show what passes by")
            .args(snoop())
            .args(client_tls()),
    }
}

fn server() -> Vec<Arg> {
    vec![
        address("listen", "ADDRESS", "Where to listen: ").required(true),
        number("sessions", 64..=100_000_000).default_value("512").help("Most sessions at once"),
        number("progress", 0..=1_000_000)
            .default_value("0")
            .help("Also report whenever so many operations are done; 0: never"),
        value("max-bytes", "SIZE", "Most bytes of ids and sessions [default: 1GiB]")
            .value_parser(size())
            .help_heading(OURS),
        duration("min-ttl", "Raise shorter timeouts to this [default: 0s]").help_heading(OURS),
        value(
            "sessiond",
            "ADDRESS",
            "Serve stunnel's sessiond protocol from the same store at this udp ip:port",
        )
        .value_parser(value_parser!(std::net::SocketAddr))
        .help_heading(OURS),
        value("sessiond-allow", "IP", "Who may use --sessiond; may be repeated [default: loopback]")
            .value_parser(value_parser!(std::net::IpAddr))
            .action(ArgAction::Append)
            .help_heading(OURS),
        number("threads", 1..=1024).help("Threads that serve [default: one a core]").help_heading(OURS),
        duration("idle", "Close connections without a request for so long [default: never]")
            .help_heading(OURS),
        flag("json", "Status lines as JSON on stdout").help_heading(OURS),
    ]
}

fn remote_store() -> Vec<Arg> {
    let args = [
        value(
            "store",
            "URL",
            "Keep sessions in Valkey or Redis: redis://…, rediss://…, redis+unix:///…, redis+cluster://…",
        ),
        path("store-key", "File of the keys that seal sessions before they leave"),
        value("store-prefix", "TEXT", "What names of sessions begin with there [default: session:]"),
        duration("store-timeout", "Time for one operation [default: 250ms]"),
        path(
            "store-ca",
            "For rediss: certificates (PEM) that the store's must come from [default: the system's]",
        ),
        path("store-certificate", "For rediss: certificate chain (PEM) to show"),
        path("store-certificate-key", "Its private key (PEM)"),
    ];
    args.map(|arg| arg.help_heading("For a store that is not memory")).to_vec()
}

fn client() -> Vec<Arg> {
    vec![
        address("listen", "ADDRESS", "Where applications connect: ").default_value("UNIX:/tmp/scache"),
        // Given twice it would be unclear which server is meant.
        address("server", "ADDRESS", "The server, once; -connect is the same: ")
            .alias("connect")
            .action(ArgAction::Append)
            .value_parser(connectable())
            .required(true),
        number("retry", 1..=HOUR_MS)
            .default_value("5000")
            .help("Milliseconds between attempts to connect to the server"),
        number("idle", 0..=HOUR_MS)
            .default_value("0")
            .help("Close clients without a request for so many milliseconds; 0: never"),
        duration(
            "timeout",
            "Give the server up when it leaves a request unanswered for so long [default: 10s]",
        )
        .help_heading(OURS),
        number("in-flight", 1..=1_000_000)
            .default_value("512")
            .help("Most requests with the server at once")
            .help_heading(OURS),
    ]
}

/// What makes a program a service.
fn process() -> Vec<Arg> {
    vec![
        value("sockowner", "USER", "Owner of the unix socket; without -sockgroup also its group"),
        value("sockgroup", "GROUP", "Group of the unix socket"),
        value("sockperms", "OCTAL", "Mode of the unix socket").value_parser(mode()),
        flag("daemon", "Go to the background once everything is open"),
        path("pidfile", "File for the process id; relative to / with -daemon"),
        value("user", "USER", "Become this user, with its groups, once everything is open"),
        flag("killable", "SIGUSR1 and SIGUSR2 end the program instead of being ignored"),
        value("metrics", "ADDRESS", "Serve /metrics for Prometheus at this ip:port")
            .value_parser(value_parser!(std::net::SocketAddr))
            .help_heading(OURS),
        value("allow-uid", "UID", "Only this user may connect to the unix socket; may be repeated")
            .value_parser(digits(0..=u64::from(u32::MAX)))
            .action(ArgAction::Append)
            .help_heading(OURS),
        Arg::new(DETACHED).long(DETACHED).action(ArgAction::SetTrue).hide(true),
    ]
}

fn limits(connections: u64) -> Vec<Arg> {
    vec![
        number("connections", 1..=1_000_000)
            .default_value(connections.to_string())
            .help("Most connections at once; further ones are closed")
            .help_heading(OURS),
        duration("request-timeout", "Time for a request that has begun to be whole [default: 10s]")
            .help_heading(OURS),
        duration("write-timeout", "Cut a reader that takes nothing for so long [default: 30s]")
            .help_heading(OURS),
        duration("grace", "Time for requests under way after SIGTERM [default: 5s]").help_heading(OURS),
    ]
}

fn test() -> Vec<Arg> {
    let longest = (ID_AND_SESSION - ID) as u64;
    let seconds = u64::from(TIMEOUT_MS) / 1000;
    vec![
        value("connect", "ADDRESS", "The server").value_parser(connectable()).required(true),
        number("sessions", 1..=1_000_000).default_value("10").help("Random sessions that are used"),
        number("datamin", 4..=longest).default_value("50").help("Shortest session, in bytes"),
        number("datamax", 4..=longest).default_value("2100").help("Longest session, in bytes"),
        number("timeout", 1..=seconds).default_value("60").help("Timeout of sessions, in seconds"),
        number("timevar", 0..=seconds).default_value("5").help("How far timeouts vary, in seconds"),
        number("ops", 1..=1_000_000_000).help("Operations [default: ten times the square of -sessions]"),
        number("progress", 0..=1_000_000_000)
            .default_value("0")
            .help("Say so after so many operations; 0: never"),
        flag("persistent", "One connection instead of one for each operation"),
        value("withcert", "N", "Always refused: sessions here are random bytes"),
        number("connections", 1..=1024)
            .default_value("1")
            .help("Connections at work at once, each with sessions of its own")
            .help_heading(OURS),
        number("rate", 1..=100_000_000)
            .help("Operations a second over all connections [default: as fast as possible]")
            .help_heading(OURS),
        flag("report", "Throughput and latency at the end").help_heading(OURS),
        flag("json", "The report as JSON on stdout").help_heading(OURS),
        flag("c-peers", "Leave out lengths that the C programs are known to misread").help_heading(OURS),
        number("seed", 0..=u64::MAX)
            .help("Of the random choices [default: another each time]")
            .help_heading(OURS),
        duration("request-timeout", "Time for one operation [default: 5s]").help_heading(OURS),
    ]
}

fn snoop() -> Vec<Arg> {
    vec![
        address("listen", "ADDRESS", "Where clients connect: ").required(true),
        value("server", "ADDRESS", "The server; -connect is the same")
            .alias("connect")
            .value_parser(connectable())
            .required(true),
        number("connections", 1..=10_000)
            .default_value("10")
            .help("Most connections at once")
            .help_heading(OURS),
        flag("json", "One JSON object a frame, on stdout").help_heading(OURS),
        flag("reveal", "Show ids and sessions, which are secrets").help_heading(OURS),
    ]
}

fn server_tls() -> Vec<Arg> {
    vec![
        path("tls-certificate", "Certificate chain (PEM) to show").help_heading(TLS),
        path("tls-key", "Its private key (PEM)").help_heading(TLS),
        path("tls-client-ca", "Certificates (PEM) that a client's must come from").help_heading(TLS),
    ]
}

fn client_tls() -> Vec<Arg> {
    vec![
        path("tls-ca", "Certificates (PEM) that the server's must come from").help_heading(TLS),
        path("tls-certificate", "Certificate chain (PEM) to show").help_heading(TLS),
        path("tls-key", "Its private key (PEM)").help_heading(TLS),
    ]
}

fn value(name: &'static str, metavar: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(metavar).help(help)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn path(name: &'static str, help: &'static str) -> Arg {
    value(name, "FILE", help).value_parser(value_parser!(PathBuf))
}

fn address(name: &'static str, metavar: &'static str, help: &'static str) -> Arg {
    value(name, metavar, help).help(format!("{help}{LISTEN_HELP}")).value_parser(value_parser!(Address))
}

fn number(name: &'static str, range: RangeInclusive<u64>) -> Arg {
    Arg::new(name).long(name).value_name("N").value_parser(digits(range))
}

fn duration(name: &'static str, help: &'static str) -> Arg {
    value(name, "TIME", help).value_parser(ValueParser::from(|text: &str| Duration::read(text)))
}

fn size() -> ValueParser {
    ValueParser::from(|text: &str| Size::read(text))
}

fn connectable() -> ValueParser {
    ValueParser::from(|text: &str| match text.parse::<Address>() {
        Ok(address) if address.can_connect() => Ok(address),
        Ok(_) => Err("an address to connect to has a host".to_owned()),
        Err(bad) => Err(bad.to_string()),
    })
}

fn digits(range: RangeInclusive<u64>) -> ValueParser {
    ValueParser::from(move |text: &str| {
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok());
        match number.flatten() {
            Some(number) if range.contains(&number) => Ok(number),
            _ => Err(format!("expected a whole number from {} to {}", range.start(), range.end())),
        }
    })
}

fn mode() -> ValueParser {
    ValueParser::from(|text: &str| match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(mode),
        _ => Err("expected an octal mode such as 660"),
    })
}

/// The number of a switch that has a default.
pub(super) fn count(arguments: &ArgMatches, name: &str) -> usize {
    usize::try_from(amount(arguments, name)).unwrap_or(usize::MAX)
}

/// The same, for what is no count of things in memory.
pub(super) fn amount(arguments: &ArgMatches, name: &str) -> u64 {
    arguments.get_one::<u64>(name).copied().unwrap_or_default()
}

/// The duration of a switch, or another.
pub(super) fn time(arguments: &ArgMatches, name: &str, otherwise: Duration) -> Duration {
    arguments.get_one::<Duration>(name).copied().unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switches_are_consistent() {
        command().debug_assert();
        Program::ALL.into_iter().for_each(|program| classic(program).debug_assert());
    }

    #[test]
    fn numbers_are_strict() {
        let given = |text: &str| {
            let words = ["dc_server", "--listen=UNIX:/s", &format!("--sessions={text}")];
            let matches = classic(Program::Server).try_get_matches_from(words).ok()?;
            matches.get_one::<u64>("sessions").copied()
        };
        assert_eq!(given("64"), Some(64));
        for text in ["63", "64x", "+64", " 64", "6_4", "0x40", "", "-1", "100000001", "99999999999999999999"]
        {
            assert_eq!(given(text), None, "{text}");
        }
    }
}
