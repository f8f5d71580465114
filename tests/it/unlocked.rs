//! A system that refuses a layer of the lock: no worker starts on it. That each layer holds is tested where the lock is.

use harness::broker::Broker;
use harness::node::{Node, Options};
use harness::tools;

/// Becomes the program that its arguments name, in which `setsid` is not permitted: cells cannot have the layer `session`.
const NO_SESSION: &str = "
import ctypes, os, platform, struct, sys
number = {'x86_64': 112, 'aarch64': 157}[platform.machine()]
program = struct.pack('<' + 'HBBI' * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 6, 0, 0, 0x50001, 6, 0, 0, 0x7FFF0000)
filter = ctypes.create_string_buffer(program)
header = struct.pack('<HxxxxxxQ', 4, ctypes.addressof(filter))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, header) == 0
os.execv(sys.argv[1], sys.argv[1:])
";

#[test]
fn a_worker_does_not_start_where_its_cells_would_lack_a_layer_of_their_lock() {
    let broker = Broker::start();
    let python = tools::python().display().to_string();
    let options = Options::new().through([python, "-c".to_owned(), NO_SESSION.to_owned()]);
    // The harness panics with what a node has said that ends before it is ready.
    let started = std::panic::catch_unwind(|| Node::start(&broker.url(), &options));
    let said = started.expect_err("the node has become ready");
    let said = said.downcast_ref::<String>().expect("a text");
    assert!(said.contains("the node ended with exit status"), "{said}");
    assert!(said.contains("not_locked") && said.contains("session"), "{said}");
    drop(Node::start(&broker.url(), &Options::new()));
}
