//! The program `callboard`: reads the command line, runs one command, and ends with its status. What the commands
//! do is in `cli`; nothing else ends the process.

#![forbid(unsafe_code)]

mod cli;

use clap::Parser;

/// Exit status of a Rust program that panics.
const PANICKED: u8 = 101;

fn main() -> std::process::ExitCode {
    let command = cli::Cli::parse().command;
    // Children are made before there are threads or a runtime: this only returns if it could not become one.
    if let cli::Command::ExecChild(child) = &command {
        return std::process::ExitCode::from(child.exec());
    }
    let status = actix_rt::System::new().block_on(async {
        // In a task of its own: what is blocked on itself is polled whenever anything happens.
        let run = actix_rt::spawn(async {
            match cli::run(command).await {
                Ok(status) => status,
                Err(error) => error.report(),
            }
        });
        run.await.unwrap_or(PANICKED)
    });
    // Leaving `main` would wait for threads that may still be busy with what was given up.
    std::process::exit(i32::from(status))
}
