//! The classic command lines: switches with one dash, their value in the next word, the last one wins. They become those
//! of the long form, so that both are one set of switches with one meaning. One dash or two make no difference.
//!
//! Exit codes: 0 done or help, 1 everything else. Everything for people goes to stderr.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, Command};

use super::{Failed, Program, arguments};

/// What `-h` can also be written as, without its dashes.
const HELP: [&str; 3] = ["h", "help", "?"];

/// Runs the program that this process was called as, when that is one of the classic names.
pub(crate) fn run_by_name() -> Option<ExitCode> {
    let mut words = env::args_os();
    let called = words.next()?;
    let name = Path::new(&called).file_name()?;
    let program = Program::ALL.into_iter().find(|program| name == program.classic_name())?;
    Some(run(program, words.collect()))
}

fn run(program: Program, words: Vec<OsString>) -> ExitCode {
    let mut command = arguments::classic(program);
    command.build();
    let matches = translated(&mut command, words).and_then(|words| command.try_get_matches_from_mut(words));
    let matches = match matches {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            drop(write!(io::stderr(), "{}", command.render_help()));
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            drop(write!(io::stderr(), "{}\n{}", error.render(), command.render_help()));
            return ExitCode::FAILURE;
        }
    };
    match program.run(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Usage(problem) | Failed::Work(problem)) => {
            program.say(problem);
            ExitCode::FAILURE
        }
    }
}

/// The words of this process for `cli`: behind `standpipe session PROGRAM` classic switches become long ones. What cannot
/// be understood stays as it is, so that the complaint names what was typed.
pub(crate) fn words() -> Vec<OsString> {
    long_form(env::args_os().collect())
}

fn long_form(words: Vec<OsString>) -> Vec<OsString> {
    let [_, session, name, switches @ ..] = words.as_slice() else { return words };
    let program = Program::ALL.into_iter().find(|program| name == program.command());
    let Some(program) = program.filter(|_| session == "session") else { return words };
    match translated(&mut arguments::classic(program), switches.to_vec()) {
        Ok(long) => words[..3].iter().cloned().chain(long.into_iter().skip(1)).collect(),
        Err(_) => words,
    }
}

/// The same switches in the long form.
fn translated(command: &mut Command, words: Vec<OsString>) -> Result<Vec<OsString>, clap::Error> {
    let mut long = vec![OsString::from(command.get_name())];
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-')).unwrap_or_default();
        if HELP.contains(&name) {
            return Err(command.error(ErrorKind::DisplayHelp, ""));
        }
        let bare = name.split_once('=').map_or(name, |(bare, _)| bare);
        let Some(takes_value) = find(command, bare).map(|arg| arg.get_action().takes_values()) else {
            let problem = format!("`{}` is no switch", text.escape_debug());
            return Err(command.error(ErrorKind::UnknownArgument, problem));
        };
        let mut switch = OsString::from(format!("--{name}"));
        if takes_value && bare == name {
            let Some(value) = words.next() else {
                return Err(command.error(ErrorKind::InvalidValue, format!("`-{name}` needs a value")));
            };
            switch.push("=");
            switch.push(value);
        }
        long.push(switch);
    }
    Ok(long)
}

/// The switch with this name.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let is_named = |arg: &&Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    };
    command.get_arguments().find(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(program: Program, words: &[&str]) -> Result<Vec<String>, ErrorKind> {
        let mut command = arguments::classic(program);
        command.build();
        let words = translated(&mut command, words.iter().map(OsString::from).collect());
        let words = words.map_err(|error| error.kind())?;
        Ok(words.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn one_dash_and_two_are_the_same_and_values_stand_in_the_next_word() {
        let words = ["-listen", "UNIX:/s", "--sessions", "64", "-daemon", "-pidfile", "-odd", "--min-ttl=5s"];
        let expected = ["--listen=UNIX:/s", "--sessions=64", "--daemon", "--pidfile=-odd", "--min-ttl=5s"];
        assert_eq!(long(Program::Server, &words).expect("fine"), expected);
    }

    #[test]
    fn what_is_no_switch_or_has_no_value_is_refused() {
        for words in [&["-listne", "x"][..], &["listen"], &["-"], &[""], &["--"], &["-killabl"]] {
            assert_eq!(long(Program::Server, words), Err(ErrorKind::UnknownArgument), "{words:?}");
        }
        assert_eq!(long(Program::Server, &["-listen"]), Err(ErrorKind::InvalidValue));
    }

    #[test]
    fn commands_of_standpipe_take_classic_switches_too() {
        let long = |words: &[&str]| {
            let words = long_form(words.iter().map(OsString::from).collect());
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let start = ["standpipe", "session", "serve"];
        assert_eq!(
            long(&[&start[..], &["-listen", "IP:1"]].concat()),
            [&start[..], &["--listen=IP:1"]].concat()
        );
        for same in
            [&["standpipe", "--listen", ":1"][..], &["standpipe", "session", "serve", "-h"], &["standpipe"]]
        {
            assert_eq!(long(same), same);
        }
    }

    #[test]
    fn help_has_three_names() {
        for word in ["-h", "-help", "-?", "--help"] {
            assert_eq!(long(Program::Snoop, &[word]), Err(ErrorKind::DisplayHelp), "{word}");
        }
    }

    #[test]
    fn the_last_of_equal_switches_wins() {
        let mut command = arguments::classic(Program::Server);
        let words = ["-listen", "UNIX:/a", "-sessions", "64", "-listen", "UNIX:/b", "-sessions", "65"];
        let words = translated(&mut command, words.iter().map(OsString::from).collect()).expect("fine");
        let matches = command.try_get_matches_from(words).expect("fine");
        assert_eq!(matches.get_one::<u64>("sessions"), Some(&65));
        let address = matches.get_one::<distcache::Address>("listen").map(ToString::to_string);
        assert_eq!(address.as_deref(), Some("UNIX:/b"));
    }
}
