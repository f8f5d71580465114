//! How a connection is made: address, INFO, TLS, who we are, and the broker's `PONG` to all of it.

use std::io;
use std::path::{Path, PathBuf};
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
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::wire::{self, Info, Operation};
use crate::bus::login;

/// Longest time for one attempt.
const LONGEST: Duration = Duration::from_secs(5);
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

/// Who connects, and whom it trusts.
#[derive(Debug, Clone)]
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

/// What a client says of itself.
#[derive(Debug, Default, Serialize)]
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
/// See [`Error`].
pub(super) async fn dial(terms: &Terms, server: &ServerAddr) -> Result<Connection, Error> {
    tokio::time::timeout(LONGEST, attempt(terms, server)).await.unwrap_or(Err(Error::Late))
}

async fn attempt(terms: &Terms, server: &ServerAddr) -> Result<Connection, Error> {
    let tcp = TcpStream::connect((server.host(), server.port())).await?;
    tcp.set_nodelay(true)?;
    let (mut stream, mut input) = (Stream::Plain(tcp), BytesMut::new());
    let Operation::Info(info) = next(&mut stream, &mut input).await? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it does not begin with INFO").into());
    };
    // Whoever asks for TLS gets it from every broker of the cluster.
    let tls = terms.address.tls_required();
    if tls || info.tls_required {
        stream = encrypted(stream, terms.ca.as_deref(), server.host()).await?;
    }
    let connect = connect(terms, &info, tls).await?;
    let connect = serde_json::to_string(&connect).map_err(io::Error::from)?;
    stream.write_all(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).await?;
    stream.flush().await?;
    loop {
        match next(&mut stream, &mut input).await? {
            Operation::Pong => return Ok(Connection { stream, info, input }),
            Operation::Refused(text) => return Err(refused(text)),
            Operation::Info(_) | Operation::Fine | Operation::Ping | Operation::Message(_) => {}
        }
    }
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
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it says too much").into());
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

async fn encrypted(stream: Stream, ca: Option<&Path>, host: &str) -> Result<Stream, Error> {
    let Stream::Plain(tcp) = stream else { return Ok(stream) };
    let mut trusted = RootCertStore::empty();
    match ca {
        Some(file) => {
            let failed = |error: tokio_rustls::rustls::pki_types::pem::Error| {
                login::Error::Authority(file.to_owned(), error.to_string())
            };
            let text = tokio::fs::read(file).await;
            let text = text.map_err(|error| login::Error::Authority(file.to_owned(), error.to_string()))?;
            let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
            trusted.add_parsable_certificates(certificates.map_err(failed)?);
        }
        None => {
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let invalid = |error: tokio_rustls::rustls::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(invalid)?.with_root_certificates(trusted).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Error::Address)?;
    Ok(Stream::Tls(Box::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)))
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
