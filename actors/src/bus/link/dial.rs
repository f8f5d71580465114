//! How a connection is made: address, INFO, TLS, who we are, and the broker's `PONG` to all of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::ServerAddr;
use base64::Engine as _;
use bytes::BytesMut;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

use super::wire::{self, Info, Operation};
use crate::bus::login;
use crate::tls::{self, RootCertStore};

/// Longest time for one address.
const LONGEST: Duration = Duration::from_secs(5);
/// Most addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;
/// Most bytes that a broker may say before it has let us in.
const MOST_BEFORE: usize = 256 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is none.
    #[error("not an address of a broker")]
    Address,
    /// Nobody answers there, or not with what a broker says.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The broker does not let us in.
    #[error("it does not let this user in: {0}")]
    Denied(String),
    /// A file that the connection needs.
    #[error(transparent)]
    Login(#[from] login::Error),
    /// It takes too long.
    #[error("no answer within {} s", LONGEST.as_secs())]
    Late,
}

impl From<wire::Broken> for Error {
    fn from(broken: wire::Broken) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, broken).into()
    }
}

/// Who connects, and whom it trusts. Its address holds secrets.
#[derive(Clone)]
pub struct Terms {
    /// The broker, with user and password or a token.
    pub address: ServerAddr,
    /// How the connection is called in the broker's lists.
    pub name: String,
    /// A file with a user's JWT and seed; read anew for each connection.
    pub credentials: Option<PathBuf>,
    /// A file with certificates of authorities; the system's are trusted if there is none.
    pub ca: Option<PathBuf>,
}

/// A connection that the broker has accepted.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) info: Info,
    /// What it has said after that.
    pub(super) input: BytesMut,
}

/// Bytes to and from a broker.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a client says of itself, secrets among it.
#[derive(Default, Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'static str,
    version: &'static str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// Connects to `server`, which is that of the terms or another one of its cluster.
///
/// # Errors
/// See [`Error`]; of the last of its addresses.
pub(super) async fn dial(terms: &Terms, server: &ServerAddr) -> Result<Connection, Error> {
    if server.is_websocket() {
        return Err(Error::Address);
    }
    let looked_up = tokio::time::timeout(LONGEST, tokio::net::lookup_host((server.host(), server.port())));
    let mut last = Error::Address;
    for address in looked_up.await.map_err(|_| Error::Late)??.take(MOST_ADDRESSES) {
        let attempt = tokio::time::timeout(LONGEST, attempt(terms, server, address));
        match attempt.await.unwrap_or(Err(Error::Late)) {
            Err(error @ (Error::Denied(_) | Error::Login(_))) => return Err(error),
            Err(error) => last = error,
            connected => return connected,
        }
    }
    Err(last)
}

async fn attempt(terms: &Terms, server: &ServerAddr, address: SocketAddr) -> Result<Connection, Error> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let (mut stream, mut input) = (Stream::Plain(tcp), BytesMut::new());
    let Operation::Info(mut info) = next(&mut stream, &mut input).await? else {
        return Err(invalid("it does not begin with INFO"));
    };
    // Whoever asks for TLS gets it from every broker of the cluster.
    let tls = terms.address.tls_required();
    if tls || info.tls_required {
        if !input.is_empty() {
            // Whatever this is, it must not be taken for what comes over TLS.
            return Err(invalid("it says more in the clear than INFO"));
        }
        stream = encrypted(stream, terms, server).await?;
        // Nobody vouches for what came before; the broker tells it again.
        info.connect_urls = None;
    }
    let connect = connect(terms, &info, tls).await?;
    let connect = serde_json::to_string(&connect).map_err(io::Error::from)?;
    stream.write_all(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).await?;
    stream.flush().await?;
    loop {
        match next(&mut stream, &mut input).await? {
            Operation::Pong => return Ok(Connection { stream, info, input }),
            Operation::Refused(text) => return Err(refused(text)),
            Operation::Info(newer) => info = newer,
            Operation::Fine | Operation::Ping | Operation::Message(_) => {}
        }
    }
}

fn invalid(why: &'static str) -> Error {
    io::Error::new(io::ErrorKind::InvalidData, why).into()
}

fn refused(text: String) -> Error {
    let lower = text.to_ascii_lowercase();
    if lower.contains("authorization") || lower.contains("authentication") {
        return Error::Denied(text);
    }
    io::Error::new(io::ErrorKind::ConnectionRefused, text).into()
}

/// The next thing that the broker says.
async fn next(stream: &mut Stream, input: &mut BytesMut) -> Result<Operation, Error> {
    loop {
        if let Some(operation) = wire::read(input)? {
            return Ok(operation);
        }
        if input.len() > MOST_BEFORE {
            return Err(invalid("it says too much"));
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

async fn encrypted(stream: Stream, terms: &Terms, server: &ServerAddr) -> Result<Stream, Error> {
    let Stream::Plain(tcp) = stream else { return Ok(stream) };
    let ca = terms.ca.clone();
    // The system's certificates are many files.
    let trusted = tokio::task::spawn_blocking(move || trusted(ca)).await.map_err(io::Error::other)??;
    let wrong = |error: tls::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let config = tls::client(trusted).map_err(wrong)?;
    // Brokers tell of each other by numbers, and their certificates have names.
    let is_number = server.host().parse::<IpAddr>().is_ok();
    let host = if is_number { terms.address.host() } else { server.host() };
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Address)?;
    Ok(Stream::Tls(Box::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)))
}

/// The certificates of `ca`, or of the system.
fn trusted(ca: Option<PathBuf>) -> Result<RootCertStore, Error> {
    let Some(file) = ca else { return Ok(tls::of_the_system()) };
    let mut trusted = RootCertStore::empty();
    let failed = |why: String| login::Error::Authority(file.clone(), why);
    let text = std::fs::read(&file).map_err(|error| failed(error.to_string()))?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    trusted.add_parsable_certificates(certificates.map_err(|error| failed(error.to_string()))?);
    if trusted.is_empty() {
        return Err(failed("no certificate in it".to_owned()).into());
    }
    Ok(trusted)
}

async fn connect<'a>(terms: &'a Terms, info: &Info, tls_required: bool) -> Result<Connect<'a>, Error> {
    let mut connect = Connect {
        tls_required,
        name: &terms.name,
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        echo: true,
        headers: true,
        no_responders: true,
        ..Connect::default()
    };
    match login::user_info(&terms.address) {
        (Some(user), Some(password)) => (connect.user, connect.pass) = (Some(user), Some(password)),
        (token, _) => connect.auth_token = token,
    }
    if let Some(file) = &terms.credentials {
        let login::Credentials { jwt, key } = login::Credentials::read(file).await?;
        let signature = key.sign(info.nonce.as_bytes()).map_err(io::Error::other)?;
        connect.jwt = Some(jwt);
        connect.sig = Some(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(signature));
    }
    Ok(connect)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
