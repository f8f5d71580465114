//! How a node lets itself in where a broker asks for more than a name: TLS, a token, credentials; and what it says where it cannot.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use harness::broker::Broker;
use harness::node::{self, Node, Options};
use harness::tools;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// What a node is started with so that it may talk to a broker, as variables of its environment.
type Terms<'a> = [(&'a str, &'a str)];

/// A node and the command line find their way to the broker at `url`.
fn works(url: &str, terms: &Terms<'_>) {
    let options = terms.iter().fold(Options::new(), |options, (key, value)| options.setting(key, value));
    let node = Node::start(url, &options);
    let mut command = node::program();
    command.args(["call", "macro.render", r#"{"script":"youtube","context":{}}"#, "--nats", url]);
    command.envs(terms.iter().map(|(key, value)| (format!("CALLBOARD_{key}"), value)));
    let output = command.output().expect("callboard starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("REQUEST_INVALID"), "the node was not reached: {said}");
    let stopped = node.stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
}

/// A node ends at once with `status`; what it says.
fn fails(url: &str, terms: &Terms<'_>, status: i32) -> String {
    let data = tempfile::tempdir().expect("a folder");
    let mut command = node::program();
    command.args(["dev", "--nats", url, "--data"]).arg(data.path());
    command.envs(terms.iter().map(|(key, value)| (format!("CALLBOARD_{key}"), value)));
    let output = command.output().expect("callboard starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

fn tls(file: &str) -> String {
    tools::repository().join("tests/it/actions/tls").join(file).display().to_string()
}

#[tokio::test]
async fn a_node_speaks_tls_and_trusts_only_whom_it_was_told_to() {
    let server = tls("server.pem");
    let settings = format!("tls {{ cert_file: \"{server}\", key_file: \"{server}\" }}\n");
    let broker = Broker::with(&settings);
    let authority = tls("authority.pem");
    tokio::task::spawn_blocking(move || {
        let url = broker.url().replace("nats://", "tls://");
        let ours = [("NATS__CA", authority.as_str())];
        works(&url, &ours);
        // A broker that wants TLS gets it whatever the address says.
        works(&broker.url(), &ours);
        let said = fails(&url, &[], 3);
        assert!(said.contains("certificate"), "{said}");
        let said = fails(&url, &[("NATS__CA", "/nowhere/ca.pem")], 1);
        assert!(said.contains("/nowhere/ca.pem") && said.contains("nats.ca"), "{said}");
    })
    .await
    .expect("no panic");
}

#[tokio::test]
async fn who_asks_for_tls_does_not_talk_to_a_broker_that_has_none() {
    let broker = Broker::start();
    let said = tokio::task::spawn_blocking(move || fails(&broker.url().replace("nats://", "tls://"), &[], 3));
    assert!(said.await.expect("no panic").contains("cannot connect to the broker"));
}

#[tokio::test]
async fn a_token_in_the_address_opens_a_broker() {
    let broker = Broker::with("authorization { token: \"s3cret token\" }\n");
    tokio::task::spawn_blocking(move || {
        let with = |token: &str| broker.url().replace("nats://", &format!("nats://{token}@"));
        works(&with("s3cret%20token"), &[]);
        let said = fails(&with("another"), &[], 4);
        assert!(!said.contains("another"), "a token in the log: {said}");
        fails(&broker.url(), &[], 4);
    })
    .await
    .expect("no panic");
}

/// A JWT of NATS, signed by `issuer` (ADR-14: its algorithm is `ed25519-nkey`).
fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let body = json!({
        "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject.public_key(),
        "name": "test", "nats": claims,
    });
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let text = format!("{head}.{}", encode(body.to_string().as_bytes()));
    let signature = encode(&issuer.sign(text.as_bytes()).expect("a signature"));
    format!("{text}.{signature}")
}

/// A broker with one account, and a user's JWT and seed for it.
fn of_operator() -> (Broker, String, String) {
    let [operator, account, user] = [KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user()];
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    let of_account = jwt(&operator, &account, &json!({"type": "account", "version": 2, "limits": limits}));
    let of_operator = jwt(&operator, &operator, &json!({"type": "operator", "version": 2}));
    let user_claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
    let settings = format!(
        "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_account} }}\n",
        account.public_key()
    );
    let seed = user.seed().expect("a seed");
    (Broker::with(&settings), jwt(&account, &user, &user_claims), seed)
}

fn credentials(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[tokio::test]
async fn credentials_open_a_broker_and_are_never_told() {
    let (broker, jwt, seed) = of_operator();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let good = file("good.creds", &credentials(&jwt, &seed));
    let other_seed = KeyPair::new_user().seed().expect("a seed");
    let stolen = file("stolen.creds", &credentials(&jwt, &other_seed));
    let none = file("none.creds", "nothing of use");
    tokio::task::spawn_blocking(move || {
        works(&broker.url(), &[("NATS__CREDENTIALS", &good)]);
        for (file, status) in [(stolen.as_str(), 4), (none.as_str(), 1), ("/nowhere/my.creds", 1)] {
            let said = fails(&broker.url(), &[("NATS__CREDENTIALS", file)], status);
            assert!(said.contains("nats.credentials"), "{said}");
            assert!(!said.contains(&other_seed) && !said.contains(&jwt), "a secret in the log: {said}");
        }
    })
    .await
    .expect("no panic");
}
