//! Actions that were granted the network, or ports of it: what they reach, over real connections to a server on this
//! machine, and what they do not. What such a cell can do at most is tried in `tests/security`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use harness::node::Options;
use harness::stage::Stage;
use harness::{node, tools};
use serde_json::{Value, json};

const WEB: &str = r#"
import asyncio, http.client, os, ssl, urllib.request
from callboard import action

@action("web.fetch", capabilities=["network"])
def fetch(payload: dict) -> str:
    with urllib.request.urlopen(payload["url"], timeout=20) as answer:
        return answer.read().decode()

@action("web.secure", capabilities=["network"])
def secure(payload: dict) -> str:
    context = ssl.create_default_context(cadata=payload.get("authority"))
    connection = http.client.HTTPSConnection("localhost", payload["port"], context=context, timeout=20)
    connection.request("GET", "/secure")
    return connection.getresponse().read().decode()

@action("web.stream", capabilities=["network"])
async def stream(payload: dict) -> str:
    context = ssl.create_default_context(cadata=payload["authority"]) if "authority" in payload else None
    async def one(path):
        reader, writer = await asyncio.open_connection("localhost", payload["port"], ssl=context)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        text = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return text.partition("\r\n\r\n")[2]
    return ", ".join(await asyncio.gather(*[one(f"/{number}") for number in range(3)]))

@action("web.narrow", capabilities=["network"])
def narrow(payload: dict) -> str:
    return fetch(payload)

@action("web.greedy", capabilities=["network"])
def greedy(payload: dict) -> str:
    return fetch(payload)

@action("web.closed")
def closed(payload: dict) -> str:
    return fetch(payload)

@action("web.hunt", capabilities=["network"])
def hunt(payload: dict) -> list:
    found = [sorted(os.environ)]
    for place in payload["places"] + [f"/proc/{os.getppid()}/environ", "/proc/self/environ"]:
        try:
            with open(place) as file:
                found.append(file.read())
        except PermissionError:
            pass
        # What opens a file without announcing it: only the lock stands in the way.
        try:
            ssl.create_default_context(cafile=place)
        except ssl.SSLError:
            found.append(f"opened {place}")
        except OSError:
            pass
    return found
"#;

const AUTHORITY: &str = include_str!("tls/authority.pem");

/// A web server of Python's own; ends with its owner.
struct Server {
    process: Child,
    plain: u16,
    secure: u16,
}

impl Server {
    fn start() -> Self {
        let beside = tools::repository().join("tests/it/actions");
        let mut process = Command::new(tools::python())
            .arg(beside.join("serve.py"))
            .arg(beside.join("tls/server.pem"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut line = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("its ports");
        let (plain, secure) = serde_json::from_str(&line).expect("its ports");
        Self { process, plain, secure }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn grant(action: &str, capability: &str) -> String {
    format!("[[grant]]\naction = \"{action}\"\ncapabilities = [\"{capability}\"]\n")
}

fn options() -> Options {
    let granted: String =
        ["fetch", "secure", "stream", "hunt"].map(|name| grant(&format!("web.{name}"), "network")).concat();
    Options::new().file("web.py", WEB).configured(&format!("[actions]\nmodules = [\"web.py\"]\n{granted}"))
}

fn url(port: u16) -> Value {
    json!({"url": format!("http://127.0.0.1:{port}/page")})
}

#[tokio::test]
async fn an_action_that_was_granted_the_network_speaks_http_and_tls_in_calls_and_in_streams() {
    let server = Server::start();
    let stage = Stage::with(options()).await;
    let (plain, secure) = (server.plain, server.secure);
    let streamed = "hello from /0, hello from /1, hello from /2";
    for (name, payload, expected) in [
        ("web.fetch", url(plain), "hello from /page"),
        ("web.fetch", json!({"url": format!("http://localhost:{plain}/name")}), "hello from /name"),
        ("web.secure", json!({"port": secure, "authority": AUTHORITY}), "hello from /secure"),
        ("web.stream", json!({"port": plain}), streamed),
        ("web.stream", json!({"port": secure, "authority": AUTHORITY}), streamed),
    ] {
        // A second call finds the same cell, and what the first one left in it.
        for _ in 0..2 {
            assert_eq!(stage.client.call(name, &payload).await.data(), &json!(expected), "{name} {payload}");
        }
    }
    let distrusted = stage.client.call("web.secure", &json!({"port": secure})).await;
    let exception = distrusted.details()["exception"].as_str().expect("an exception");
    assert!(exception.contains("CERTIFICATE_VERIFY_FAILED"), "{exception}");
    stage.close();
}

#[tokio::test]
async fn an_action_that_was_granted_ports_reaches_no_other() {
    let server = Server::start();
    let narrow = grant("web.narrow", &format!("network:{}", server.plain));
    let stage = Stage::with(options().configured(&narrow)).await;
    let reached = stage.client.call("web.narrow", &url(server.plain)).await;
    assert_eq!(reached.data(), &json!("hello from /page"));
    let refused = stage.client.call("web.narrow", &url(server.secure)).await;
    let exception = refused.details()["exception"].as_str().expect("an exception");
    assert!(exception.contains("callboard.Refused") && exception.contains("network:PORT"), "{exception}");
    stage.close();
}

#[tokio::test]
async fn an_action_without_the_grant_is_not_called_and_one_that_never_asked_is_told_how() {
    let server = Server::start();
    let stage = Stage::with(options()).await;
    let greedy = stage.client.call("web.greedy", &url(server.plain)).await;
    let details = json!({"reason": "capability_not_granted", "capability": "network"});
    assert_eq!((greedy.code(), greedy.details()), ("PY_ACTION_FAILED", &details));
    let closed = stage.client.call("web.closed", &url(server.plain)).await;
    let exception = closed.details()["exception"].as_str().expect("an exception");
    for word in ["Refused", "the capability network", "[[grant]] with action and capabilities"] {
        assert!(exception.contains(word), "{word:?} is not in {exception}");
    }
    stage.close();
}

#[tokio::test]
async fn an_action_with_network_finds_nothing_of_its_node() {
    const MARK: &str = "kanary-of-the-environment";
    let stage = Stage::with(options().environment("SECRET_OF_THE_NODE", MARK)).await;
    let configuration = stage.node.data().join("callboard.toml");
    let pid = stage.node.pid();
    let places =
        json!([configuration, format!("/proc/{pid}/environ"), "/proc/self/mem", "/etc/passwd", "/etc/hosts"]);
    let found = stage.client.call("web.hunt", &json!({"places": places})).await;
    let found = found.data().as_array().expect("what was found").clone();
    let environment = found.first().expect("an environment").as_array().expect("names").len();
    assert!(environment <= 1, "{found:?}");
    // The names of machines are what the lock opens.
    assert_eq!(found.get(1..), Some([json!("opened /etc/hosts")].as_slice()));
    stage.close();
}

#[test]
fn the_doctor_and_the_settings_tell_which_actions_have_the_network() {
    let place = tempfile::tempdir().expect("a folder");
    let configuration = place.path().join("callboard.toml");
    std::fs::write(place.path().join("web.py"), WEB).expect("a module");
    let text = format!(
        "[actions]\nmodules = [\"web.py\"]\n{}{}",
        grant("web.fetch", "network"),
        grant("web.narrow", "network:443,53")
    );
    std::fs::write(&configuration, text).expect("a configuration");
    let said = |words: &[&str]| {
        let mut command = node::program();
        command.args(words).arg("--config").arg(&configuration).stdin(Stdio::null());
        String::from_utf8(command.output().expect("callboard runs").stdout).expect("text")
    };
    let doctor = said(&["doctor", "--json"]);
    for action in ["web.closed,", "web.fetch (network)", "web.greedy,", "web.narrow (network:53,443)"] {
        assert!(doctor.contains(action), "{action} is not in {doctor}");
    }
    let settings: Value = serde_json::from_str(&said(&["config", "show", "--json"])).expect("JSON");
    let granted = json!([
        {"action": "web.fetch", "capabilities": ["network"]},
        {"action": "web.narrow", "capabilities": ["network:53,443"]},
    ]);
    assert_eq!(settings["grant"], granted);
}
