//! The black-box suite: the real program on a real broker, and the rules that the repository keeps. One file a theme.

mod accounts;
mod actions;
mod asks;
mod batches;
#[path = "../security/canaries.rs"]
mod canaries;
mod cli;
mod clients;
mod content;
mod deadlines;
mod envelope;
#[path = "../security/forgeries.rs"]
mod forgeries;
mod fresh;
mod logins;
mod macros;
mod programs;
mod repeats;
mod scripts;
mod service;
mod site;
mod streams;
mod supervisor;
mod telemetry;
mod tidy;
#[path = "../security/traces.rs"]
mod traces;
mod transforms;
mod unlocked;
mod utility;
mod warm;
