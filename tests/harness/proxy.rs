//! A way to the broker that can be broken: connections through it are cut, in the middle of what they carry, or held so
//! that nothing passes though both ends stay open.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A proxy in front of one broker; ends with its owner.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    connections: Vec<TcpStream>,
    made: usize,
    held: bool,
    closed: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while nothing may pass.
    fn pass(&self) {
        let state = self.state();
        drop(self.changed.wait_while(state, |state| state.held && !state.closed));
    }
}

impl Proxy {
    /// A proxy in front of the broker that listens on `port` of 127.0.0.1.
    #[must_use]
    pub fn before(broker: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for here in listener.incoming().map_while(Result::ok) {
                if accepting.state().closed {
                    return;
                }
                // While the broker is away, whoever comes is hung up on.
                if let Ok(there) = TcpStream::connect(("127.0.0.1", broker)) {
                    carry(&accepting, &here, &there);
                }
            }
        });
        Self { shared, port }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// How many connections were made through it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.state().made
    }

    /// Cuts every connection through it; new ones may be made. How many were cut.
    pub fn cut(&self) -> usize {
        let cut = std::mem::take(&mut self.shared.state().connections);
        // Each has two ends.
        for end in &cut {
            let _gone_already = end.shutdown(Shutdown::Both);
        }
        cut.len() / 2
    }

    /// Lets nothing pass until [`Proxy::release`]; nobody is told.
    pub fn hold(&self) {
        self.shared.state().held = true;
    }

    /// Lets all pass that was held.
    pub fn release(&self) {
        self.shared.state().held = false;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.changed.notify_all();
        self.cut();
        // Wakes the thread that accepts, so that it ends.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn carry(shared: &Arc<Shared>, here: &TcpStream, there: &TcpStream) {
    let handle = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    let mut state = shared.state();
    state.made += 1;
    state.connections.extend([handle(here), handle(there)]);
    drop(state);
    for (from, to) in [(handle(here), handle(there)), (handle(there), handle(here))] {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || copy(&shared, from, to));
    }
}

fn copy(shared: &Shared, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        shared.pass();
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _gone_already = to.shutdown(Shutdown::Both);
    let _gone_already = from.shutdown(Shutdown::Both);
}
