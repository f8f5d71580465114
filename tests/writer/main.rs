//! A process that is killed while it writes: it prints a number once the store has answered that it is kept. `careless` is the
//! control: the same engine, answered for before it has flushed.

use std::io::Write as _;

use callboard::store::embedded::Embedded;
use callboard::store::{Batch, Store as _};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(way), Some(folder)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: store-writer careful|careless FOLDER");
        std::process::exit(2);
    };
    match way.as_str() {
        "careless" => careless(&folder),
        _ => tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(careful(&folder)),
    }
}

fn said(n: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{n}").and_then(|()| out.flush()).expect("a reader");
}

/// Several batches at once, so that they are written as groups.
async fn careful(folder: &str) {
    const AT_ONCE: u64 = 4;
    let opened = Embedded::open(folder.as_ref()).expect("a store");
    assert_eq!(opened.set_aside, None, "the store is damaged");
    let first = opened.store.generation().await.expect("a generation");
    for round in 0.. {
        let writes = (0..AT_ONCE).map(|n| {
            let mut batch = Batch::default();
            let n = first + round * AT_ONCE + n;
            batch.put(format!("n/{n:020}"), n.to_string().into_bytes());
            let written = opened.store.write(batch);
            async move {
                written.await.expect("a batch is written");
                said(n);
            }
        });
        futures_util::future::join_all(writes).await;
    }
}

fn careless(folder: &str) {
    let db = sled::Config::new().path(folder).flush_every_ms(None).open().expect("a store");
    for n in db.len() as u64.. {
        db.insert(format!("n/{n:020}"), n.to_string().into_bytes()).expect("a write");
        said(n);
    }
}
