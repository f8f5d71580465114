//! What the suites stand on: a real broker, the real program, and ways to speak to it that are not its own code.
//!
//! Nothing here replaces a part of Callboard, and nothing here asserts what Callboard should do; that is in the suites.

pub mod broker;
pub mod client;
pub mod collector;
pub mod figures;
pub mod model;
pub mod node;
pub mod processes;
pub mod proxy;
pub mod script;
pub mod site;
pub mod stage;
pub mod swapper;
pub mod tools;
pub mod wait;
pub mod wire;
