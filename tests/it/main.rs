//! The black-box suite: the real program on a real broker, and the rules that the repository keeps. One file a theme.

mod accounts;
mod batches;
mod cli;
mod clients;
mod content;
mod deadlines;
mod envelope;
mod macros;
mod programs;
mod repeats;
mod scripts;
mod service;
mod supervisor;
mod tidy;
mod utility;
