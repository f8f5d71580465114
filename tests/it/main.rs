//! The black-box suite: the real program on a real broker, and the rules that the repository keeps. One file a theme.

mod accounts;
mod asks;
mod batches;
mod cli;
mod clients;
mod content;
mod deadlines;
mod envelope;
mod fresh;
mod macros;
mod scripts;
mod service;
mod tidy;
mod utility;
