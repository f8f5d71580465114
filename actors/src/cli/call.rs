//! `callboard call`: one request from the command line. Streams are not asked for.

use std::io::{IsTerminal, Read};
use std::time::Duration;

use callboard::config::Config;
use clap::Args;
use protocol::envelope::{Project, RequestId};
use protocol::{Format, actions, channels, subject};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::{Client, Terms};
use super::flags::Installation;
use super::reply::Reply;
use super::{Error, out, packed, pretty};

/// What a call that nobody here knows is given, in ms.
const UNKNOWN_MS: u64 = 60_000;

/// A request.
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// An action or a channel, such as macro.render, script.list or script:list.
    subject: String,
    /// The payload, or a whole envelope; - or nothing reads standard input.
    json: Option<String>,
    /// How long it may take, in ms; else the action's own time.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    timeout: Option<u64>,
    /// The project whose scripts are meant; default if left out.
    #[arg(long, value_parser = project)]
    project: Option<Project>,
    /// Print the whole reply.
    #[arg(id = "json-reply", long = "json")]
    whole: bool,
    /// Send and receive MessagePack instead of JSON.
    #[arg(long)]
    msgpack: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Reads a project's name from the command line.
pub(crate) fn project(text: &str) -> Result<Project, &'static str> {
    Project::new(text).ok_or("expected 1 to 64 characters of a-z, 0-9 and _")
}

/// An action's envelope as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    request_id: RequestId,
    action: &'a str,
    payload: &'a RawValue,
    timestamp: String,
    timeout_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a Project>,
}

impl Call {
    /// Sends the request and prints the reply.
    pub(crate) async fn run(&self) -> Result<u8, Error> {
        let input = input(self.json.as_deref())?;
        let loaded = self.installation.load()?;
        let name = subject::of_channel(&self.subject);
        let timeout_ms = self.timeout.unwrap_or_else(|| usual_ms(&name, &loaded.config));
        let format = if self.msgpack { Format::MessagePack } else { Format::Json };
        let terms =
            Terms { format, project: self.project.clone(), timeout: Duration::from_millis(timeout_ms) };
        let body = packed::pack(self.body(&name, &input, timeout_ms)?, format)?;
        let client = Client::connect(&loaded.config).await?;
        let answer = client.request(&name, body.into(), &terms).await?;
        let text = packed::unpack(&answer, format)?;
        let outcome = Reply::read(&text)?.outcome();
        match &outcome {
            _ if self.whole => out::data(&pretty::json(&text, out::is_read_by_a_person()))?,
            Ok(data) => out::data(&pretty::json(data, out::is_read_by_a_person()))?,
            Err(_) => {}
        }
        Ok(outcome.map_or_else(|failure| failure.report(), |_| 0))
    }

    /// The body: what is an envelope already goes as it is, and so does a channel's payload, because its envelope
    /// says who asks, which the command line does not know.
    fn body(&self, name: &str, input: &RawValue, timeout_ms: u64) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Probe {
            payload: Option<serde::de::IgnoredAny>,
        }
        let is_envelope =
            serde_json::from_str::<Probe>(input.get()).is_ok_and(|probe| probe.payload.is_some());
        if is_envelope && (self.timeout.is_some() || self.project.is_some()) {
            return Err(Error::Usage(
                "the input is a whole envelope: --timeout and --project belong into it",
            ));
        }
        if is_envelope || channel(name).is_some() {
            return Ok(input.get().to_owned());
        }
        let envelope = Envelope {
            request_id: RequestId::generate(),
            action: name,
            payload: input,
            timestamp: format!("{:.3}", jiff::Timestamp::now()),
            timeout_ms,
            project: self.project.as_ref(),
        };
        serde_json::to_string(&envelope).map_err(Error::Json)
    }
}

/// JSON from the command line: `argument` itself, or standard input where it is `-` or missing. A person at a
/// terminal who gives none means an empty object.
pub(crate) fn input(argument: Option<&str>) -> Result<Box<RawValue>, Error> {
    let mut text = String::new();
    match argument {
        Some(json) if json != "-" => json.clone_into(&mut text),
        None if std::io::stdin().is_terminal() => {}
        _ => {
            std::io::stdin().read_to_string(&mut text).map_err(Error::Console)?;
        }
    }
    let text = if text.trim().is_empty() { "{}" } else { text.as_str() };
    serde_json::from_str(text).map_err(Error::Json)
}

fn channel(name: &str) -> Option<&'static channels::Spec> {
    channels::ALL.iter().find(|spec| subject::of_channel(spec.name) == name)
}

/// The time of the action or channel on the subject `name`, in ms.
pub(crate) fn usual_ms(name: &str, config: &Config) -> u64 {
    let of_channel = channel(name).map(|spec| (spec.name, spec.timeout_ms));
    let known = actions::find(name).map(|spec| (spec.name, spec.timeout_ms)).or(of_channel);
    let (name, usual) = known.unwrap_or((name, UNKNOWN_MS));
    let likely = || config.timeouts.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, ms)| ms);
    config.timeouts.get(name).or_else(likely).copied().unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    fn body(line: &[&str], json: &str) -> Result<Value, Error> {
        let cli = crate::cli::Cli::parse_from(["callboard", "call"].iter().chain(line));
        let crate::cli::Command::Call(call) = cli.command else { panic!() };
        let name = subject::of_channel(&call.subject);
        let body = call.body(&name, &input(Some(json)).unwrap(), 5)?;
        Ok(serde_json::from_str(&body).unwrap())
    }

    #[test]
    fn an_actions_payload_goes_in_an_envelope_that_the_node_accepts() {
        let body = body(&["macro.render", "--project", "p"], r#"{"script":"x"}"#).unwrap();
        let text = body.to_string();
        let request =
            protocol::envelope::Request::read(Format::Json, text.as_bytes(), "macro.render", |_| true)
                .unwrap();
        assert_eq!((request.timeout_ms, request.project.unwrap().as_str()), (Some(5), "p"));
        assert_eq!(body["payload"], json!({"script": "x"}));
    }

    #[test]
    fn a_channels_payload_and_a_whole_envelope_go_as_they_are() {
        for (subject, text) in [
            ("script:list", r#"{"kind":"macro"}"#),
            ("script.list", r#"{"kind":"macro"}"#),
            ("macro.render", r#"{"payload":{},"requestId":"1"}"#),
        ] {
            assert_eq!(body(&[subject], text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
        body(&["macro.render", "--timeout", "5"], r#"{"payload":{}}"#).unwrap_err();
    }

    #[test]
    fn a_call_is_given_the_time_of_its_action() {
        let mut config = Config::default();
        config.timeouts.insert("script:list".to_owned(), 7);
        config.timeouts.insert("MY.SLOW".to_owned(), 9);
        for (name, expected) in [
            ("macro.render", 5_000),
            ("script.list", 7),
            ("script.get", 10_000),
            ("my.own", 60_000),
            ("my.slow", 9),
        ] {
            assert_eq!(usual_ms(name, &config), expected, "{name}");
        }
    }

    #[test]
    fn input_that_is_no_json_is_a_usage_error_with_its_place() {
        let error = input(Some("{\"a\": secret}")).unwrap_err();
        assert_eq!(error.to_string(), "the input is no JSON: expected value at line 1 column 7");
        assert_eq!(error.exit_status(), 2);
        assert_eq!(input(Some(" ")).unwrap().get(), "{}");
    }
}
