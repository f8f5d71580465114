//! A broker, a node on it and a client: what most tests begin with. Each test has its own.

use crate::broker::Broker;
use crate::client::Client;
use crate::node::{Node, Options, Stopped};

/// A node with its broker, and a connection to both.
#[derive(Debug)]
pub struct Stage {
    /// A connection.
    pub client: Client,
    /// The node; ends before its broker does.
    pub node: Node,
    /// The broker.
    pub broker: Broker,
}

impl Stage {
    /// A node with the default scripts.
    pub async fn open() -> Self {
        Self::with(Options::new()).await
    }

    /// A node with the default scripts and what `options` ask for.
    pub async fn with(options: Options) -> Self {
        let broker = Broker::start();
        let node = Node::start(&broker.url(), &options);
        let client = Client::connect(&broker.url()).await;
        Self { client, node, broker }
    }

    /// Stops the node as a service manager does, and holds it to a clean end: status 0, one line on stdout, no
    /// process left.
    pub fn close(self) -> Stopped {
        let Self { client, node, broker } = self;
        let stopped = node.stop();
        assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
        assert_eq!(stopped.stdout.lines().count(), 1, "more than the line `ready`: {}", stopped.stdout);
        assert!(stopped.left.is_empty(), "left behind: {:?}", stopped.left);
        drop((client, broker));
        stopped
    }
}
