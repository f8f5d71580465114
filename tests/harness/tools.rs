//! The programs that suites need, and where they are. What is missing ends the test with the line that installs it;
//! nothing is skipped.

use std::path::{Path, PathBuf};

/// The program under test.
#[must_use]
pub fn callboard() -> PathBuf {
    named("CALLBOARD_BIN").unwrap_or_else(|| beside("callboard", "make build"))
}

/// The cell's extension module.
#[must_use]
pub fn cell() -> PathBuf {
    named("CALLBOARD_CELL").unwrap_or_else(|| beside("libcallboard_cell.so", "make build"))
}

/// The broker: as named, from the search path, or from the environment that `make tools` fills.
#[must_use]
pub fn nats_server() -> PathBuf {
    let found = named("CALLBOARD_NATS_SERVER").or_else(|| on_path("nats-server"));
    found.unwrap_or_else(|| of_environment("nats-server"))
}

/// The official NATS command line.
#[must_use]
pub fn nats_cli() -> PathBuf {
    let found = named("CALLBOARD_NATS_CLI").or_else(|| on_path("nats"));
    found.unwrap_or_else(|| panic!("no NATS CLI: run `make test-real`, which builds it"))
}

/// An interpreter with the packages of `tests/requirements.txt`.
#[must_use]
pub fn python() -> PathBuf {
    of_environment("python")
}

/// The folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ has a parent").to_owned()
}

fn named(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).filter(|value| !value.is_empty())?);
    assert!(path.exists(), "{variable} names no file: {}", path.display());
    Some(path)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A file that `cargo build` puts next to the folder of the test programs.
fn beside(file: &str, advice: &str) -> PathBuf {
    let path = profile().join(file);
    assert!(path.is_file(), "no {}: run `{advice}`", path.display());
    path
}

/// A program of the private Python environment.
fn of_environment(program: &str) -> PathBuf {
    let environment = std::env::var_os("CALLBOARD_VENV")
        .map_or_else(|| profile().parent().expect("a profile has a parent").join("venv"), PathBuf::from);
    let path = environment.join("bin").join(program);
    assert!(path.exists(), "no {}: run `make tools`", path.display());
    path
}

/// `target/debug` or its like: test programs lie in its folder `deps`.
fn profile() -> PathBuf {
    let program = std::env::current_exe().expect("a program has a path");
    program.ancestors().nth(2).expect("test programs lie two folders deep").to_owned()
}
