//! The developers' commands: `cargo xtask test | ci | fuzz | bench | config-reference`. Each step is printed before it
//! runs; the first one that fails ends the command with exit code 1, wrong usage with 2.
#![forbid(unsafe_code)]

mod bench;
mod ci;
#[cfg(test)]
mod edges;
mod fuzz;
mod reference;
mod step;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test              install what the tests need (Debian, as root), then run every test
  ci                format check, lints, dependency edges, then `test` and `fuzz`
  fuzz              every parser against made-up inputs, a minute each; `fuzz [--seconds N] [TARGET…]`
  bench             load profiles against the built server and its peers; `cargo xtask bench --help`;
                    `bench traces [FILE]` compares eviction policies, FILE has lines of time,key,size;
                    `bench index [--entries N]` measures start, memory and reads of an index
  config-reference  write docs/configuration.md from the table of keys";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["test"] => test::run(),
        ["ci"] => ci::run(),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["config-reference"] => reference::run(),
        ["bench", rest @ ..] => bench::run(rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
