//! A collector of OpenTelemetry: takes OTLP over HTTP and keeps the spans, or breaks in one of the ways collectors do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::wait;

/// Longest wait for spans: a batch leaves a node after five seconds at the latest.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a collector answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Well,
    /// That it is overloaded.
    Refusing,
    /// Never.
    Silent,
}

/// A collector on threads of its own, so that it also hears what a node says while a test waits for its end.
#[derive(Debug)]
pub struct Collector {
    address: String,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    requests: usize,
    bytes: Vec<u8>,
    spans: Vec<(Resource, Span)>,
}

impl Collector {
    /// One on a free port.
    ///
    /// # Panics
    /// There is no port.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let kept = Arc::<Mutex<Kept>>::default();
        let keeping = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&keeping);
                std::thread::spawn(move || serve(stream, manner, &kept));
            }
        });
        Self { address, kept }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    fn with<T>(&self, look: impl FnOnce(&Kept) -> T) -> T {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests came.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.with(|kept| kept.requests)
    }

    /// Whether `text` stands anywhere in what came.
    #[must_use]
    pub fn has_seen(&self, text: &str) -> bool {
        self.with(|kept| kept.bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.with(|kept| kept.spans.iter().map(|(_, span)| span.clone()).collect())
    }

    /// The attributes of what the spans are of.
    #[must_use]
    pub fn resource(&self) -> Vec<KeyValue> {
        self.with(|kept| kept.spans.first().map(|(resource, _)| resource.attributes.clone()))
            .unwrap_or_default()
    }

    /// Waits for a request.
    ///
    /// # Panics
    /// None comes.
    pub fn wait(&self) {
        wait::until("a request to the collector", PATIENCE, || (self.requests() > 0).then_some(()));
    }
}

/// The text or number under `key`; empty if there is none.
#[must_use]
pub fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.as_ref()) {
        Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) => text.clone(),
        Some(AnyValue { value: Some(any_value::Value::IntValue(number)) }) => number.to_string(),
        _ => String::new(),
    }
}

fn serve(stream: TcpStream, manner: Manner, kept: &Mutex<Kept>) {
    let mut stream = BufReader::new(stream);
    while let Some((path, body)) = request(&mut stream) {
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.requests += 1;
            kept.bytes.extend_from_slice(&body);
            if path == "/v1/traces" && manner == Manner::Well {
                let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
                for group in request.resource_spans {
                    let resource = group.resource.unwrap_or_default();
                    let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
                    kept.spans.extend(spans.map(|span| (resource.clone(), span)));
                }
            }
        }
        let status = match manner {
            Manner::Well => "200 OK",
            Manner::Refusing => "503 Service Unavailable",
            Manner::Silent => continue,
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// The path and the body of the next request; nothing at the end of the connection.
fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut path, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((path, body))
}
