//! The reference: a bare Rust responder that sends each request back, in a process of its own.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt as _;

/// A running echo; ends with its owner.
pub(crate) struct Echo(Child);

impl Echo {
    /// Starts one on `subject` and waits until it answers.
    pub(crate) async fn start(url: &str, subject: &str) -> Self {
        let program = std::env::current_exe().expect("a program has a path");
        let child = Command::new(program)
            .args(["echo", url, subject])
            .stdin(Stdio::null())
            .spawn()
            .expect("the echo");
        let client = async_nats::connect(url).await.expect("a connection");
        tokio::time::timeout(Duration::from_secs(10), async {
            while client.request(subject.to_owned(), "".into()).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the echo answers");
        Self(child)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Serves until the process is killed.
pub(crate) async fn serve(url: &str, subject: &str) {
    let client = async_nats::connect(url).await.expect("a connection");
    let mut requests =
        client.queue_subscribe(subject.to_owned(), "echo".to_owned()).await.expect("a subscription");
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, request.payload).await.expect("a reply");
        }
    }
}
