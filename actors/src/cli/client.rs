//! The commands' own connection to a broker: short-lived, without reconnecting, with an answer or an error soon.
//! Nodes have theirs in `bus`.

use std::time::{Duration, SystemTime};

use async_nats::client::RequestErrorKind;
use async_nats::{HeaderMap, Message, StatusCode};
use bytes::Bytes;
use callboard::bus::login;
use callboard::config::without_login;
use callboard::{broker, config};
use futures_util::StreamExt;
use protocol::Format;
use protocol::envelope::{DEADLINE, PROJECT, Project};
use protocol::format::CONTENT_TYPE;
use protocol::stream::Part;
use protocol::subject::Prefix;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How much longer than its time a call's answer may be on its way.
const GRACE: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no broker answers at {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error("the broker at {url} does not let us in")]
    Denied { url: String },
    #[error("nobody serves {subject} on {url}")]
    NobodyServes { subject: String, url: String },
    #[error("{subject} did not answer within {waited_ms} ms")]
    Late { subject: String, waited_ms: u128 },
    #[error("{0} is not a subject")]
    Subject(String),
    #[error("the request is larger than the broker allows")]
    TooLarge,
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("the answer is not an envelope of Callboard")]
    Unreadable,
}

impl Error {
    /// What to do about it.
    pub(crate) fn remediation(&self) -> Option<String> {
        let text = match self {
            Self::Unreachable { .. } => "start one (callboard dev), or name one with --nats or NATS_URL",
            Self::Denied { .. } => {
                "name credentials with the setting nats.credentials, or log in through the address"
            }
            Self::NobodyServes { .. } => "is a node running? (callboard dev)",
            Self::Late { .. } => "give it more time with --timeout, or look at callboard status",
            Self::TooLarge => "raise max_payload in the broker's configuration",
            Self::Subject(_) | Self::Lost(_) | Self::Unreadable => return None,
        };
        Some(text.to_owned())
    }
}

/// What goes along with a request.
#[derive(Debug)]
pub(crate) struct Terms {
    /// How the body is written.
    pub(crate) format: Format,
    /// The isolation boundary.
    pub(crate) project: Option<Project>,
    /// How long the call may take.
    pub(crate) timeout: Duration,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    nats: async_nats::Client,
    prefix: Prefix,
    url: String,
}

impl Client {
    /// Connects to the broker of these settings.
    ///
    /// # Errors
    /// There is none, or it does not let us in.
    pub(crate) async fn connect(config: &config::Config) -> Result<Self, Error> {
        let url = url(&config.nats);
        let shown = without_login(&url);
        let unreachable = |why: String| Error::Unreachable { url: shown.clone(), why };
        let options =
            login::options(&config.nats, &url).await.map_err(|error| unreachable(error.to_string()))?;
        let options = options
            .name("callboard command line")
            .connection_timeout(CONNECT)
            .request_timeout(None)
            .max_reconnects(1);
        // The client's own limit does not cover the look-up of a name.
        let connected = tokio::time::timeout(CONNECT + GRACE, options.connect(url.as_str())).await;
        let nats = match connected {
            Err(_elapsed) => return Err(unreachable("timed out".to_owned())),
            Ok(Ok(nats)) => nats,
            Ok(Err(error)) if login::is_denied(&error) => return Err(Error::Denied { url: shown }),
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
        };
        let prefix = Prefix::new(&config.node.prefix).unwrap_or_default();
        Ok(Self { nats, prefix, url: shown })
    }

    /// Where it is connected, without who logs in.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request to the subject that bears `name`, and waits for the one answer.
    ///
    /// # Errors
    /// Nobody serves it, or no answer came in time.
    pub(crate) async fn request(&self, name: &str, body: Bytes, terms: &Terms) -> Result<Bytes, Error> {
        let subject = self.prefix.subject(name);
        let wait = terms.timeout + GRACE;
        let request = async_nats::Request::new().payload(body).headers(headers(terms)).timeout(None);
        let asked = tokio::time::timeout(wait, self.nats.send_request(subject.clone(), request)).await;
        let Ok(answer) = asked else {
            return Err(Error::Late { subject, waited_ms: terms.timeout.as_millis() });
        };
        answer.map(|message| message.payload).map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => Error::NobodyServes { subject, url: self.url.clone() },
            RequestErrorKind::TimedOut => Error::Late { subject, waited_ms: terms.timeout.as_millis() },
            RequestErrorKind::InvalidSubject => Error::Subject(subject),
            RequestErrorKind::MaxPayloadExceeded => Error::TooLarge,
            RequestErrorKind::Other => Error::Lost(error.to_string()),
        })
    }

    /// Sends a request to the subject that bears `name`, shows each part of the answer, and waits for the terminal reply.
    ///
    /// # Errors
    /// Nobody serves it, or no answer came in time.
    pub(crate) async fn request_in_parts(
        &self,
        name: &str,
        body: Bytes,
        terms: &Terms,
        mut on_part: impl FnMut(&Part<'_>),
    ) -> Result<Bytes, Error> {
        let subject = self.prefix.subject(name);
        let lost = |error: &dyn std::fmt::Display| Error::Lost(error.to_string());
        let inbox = self.nats.new_inbox();
        let mut answers = self.nats.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
        let sent = self.nats.publish_with_reply_and_headers(subject.clone(), inbox, headers(terms), body);
        sent.await.map_err(|error| lost(&error))?;
        let end = tokio::time::Instant::now() + terms.timeout + GRACE;
        loop {
            let answer = tokio::time::timeout_at(end, answers.next()).await;
            let Ok(answer) = answer else {
                return Err(Error::Late { subject, waited_ms: terms.timeout.as_millis() });
            };
            let Some(Message { payload, status, .. }) = answer else {
                return Err(Error::Lost("the subscription ended".to_owned()));
            };
            if status == Some(StatusCode::NO_RESPONDERS) {
                return Err(Error::NobodyServes { subject, url: self.url.clone() });
            }
            match serde_json::from_slice::<Part<'_>>(&payload) {
                Ok(part) => on_part(&part),
                Err(_) => return Ok(payload),
            }
        }
    }

    /// Sends a request to the subject that bears `name`, of which no answer is waited for.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) async fn tell(&self, name: &str, body: Bytes, terms: &Terms) -> Result<(), Error> {
        let (subject, inbox) = (self.prefix.subject(name), self.nats.new_inbox());
        let sent = self.nats.publish_with_reply_and_headers(subject, inbox, headers(terms), body);
        sent.await.map_err(|error| Error::Lost(error.to_string()))
    }

    /// Sends a request to the subject that bears `name`, and takes all answers that come within `window`.
    ///
    /// # Errors
    /// Nobody serves it.
    pub(crate) async fn gather(
        &self,
        name: &str,
        body: Bytes,
        window: Duration,
    ) -> Result<Vec<Bytes>, Error> {
        let subject = self.prefix.subject(name);
        let lost = |error: &dyn std::fmt::Display| Error::Lost(error.to_string());
        let inbox = self.nats.new_inbox();
        let mut answers = self.nats.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
        let sent = self.nats.publish_with_reply(subject.clone(), inbox, body).await;
        sent.map_err(|error| lost(&error))?;
        self.nats.flush().await.map_err(|error| lost(&error))?;
        let end = tokio::time::Instant::now() + window;
        let mut taken = Vec::new();
        while let Ok(Some(Message { payload, status, .. })) =
            tokio::time::timeout_at(end, answers.next()).await
        {
            if status == Some(StatusCode::NO_RESPONDERS) {
                return Err(Error::NobodyServes { subject, url: self.url.clone() });
            }
            taken.push(payload);
        }
        Ok(taken)
    }
}

fn headers(terms: &Terms) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let deadline = SystemTime::now() + terms.timeout;
    let deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    headers.insert(DEADLINE, deadline.as_millis().to_string());
    headers.insert(CONTENT_TYPE, terms.format.content_type());
    if let Some(project) = &terms.project {
        headers.insert(PROJECT, project.as_str());
    }
    headers
}

/// The broker's address; where none is named, that of the broker that `callboard dev` starts.
fn url(nats: &config::Nats) -> String {
    let local = || format!("nats://127.0.0.1:{}", nats.port.unwrap_or(broker::DEFAULT_PORT));
    nats.url.clone().unwrap_or_else(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_address_the_broker_of_dev_is_meant() {
        let mut nats = config::Nats::default();
        assert_eq!(url(&nats), "nats://127.0.0.1:4222");
        nats.port = Some(5000);
        assert_eq!(url(&nats), "nats://127.0.0.1:5000");
        nats.url = Some("nats://elsewhere".to_owned());
        assert_eq!(url(&nats), "nats://elsewhere");
    }
}
