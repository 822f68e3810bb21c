//! The commands for operators who look into a running server or change what it has stored.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgGroup, Command, value_parser};

use super::{server, switch, url};

pub(super) fn purge() -> Command {
    let subject = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("purge")
        .about("Take objects out of the running server's store, or have the origin confirm them; prints how much")
        .arg(
            Arg::new("url")
                .value_name("URL")
                .help("An object with all its variants: a URL, or a path on the server such as /r/NAME/path"),
        )
        .arg(subject("prefix", "PREFIX", "Every object whose URL begins so"))
        .arg(subject("host", "HOST", "Every object of this host (or host:port)"))
        .arg(subject("tag", "TAG", "Every object with this tag in Cache-Tag, Surrogate-Key or xkey"))
        .arg(subject("expression", "EXPRESSION", "Every object it means, such as `host == \"h\" && age > 1d`"))
        .group(ArgGroup::new("subject").args(["url", "prefix", "host", "tag", "expression"]).required(true))
        .arg(switch("soft", "They stay, and the origin confirms them before their next use"))
        .arg(switch("dry-run", "Only count them"))
        .arg(server())
}

pub(super) fn explain() -> Command {
    Command::new("explain")
        .about("Say what the running server would do with a request, and why")
        .arg(
            url()
                .value_parser(value_parser!(String))
                .help("A URL, or a path on the server such as /r/NAME/path"),
        )
        .arg(
            Arg::new("header")
                .short('H')
                .long("header")
                .value_name("FIELD")
                .action(ArgAction::Append)
                .help("A field of the request, such as `Accept-Language: de`; may be given again"),
        )
        .arg(
            Arg::new("door")
                .long("door")
                .value_name("DOOR")
                .value_parser(PossibleValuesParser::new(["fetch", "site", "proxy"]))
                .help("The door that is asked [default: the site of that host, else the fetch door]"),
        )
        .arg(switch("json", "Print the server's answer as it is"))
        .arg(server())
}

pub(super) fn entries() -> Command {
    let filter = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("entries")
        .about("List what the running server has stored")
        .arg(filter("host", "HOST", "Only objects of this host (or host:port)"))
        .arg(filter("prefix", "PREFIX", "Only objects whose URL begins so"))
        .arg(filter("tag", "TAG", "Only objects with this tag"))
        .arg(filter("status", "STATUS", "Only responses with this status"))
        .arg(
            filter("state", "STATE", "Only objects in this state")
                .value_parser(PossibleValuesParser::new(["fresh", "stale", "partial", "purged", "pinned"])),
        )
        .arg(filter("expression", "EXPRESSION", "Only objects it means, such as `status >= 400`"))
        .arg(
            filter(
                "sort",
                "ORDER",
                "What comes first: the largest, the oldest, the most used, the last used",
            )
            .value_parser(PossibleValuesParser::new(["size", "age", "hits", "last_use"])),
        )
        .arg(
            filter("limit", "NUMBER", "Most objects that are listed [default: 100]")
                .value_parser(value_parser!(u64).range(1..)),
        )
        .arg(switch("json", "Print an object of JSON a line"))
        .arg(server())
}

pub(super) fn prewarm() -> Command {
    Command::new("prewarm")
        .about(
            "Let the running server fetch a list of URLs before somebody asks; 3 when some could not be had",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("URLs, one a line, or a JSON array; `-` is stdin"),
        )
        .arg(Arg::new("ttl").long("ttl").value_name("TTL").help("How long they are kept, for example `7d`"))
        .arg(switch("background", "Do not wait for the end; prints the id of the list"))
        .arg(server())
}
