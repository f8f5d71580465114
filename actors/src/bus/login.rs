//! How the node and the command line let themselves in: user and password of the address, a credentials file, the
//! certificates to trust.

use std::path::PathBuf;

use async_nats::{ConnectErrorKind, ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;

use crate::config;

/// Why there is nothing to let oneself in with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials file cannot be used.
    #[error("cannot use the credentials file {0}: {1}")]
    Credentials(PathBuf, std::io::Error),
}

/// Options that let us in at `url`.
///
/// # Errors
/// A file that is named cannot be used.
pub async fn options(nats: &config::Nats, url: &str) -> Result<ConnectOptions, Error> {
    let mut options = ConnectOptions::new();
    // The client reads user and password from an address but does not send them.
    let (user, password) = user_info(url);
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
fn user_info(url: &str) -> (Option<String>, Option<String>) {
    let Ok(address) = url.parse::<ServerAddr>() else { return (None, None) };
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
        let info = |url: &str| user_info(url);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(info("nats://me:p%40ss@host:4222"), (text("me"), text("p@ss")));
        assert_eq!(info("nats://token@host"), (text("token"), None));
        assert_eq!(info("nats://host:4222"), (None, None));
    }
}
