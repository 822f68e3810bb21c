//! The C library where C programs look for it, and programs built against it. Also used by the scenarios.
//!
//! Everything panics with a sentence when the world is not as the tests need it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The library, installed in a directory of its own.
pub(crate) struct Library {
    prefix: tempfile::TempDir,
}

impl Library {
    /// Installs the library that `DISTCACHE_LIBRARY` names, else what `cargo build` makes.
    pub(crate) fn install() -> Self {
        let library = std::env::var_os("DISTCACHE_LIBRARY").map_or_else(build, PathBuf::from);
        let built = library.parent().expect("a file lies in a directory");
        let prefix = tempfile::tempdir().expect("a temporary directory");
        let mut make = Command::new("make");
        make.args(["--silent", "--no-print-directory", "install"])
            .current_dir(workspace().join("crates/distcache-capi"))
            .arg(format!("PREFIX={}", prefix.path().display()))
            .arg(format!("BUILT={}", built.display()));
        run(&mut make);
        Self { prefix }
    }

    /// Where it was installed.
    pub(crate) fn prefix(&self) -> &Path {
        self.prefix.path()
    }

    /// Compiles a C program against the library as its users do; further libraries by name.
    pub(crate) fn compile(&self, source: &Path, libraries: &[&str]) -> PathBuf {
        let program = self.prefix().join(source.file_stem().expect("a source has a name"));
        let lib = self.prefix().join("lib");
        let mut cc = Command::new("cc");
        cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"])
            .arg(&program)
            .arg(source)
            .arg(format!("-I{}", self.prefix().join("include").display()))
            .arg(format!("-L{}", lib.display()))
            .args(["-ldistcache", "-lnal"])
            .args(libraries.iter().map(|library| format!("-l{library}")))
            .arg(format!("-Wl,-rpath,{}", lib.display()));
        run(&mut cc);
        program
    }
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask test`"));
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}

/// The workspace's root.
pub(crate) fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_root = |directory: &&Path| directory.join("Cargo.lock").is_file();
    here.ancestors().find(is_root).expect("the crate lies in its workspace").to_owned()
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--quiet", "--package", "distcache-capi", "--message-format", "json"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the C library does not build; see above");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .find(|name| name.ends_with("libdistcache.so"))
        .expect("cargo names the library")
}
