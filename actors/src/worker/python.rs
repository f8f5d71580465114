//! Finds the interpreter. `python3` may be a shim that starts another program; the zygote runs that one directly,
//! because a shim needs an environment and cells have none.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use super::zygote;
use crate::config;

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);
const QUESTION: &str = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])";

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be started.
    #[error("cannot run {0}: {1}")]
    Start(PathBuf, std::io::Error),
    /// It does not answer like an interpreter.
    #[error("{0} does not answer like a Python interpreter")]
    Answer(PathBuf),
    /// It is too old.
    #[error("{0} is Python {1}, 3.10 or newer is needed")]
    TooOld(PathBuf, String),
    /// The extension module is missing.
    #[error("the cell's extension module is missing; looked for {0}")]
    Extension(PathBuf),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn remediation(&self) -> &'static str {
        match self {
            Self::Start(..) | Self::Answer(_) | Self::TooOld(..) => {
                "install Python 3.10 or newer, or name one with --python or python.path"
            }
            Self::Extension(_) => "build it with make build, or name it with python.extension",
        }
    }
}

/// An interpreter that can host a zygote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program itself.
    pub path: PathBuf,
    /// Its version, such as `3.11.7`.
    pub version: String,
}

/// Asks the configured interpreter what it is.
///
/// # Errors
/// There is none, or it cannot be used.
pub async fn find(config: &config::Python) -> Result<Interpreter, Error> {
    let program = config.path.clone().unwrap_or_else(|| PathBuf::from("python3"));
    let started = tokio::process::Command::new(&program)
        .args(["-I", "-S", "-B", "-c", QUESTION])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(ANSWER, started).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(Error::Start(program, error)),
        Err(_) => return Err(Error::Answer(program)),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let (Some(path), Some(version)) = (lines.next(), lines.next()) else {
        return Err(Error::Answer(program));
    };
    let mut numbers = version.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (3, 10) => {}
        (Some(Ok(_)), Some(Ok(_))) => return Err(Error::TooOld(program, version.to_owned())),
        _ => return Err(Error::Answer(program)),
    }
    Ok(Interpreter { path: PathBuf::from(path), version: version.to_owned() })
}

/// What it takes to start a zygote.
///
/// # Errors
/// The interpreter or the extension module is missing.
pub async fn command(config: &config::Python) -> Result<zygote::Command, Error> {
    let interpreter = find(config).await?;
    let extension = config.extension.clone().unwrap_or_else(|| PathBuf::from("libcallboard_cell.so"));
    // The zygote's folder is another one.
    let absolute = std::path::absolute(&extension).unwrap_or_else(|_| extension.clone());
    if !absolute.is_file() {
        return Err(Error::Extension(absolute));
    }
    Ok(zygote::Command {
        python: interpreter.path,
        extension: absolute,
        reach: zygote::Reach::Closed,
        tls: false,
        packages: None,
    })
}

/// What it takes to start the zygote of actions: the interpreter of their virtual environment if one is named, and the
/// packages that are imported before it is ready.
///
/// # Errors
/// The interpreter or the extension module is missing.
pub async fn command_of_actions(
    config: &config::Python,
    actions: &config::Actions,
) -> Result<zygote::Command, Error> {
    let Some(folder) = &actions.venv else {
        return Ok(zygote::Command { tls: true, ..command(config).await? });
    };
    let own = config::Python { path: Some(folder.join("bin/python3")), ..config.clone() };
    let interpreter = find(&own).await?;
    let mut numbers = interpreter.version.split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let packages = folder.join(format!("lib/python{major}.{minor}/site-packages"));
    let command = command(&own).await?;
    Ok(zygote::Command { tls: true, packages: Some((packages, actions.preload.clone())), ..command })
}
