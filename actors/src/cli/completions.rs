//! `callboard completions`: scripts for shells, made from the command line's own definition.

use clap::{Args, CommandFactory};

use super::{Cli, Error, out};

/// Which shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// bash, elvish, fish, powershell or zsh.
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints the script.
    pub(crate) fn run(&self) -> Result<u8, Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "callboard", &mut script);
        out::data(&String::from_utf8_lossy(&script))?;
        Ok(0)
    }
}
