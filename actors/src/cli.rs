//! The command line: which commands there are and what they are told. Each does its work in a module of its own;
//! data goes to standard output, talk to standard error, and the exit status tells the class of a failure.

mod call;
mod client;
mod completions;
mod demo;
mod doctor;
mod error;
mod flags;
mod out;
mod packed;
mod pretty;
mod reply;
mod scripts;
mod serve;
mod show;
mod status;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use error::Error;

/// Runs an application's Python behind a NATS broker.
#[derive(Debug, Parser)]
#[command(
    name = "callboard",
    version,
    disable_help_subcommand = true,
    after_help = "Exit status: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 denied, 5 not found, 6 timeout.\n\
                  Settings: file (--config or CALLBOARD_CONFIG) < CALLBOARD_SECTION__KEY < flags."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything on this machine: a broker if none is named, and a node with all roles.
    Dev(serve::Dev),
    /// Start a node with some roles on a broker that runs already.
    Node(serve::Node),
    /// Send one request and print the data of its reply.
    Call(call::Call),
    /// Render a page through the default macros on a node of its own, and say what it took.
    Demo(demo::Demo),
    /// Look whether this machine has what a node needs.
    Doctor(doctor::Doctor),
    /// Ask all nodes how they are.
    Status(status::Status),
    /// List, edit, check, run and sync scripts.
    #[command(subcommand)]
    Scripts(scripts::Scripts),
    /// Show the settings.
    #[command(subcommand)]
    Config(show::Config),
    /// Print a script that completes commands and flags for a shell.
    Completions(completions::Completions),
    /// Become a program that ends with its parent.
    #[command(name = callboard::process::EXEC_CHILD, hide = true)]
    ExecChild(ExecChild),
}

/// A program to become.
#[derive(Debug, Args)]
pub(crate) struct ExecChild {
    #[arg(long)]
    parent: u32,
    #[arg(long)]
    kill: bool,
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

impl ExecChild {
    /// Becomes the program; the exit status if that fails.
    pub(crate) fn exec(&self) -> u8 {
        let Some((program, arguments)) = self.program.split_first() else { return 2 };
        let error = callboard::process::exec(self.parent, self.kill, &PathBuf::from(program), arguments);
        out::talk(&format!("callboard: {}: {error}", program.display()));
        1
    }
}

/// Runs `command`.
///
/// # Errors
/// What went wrong, which knows its exit status.
pub(crate) async fn run(command: Command) -> Result<u8, Error> {
    match command {
        Command::Dev(dev) => dev.run().await,
        Command::Node(node) => node.run().await,
        Command::Call(call) => call.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Status(status) => status.run().await,
        Command::Scripts(scripts) => scripts.run().await,
        Command::Config(show::Config::Show(show)) => show.run(),
        Command::Completions(completions) => completions.run(),
        // `main` has taken it already.
        Command::ExecChild(child) => Ok(child.exec()),
    }
}

#[cfg(test)]
mod tests;
