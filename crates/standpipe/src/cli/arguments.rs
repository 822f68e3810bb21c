//! The command line: commands, flags and their help. The flags of `serve` are made from the table of configuration
//! keys, so they cannot differ from it. Deliberately has no effects.

mod operators;

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};
use clap_complete::Shell;

use super::wrap;
use crate::config::reference::shown_default;
use crate::config::{KEYS, Key, Shape};

/// Flags that a first user looks for; the root's help shows only these.
const SHOWN_AT_ROOT: [&str; 6] =
    ["server.listen", "server.site", "server.site-listen", "store.directory", "store.quota", "origin.allow"];

/// The only flag of the store that the short help of the tools shows.
const SHOWN_BY_TOOLS: &str = "store.directory";

const TOOL_HELP: &str = "`--help` lists all flags of the store; the defaults are those of the server.";

const ROOT_HELP: &str = "\
Without a command, `standpipe` serves. Every configuration key is a flag: `standpipe serve --help` lists them.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done, but not for everything.";

/// The whole command line.
pub(crate) fn command() -> Command {
    let root = Command::new("standpipe")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "A caching server: every URL is fetched once, kept, checked, and streamed to everybody who asks",
        )
        .after_help(ROOT_HELP)
        .args_conflicts_with_subcommands(true)
        .arg(config_file())
        .args(KEYS.iter().map(|key| key_flag(key).hide(!SHOWN_AT_ROOT.contains(&key.name))));
    root.subcommands([
        serve(),
        get(),
        status(),
        delete(),
        pin(),
        pins(),
        unpin(),
        operators::purge(),
        operators::explain(),
        operators::entries(),
        operators::prewarm(),
        wrap_command(),
        scrub(),
        fsck(),
        export(),
        import(),
        check_config(),
        crate::session::arguments::command(),
        completions(),
        Command::new("man").about("Print the manual page (roff)"),
        Command::new("config-reference").about("Print the reference of all keys (Markdown)").hide(true),
    ])
}

fn serve() -> Command {
    Command::new("serve")
        .about("Run the server (the default)")
        .arg(config_file())
        .args(KEYS.iter().map(key_flag))
}

fn check_config() -> Command {
    Command::new("check-config")
        .about("Print the effective configuration and where each value came from; 2 when it is not valid")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .conflicts_with("config")
                .help("The file to check instead of the usual one"),
        )
        .arg(config_file())
        .args(KEYS.iter().map(|key| key_flag(key).hide(true)))
}

fn get() -> Command {
    Command::new("get")
        .about("Download a URL through the running server; ends with 0 only when all bytes are there and verified")
        .args([url(), server()])
        .arg(
            Arg::new("output")
                .short('o')
                .long("output")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Where to write; `-` is stdout [default: last part of the URL's path]"),
        )
        .arg(
            Arg::new("sha256")
                .long("sha256")
                .value_name("HEX")
                .value_parser(sha256())
                .help("The digest the bytes must have; server and client both check it"),
        )
        .arg(
            Arg::new("ttl")
                .long("ttl")
                .value_name("TTL")
                .help("Oldest copy to accept and how long to keep it: a whole number of `d`, `h`, `m` or `s`, for example `1d`"),
        )
        .arg(
            Arg::new("idle-timeout")
                .long("idle-timeout")
                .value_name("SECONDS")
                .value_parser(value_parser!(u64).range(1..=86_400))
                .default_value("300")
                .help("Give up when nothing comes for so long"),
        )
}

fn status() -> Command {
    Command::new("status").about("Show what the running server does").arg(server()).arg(
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the server's answer as it is"),
    )
}

fn delete() -> Command {
    Command::new("delete").about("Make the running server forget a URL").args([url(), server()])
}

fn pin() -> Command {
    let subject = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("pin")
        .about("Make the running server keep objects from eviction until a time; prints the pin's id")
        .args([url().required(false), server()])
        .arg(subject("prefix", "PREFIX", "Pin every object whose URL begins so"))
        .arg(subject("tag", "TAG", "Pin every object with this tag in Cache-Tag, Surrogate-Key or xkey"))
        .group(ArgGroup::new("subject").args(["url", "prefix", "tag"]).required(true))
        .arg(
            Arg::new("ttl")
                .long("ttl")
                .value_name("TTL")
                .required(true)
                .help("How long: a whole number of `d`, `h`, `m` or `s`, for example `7d`"),
        )
        .arg(Arg::new("name").long("name").value_name("NAME").help("What people call it"))
}

fn pins() -> Command {
    Command::new("pins").about("List the pins of the running server").arg(server()).arg(
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the server's answer as it is"),
    )
}

fn unpin() -> Command {
    Command::new("unpin")
        .about("Take a pin away")
        .arg(
            Arg::new("id").value_name("ID").required(true).help("The pin's id, as `pin` and `pins` print it"),
        )
        .arg(server())
}

fn wrap_command() -> Command {
    Command::new("wrap")
        .about("Print the URL under which the server offers a URL; asks nobody")
        .args([url(), server()])
}

fn scrub() -> Command {
    Command::new("scrub")
        .about("Let the running server compare every stored body with its digest; 1 when one was damaged")
        .arg(server())
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("SIZE")
                .help("Most bytes read in a second, such as `50MB`"),
        )
        .arg(switch("background", "Do not wait for the end"))
        .arg(switch("status", "Start nothing, only show how far it is").conflicts_with_all(["rate", "stop"]))
        .arg(switch("stop", "End the one that runs").conflicts_with("rate"))
}

fn fsck() -> Command {
    on_the_store(Command::new("fsck"))
        .about("Check a store that no server uses: index, bodies, digests; 3 when something is wrong")
        .arg(switch("repair", "Drop what is damaged or incomplete; it will be fetched again"))
        .arg(switch("quick", "Compare lengths only, no digests"))
        .arg(switch("json", "Print the report as JSON"))
}

fn export() -> Command {
    on_the_store(Command::new("export"))
        .about(
            "Lay out stored objects as files, scheme/host/path, for a web server or rsync; a server may run",
        )
        .arg(tree("Directory to write to, created when absent; hard links where the file system lets us"))
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("HOST")
                .action(ArgAction::Append)
                .help("Only objects of this host (or host:port); may be given again"),
        )
}

fn import() -> Command {
    on_the_store(Command::new("import"))
        .about("Take the files of a mirror into a store that no server uses; what is stored already stays")
        .arg(tree("Directory to read"))
        .arg(
            Arg::new("base")
                .long("base")
                .value_name("URL")
                .required(true)
                .help("The URL that the directory is a mirror of, such as `https://deb.debian.org/debian`"),
        )
}

/// A command that needs the configuration for where and how the store is.
fn on_the_store(command: Command) -> Command {
    let flags = KEYS
        .iter()
        .map(|key| key_flag(key).hide(key.section() != "store").hide_short_help(key.name != SHOWN_BY_TOOLS));
    command.arg(config_file()).args(flags).after_help(TOOL_HELP)
}

fn tree(help: &'static str) -> Arg {
    let arg = Arg::new("tree").long("tree").value_name("DIR").required(true);
    arg.value_parser(value_parser!(PathBuf)).help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn completions() -> Command {
    Command::new("completions").about("Print shell completions").arg(
        Arg::new("shell")
            .value_name("SHELL")
            .required(true)
            .value_parser(value_parser!(Shell))
            .help("The shell"),
    )
}

fn config_file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Configuration file (TOML) [environment: STANDPIPE_CONFIG]")
}

fn url() -> Arg {
    Arg::new("url").value_name("URL").required(true).value_parser(wrap::checked).help("An http or https URL")
}

fn server() -> Arg {
    Arg::new("server")
        .long("server")
        .value_name("URL")
        .help("The server to ask [environment: STANDPIPE_SERVER] [default: http://127.0.0.1:8001]")
}

fn sha256() -> ValueParser {
    ValueParser::from(|text: &str| {
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(text.to_ascii_lowercase());
        }
        Err("expected 64 hexadecimal digits")
    })
}

/// The flag of a configuration key. Values stay text: `config` understands them, so that its messages are the
/// same for every source.
fn key_flag(key: &'static Key) -> Arg {
    let help = format!("{} [default: {}]", key.doc, shown_default(key).replace('`', ""));
    let flag = Arg::new(key.name)
        .long(key.alias.map_or_else(|| key.flag(), str::to_owned))
        .help(help)
        .help_heading(key.section())
        .value_parser(value_parser!(String));
    let flag = if key.alias.is_some() { flag.visible_alias(key.flag()) } else { flag };
    match key.shape {
        Shape::List => flag.action(ArgAction::Append).value_name("ITEM"),
        Shape::Truth => {
            flag.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL")
        }
        Shape::Number => flag.value_name("NUMBER"),
        Shape::Measure => flag.value_name("SIZE"),
        Shape::Text => flag.value_name("VALUE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_truth_flag_needs_no_value() {
        let given = |arguments: &[&str]| {
            let matches = command().try_get_matches_from(arguments).expect("accepted");
            matches.get_one::<String>("admin.delete-by-get").cloned()
        };
        assert_eq!(given(&["standpipe", "--admin-delete-by-get"]).as_deref(), Some("true"));
        assert_eq!(given(&["standpipe", "--admin-delete-by-get=false"]).as_deref(), Some("false"));
        assert_eq!(given(&["standpipe"]), None);
    }

    #[test]
    fn a_pin_is_about_one_thing_and_has_an_end() {
        let accepted = |arguments: &str| {
            command()
                .try_get_matches_from(["standpipe", "pin"].into_iter().chain(arguments.split(' ')))
                .is_ok()
        };
        assert!(accepted("https://h/a --ttl 7d"));
        assert!(accepted("--prefix https://h/ --ttl 7d --name x"));
        assert!(accepted("--tag v5 --ttl 7d"));
        for arguments in ["https://h/a", "--ttl 7d", "https://h/a --tag v5 --ttl 7d"] {
            assert!(!accepted(arguments), "{arguments}");
        }
    }

    /// The help as a terminal of 80 columns shows it.
    fn help(path: &[&str], long: &str) -> String {
        let words = ["standpipe"].iter().chain(path).chain([&long]);
        command().term_width(80).try_get_matches_from(words).expect_err("help").to_string()
    }

    #[test]
    fn the_short_help_of_a_tool_fits_a_screen_and_the_long_one_has_all() {
        for tool in ["fsck", "export", "import"] {
            let short = help(&[tool], "-h");
            assert!(short.lines().count() <= 24, "{tool}: {} lines\n{short}", short.lines().count());
            assert!(short.contains("--store-directory"), "{short}");
            assert!(help(&[tool], "--help").contains("--store-commit-interval"), "{tool}");
        }
    }

    #[test]
    fn the_roots_help_shows_what_a_first_user_looks_for() {
        for flag in ["--listen", "--site", "--site-listen", "--allow-origin", "--store-directory"] {
            for long in ["-h", "--help"] {
                let help = help(&[], long);
                assert!(help.contains(&format!("{flag} <")), "{help}");
            }
        }
    }

    #[test]
    fn serving_needs_no_command() {
        let matches = command().try_get_matches_from(["standpipe", "--listen", ":1"]).expect("accepted");
        assert_eq!(matches.subcommand_name(), None);
        let matches =
            command().try_get_matches_from(["standpipe", "serve", "--listen", ":1"]).expect("accepted");
        assert_eq!(matches.subcommand_name(), Some("serve"));
    }

    #[test]
    fn a_digest_has_64_hexadecimal_digits() {
        let digest = "AB".repeat(32);
        let sha256 = |digest: &str| {
            command().try_get_matches_from(["standpipe", "get", "http://a/", "--sha256", digest])
        };
        assert!(sha256(&digest).is_ok());
        assert!(sha256(&digest[1..]).is_err());
        assert!(sha256(&digest.replace('A', "é")).is_err());
    }
}
