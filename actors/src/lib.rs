//! Callboard's node and command line. The binary only parses its arguments and calls `cli`.
//!
//! A call takes one way: subject → `bus` → `router` → actor → cell → reply. Actors (`worker`, `scripts`,
//! `supervisor`) do not know each other: they ask over the bus. ARCHITECTURE.md is the map.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod broker;
pub mod bus;
pub mod call;
pub mod config;
pub mod data;
pub mod faults;
pub mod node;
pub mod process;
pub mod repeat;
pub mod router;
pub mod scripts;
pub mod service;
pub mod slot;
pub mod store;
pub mod supervisor;
pub mod telemetry;
pub mod tls;
pub mod worker;
