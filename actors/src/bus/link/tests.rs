//! The connection against a peer that says what no broker would, or as slowly. What a real one does is in `tests/it` and
//! `tests/faults`.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::dial::{self, Terms};
use super::{Link, Refused, To};

const INFO: &str = "INFO {\"max_payload\":8388608}\r\n";
/// Longest wait for what a test waits for.
const LIMIT: Duration = Duration::from_secs(20);

/// A peer that listens, and the terms to connect to it.
async fn listen() -> (TcpListener, Terms) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("nats://{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, Terms { address, name: "test".to_owned(), credentials: None, ca: None })
}

/// Reads until `wanted` has come, and hands back all that has.
async fn hear(stream: &mut TcpStream, wanted: &str) -> String {
    let mut heard = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&heard).contains(wanted) {
            assert_ne!(
                stream.read_buf(&mut heard).await.unwrap(),
                0,
                "the link has gone: {:?} of {wanted:?}",
                String::from_utf8_lossy(&heard)
            );
        }
    };
    tokio::time::timeout(LIMIT, read).await.expect(wanted);
    String::from_utf8_lossy(&heard).into_owned()
}

/// Lets the next connection in, as a broker does.
async fn accept(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = tokio::time::timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    stream.write_all(INFO.as_bytes()).await.unwrap();
    hear(&mut stream, "PING\r\n").await;
    stream.write_all(b"PONG\r\n").await.unwrap();
    stream
}

async fn linked() -> (TcpListener, TcpStream, Link) {
    let (listener, terms) = listen().await;
    let (stream, link) = tokio::join!(accept(&listener), Link::connect(terms));
    (listener, stream, link.unwrap_or_else(|error| panic!("{error}")))
}

#[actix_rt::test]
async fn what_comes_in_the_clear_before_tls_is_not_taken_for_what_comes_over_it() {
    let (listener, terms) = listen().await;
    let peer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let said = "INFO {\"tls_required\":true}\r\nPONG\r\nMSG a 1 2\r\nhi\r\n";
        stream.write_all(said.as_bytes()).await.unwrap();
        stream
    };
    let (_stream, connected) = tokio::join!(peer, Link::connect(terms));
    let Err(dial::Error::Io(error)) = connected else { panic!("it went on") };
    assert!(error.to_string().contains("in the clear"), "{error}");
}

#[actix_rt::test]
async fn no_subject_is_taken_for_another_or_ends_the_connection() {
    let (_listener, mut stream, link) = linked().await;
    let heard = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&heard);
    let sid = link.subscribe("a.>".to_owned(), None, move |message| {
        kept.borrow_mut().push((message.subject().to_owned(), message.reply().map(str::to_owned)));
    });
    hear(&mut stream, &format!("SUB a.> {sid}\r\n")).await;
    // The first is that of answers to requests.
    let said = format!("MSG a.\x0c1 {sid} r\x0c1 2\r\nhi\r\n");
    stream.write_all(said.as_bytes()).await.unwrap();
    stream.write_all(format!("MSG a.b {sid} ").as_bytes()).await.unwrap();
    stream.write_all(b"_INBOX.\xff 2\r\nhi\r\nPING\r\n").await.unwrap();
    hear(&mut stream, "PONG\r\n").await;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(*heard.borrow(), [("a.\x0c1".to_owned(), text("r\x0c1")), ("a.b".to_owned(), text(""))]);
}

#[actix_rt::test]
async fn what_the_broker_would_close_the_connection_over_is_not_sent() {
    let (_listener, mut stream, link) = linked().await;
    let largest = link.max_payload();
    let big = vec![b'x'; largest];
    let sent = link.publish(To::subject("a"), |block| block.put("n", "v"), &[&big]);
    assert!(matches!(sent, Err(Refused::TooLarge(size)) if size > largest), "{sent:?}");
    assert_eq!(link.publish_bare(To::subject("a b"), b""), Err(Refused::Subject));
    assert_eq!(link.publish_bare(To::subject("small"), b"1"), Ok(()));
    hear(&mut stream, "PUB small 1\r\n1\r\n").await;
}

#[actix_rt::test]
async fn a_broker_that_is_slow_is_not_taken_for_one_that_has_gone() {
    let (_listener, mut stream, link) = linked().await;
    let (message, size) = (vec![b'x'; 6 << 20], 24 << 20);
    for _ in 0..4 {
        link.publish_bare(To::subject("a"), &message).unwrap();
    }
    // Its pings stand behind all that, for much longer than a broker is given that says nothing.
    let (mut read, start, mut piece) = (0, Instant::now(), vec![0; 256 << 10]);
    let mut turn = tokio::time::interval(Duration::from_millis(20));
    while read < size {
        let more = stream.read(&mut piece).await.unwrap();
        assert_ne!(more, 0, "given up after {read} bytes and {:?}", start.elapsed());
        read += more;
        turn.tick().await;
    }
    assert!(start.elapsed() > 4 * super::drive::PING, "too fast to tell");
    assert!(link.is_connected() && link.connections() == 1);
}

#[actix_rt::test]
async fn what_waits_for_others_goes_out_though_they_never_come() {
    let (_listener, mut stream, link) = linked().await;
    let _expected: Vec<_> = (0..100).map(|_| link.upcoming().expect()).collect();
    for body in ["1", "2"] {
        link.publish_bare(To::subject("a"), body.as_bytes()).unwrap();
        hear(&mut stream, &format!("PUB a 1\r\n{body}\r\n")).await;
    }
    let flushed = tokio::join!(link.flush(), async {
        hear(&mut stream, "PING\r\n").await;
        stream.write_all(b"PONG\r\n").await.unwrap();
    });
    assert!(flushed.0);
}

/// Bytes that have come to the peer once each task has had its turns, mostly before any timer has.
async fn arrived(stream: &TcpStream) -> usize {
    let mut turns = 0;
    std::future::poll_fn(|context| {
        turns += 1;
        context.waker().wake_by_ref();
        if turns < 8 { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    rustix::net::recv(stream, &mut [0; 1_000][..], flags).map_or(0, |(_, count)| count)
}

#[actix_rt::test]
async fn what_is_said_waits_for_what_is_about_to_be_said() {
    let (_listener, mut stream, link) = linked().await;
    link.flush().now_or_never();
    hear(&mut stream, "PING\r\n").await;
    let _expected: Vec<_> = (0..100).map(|_| link.upcoming().expect()).collect();
    let mut waited = 0;
    for _ in 0..20 {
        link.publish_bare(To::subject("a"), b"1").unwrap();
        waited += usize::from(arrived(&stream).await == 0);
        hear(&mut stream, "PUB a 1\r\n1\r\n").await;
    }
    // All of them, unless the machine took a millisecond for a few turns.
    assert!(waited > 10, "{waited} of 20");
}

#[actix_rt::test]
async fn a_broker_that_says_and_takes_nothing_any_more_has_gone() {
    let (listener, _stream, link) = linked().await;
    link.publish_bare(To::subject("a"), &vec![b'x'; 8 << 20]).unwrap();
    let _next = accept(&listener).await;
    let connected = async {
        let mut turn = tokio::time::interval(Duration::from_millis(10));
        while link.connections() < 2 {
            turn.tick().await;
        }
    };
    tokio::time::timeout(LIMIT, connected).await.unwrap();
}

#[actix_rt::test]
async fn after_a_break_subscriptions_and_what_waits_go_over_the_next_connection() {
    let (listener, mut stream, link) = linked().await;
    let sid = link.subscribe("kept".to_owned(), Some("group"), |_| ());
    let ended = link.subscribe("ended".to_owned(), None, |_| ());
    hear(&mut stream, &format!("SUB ended {ended}\r\n")).await;
    link.end([ended]);
    hear(&mut stream, &format!("UNSUB {ended}\r\n")).await;
    let flushing = link.clone();
    let flushed = tokio::task::spawn_local(async move { flushing.flush().await });
    hear(&mut stream, "PING\r\n").await;
    drop(stream);
    assert!(!tokio::time::timeout(LIMIT, flushed).await.unwrap().unwrap(), "nobody has answered that");
    assert!(!link.flush().await, "there is nobody to answer");
    link.publish_bare(To::subject("waits"), b"1").unwrap();
    let (mut stream, _) = tokio::time::timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    stream.write_all(INFO.as_bytes()).await.unwrap();
    hear(&mut stream, "PING\r\n").await;
    stream.write_all(b"PONG\r\n").await.unwrap();
    let heard = hear(&mut stream, "PUB waits 1\r\n1\r\n").await;
    assert!(heard.contains(&format!("SUB kept group {sid}\r\n")) && !heard.contains("SUB ended"), "{heard}");
    assert!(heard.find("SUB kept") < heard.find("PUB waits"), "{heard}");
}

#[actix_rt::test]
async fn a_broker_that_lets_in_and_hangs_up_is_asked_less_and_less_often() {
    let (listener, stream, _link) = linked().await;
    drop(stream);
    let (start, mut times) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        drop(accept(&listener).await);
        times += 1;
    }
    // Ten pauses that double, from 1 ms on.
    assert!(times < 30, "{times} times");
}

#[actix_rt::test]
async fn nothing_goes_over_a_link_that_was_closed() {
    let (_listener, mut stream, link) = linked().await;
    let mut heard = link.hear("a".to_owned());
    link.close();
    assert_eq!(link.publish_bare(To::subject("a"), b""), Err(Refused::Closed));
    assert!(matches!(link.request("a", |_| (), b"").await, Err(Refused::Closed)));
    assert!(futures_util::StreamExt::next(&mut heard).await.is_none());
    assert!(futures_util::StreamExt::next(&mut link.hear("b".to_owned())).await.is_none());
    let mut rest = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
}
