//! How the node and the command line let themselves in: user and password of the address, a credentials file, the
//! certificates to trust.

use std::path::{Path, PathBuf};

use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr};
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;

use crate::config;

/// Largest credentials file, in bytes.
const LARGEST: u64 = 256 << 10;

/// Why there is nothing to let oneself in with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials file cannot be used.
    #[error("cannot use the credentials file {0}: {1}")]
    Credentials(PathBuf, std::io::Error),
    /// The certificates of authorities cannot be used.
    #[error("cannot use the certificates in {0}: {1}")]
    Authority(PathBuf, String),
}

/// What a credentials file holds: <https://docs.nats.io/using-nats/developer/connecting/creds>.
pub(super) struct Credentials {
    /// What an account says of its user.
    pub(super) jwt: String,
    /// The user's key.
    pub(super) key: KeyPair,
}

impl Credentials {
    /// Reads a file.
    pub(super) async fn read(file: &Path) -> Result<Self, Error> {
        let failed = |error| Error::Credentials(file.to_owned(), error);
        let size = tokio::fs::metadata(file).await.map_err(failed)?.len();
        if size > LARGEST {
            return Err(failed(std::io::Error::other("too large for a file with a JWT and a seed")));
        }
        let text = tokio::fs::read_to_string(file).await.map_err(failed)?;
        Self::parse(&text).map_err(|why| failed(std::io::Error::other(why)))
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let jwt = between(text, "USER JWT").ok_or("no user's JWT in it")?.to_owned();
        let seed = between(text, "USER NKEY SEED").ok_or("no user's seed in it")?;
        let key = KeyPair::from_seed(seed).map_err(|_| "its seed is none")?;
        Ok(Self { jwt, key })
    }
}

/// The line below `-----BEGIN … what-----`.
fn between<'a>(text: &'a str, what: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| {
        let title = line.trim_matches('-');
        line.starts_with("---") && title.starts_with("BEGIN ") && title.ends_with(what)
    })?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("---"))
}

/// Options that let the client library in at `url`.
///
/// # Errors
/// A file that is named cannot be used.
pub async fn options(nats: &config::Nats, url: &str) -> Result<ConnectOptions, Error> {
    let mut options = ConnectOptions::new();
    // The client reads user and password from an address but does not send them.
    let (user, password) = url.parse().map_or((None, None), |address| user_info(&address));
    match (user, password) {
        (Some(user), Some(password)) => options = options.user_and_password(user, password),
        (Some(token), None) => options = options.token(token),
        (None, _) => {}
    }
    if let Some(file) = &nats.credentials {
        let failed = |error| Error::Credentials(file.clone(), error);
        options = options.credentials_file(file).await.map_err(failed)?;
    }
    if let Some(file) = &nats.ca {
        options = options.add_root_certificates(file.clone());
    }
    Ok(options)
}

/// User and password of an address; a user without a password is a token.
pub(super) fn user_info(address: &ServerAddr) -> (Option<String>, Option<String>) {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    (address.username().map(decode), address.password().map(decode))
}

/// Whether a broker is there but does not let us in.
#[must_use]
pub fn is_denied(error: &async_nats::ConnectError) -> bool {
    matches!(error.kind(), ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_those_of_the_address() {
        let info = |url: &str| user_info(&url.parse().unwrap());
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(info("nats://me:p%40ss@host:4222"), (text("me"), text("p@ss")));
        assert_eq!(info("nats://token@host"), (text("token"), None));
        assert_eq!(info("nats://host:4222"), (None, None));
    }

    #[test]
    fn a_credentials_file_holds_a_jwt_and_a_seed() {
        let seed = KeyPair::new_user().seed().unwrap();
        let file = |jwt: &str, seed: &str| {
            format!(
                "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\nKeep it secret.\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            )
        };
        let read = Credentials::parse(&file("a.b.c", &seed)).unwrap();
        assert_eq!((read.jwt.as_str(), read.key.seed().unwrap()), ("a.b.c", seed.clone()));
        let windows = file("a.b.c", &seed).replace('\n', "\r\n");
        assert_eq!(Credentials::parse(&windows).unwrap().jwt, "a.b.c");
        for broken in [String::new(), file("", &seed), file("a.b.c", ""), file("a.b.c", "SUNONE")] {
            assert!(Credentials::parse(&broken).is_err(), "{broken}");
        }
    }
}
