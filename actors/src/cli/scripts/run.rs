//! `callboard scripts run`: a utility by hand. What it prints appears while it runs; Ctrl-C ends it where it runs.

use std::time::Duration;

use clap::Args;
use protocol::actions::Action as _;
use protocol::actions::utility_run::UtilityRun;
use protocol::envelope::{Project, RequestId, Token};
use protocol::stream::{Channel, Part};
use protocol::{Format, subject};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Asker, Error, Question, call, client, out};
use crate::cli::client::Terms;
use crate::cli::reply::Reply;

/// How long a call may take to end once it was cancelled.
const ENDS: Duration = Duration::from_secs(3);

/// Which script, with what.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The script's slug, alias or id.
    slug: String,
    /// Its input; - reads standard input.
    #[arg(long, value_name = "JSON", conflicts_with = "params")]
    input: Option<String>,
    /// An entry of its input, which is an object then. A value that is JSON is that, any other is a text; may be repeated.
    #[arg(id = "params", long = "param", value_name = "KEY=VALUE", value_parser = param)]
    params: Vec<(String, Value)>,
    /// A function other than its entrypoint.
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,
    /// How long it may run, in ms; else the action's own time.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    timeout: Option<u64>,
    #[command(flatten)]
    question: Question,
}

/// Reads `key=value`.
fn param(text: &str) -> Result<(String, Value), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() {
        return Err("expected KEY=VALUE, with a key");
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((key.to_owned(), value))
}

/// The envelope as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    request_id: &'a RequestId,
    action: &'static str,
    payload: Payload<'a>,
    timestamp: String,
    timeout_ms: u64,
    stream: bool,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a Project>,
}

/// The payload of `utility.run` as it is sent.
#[derive(Serialize)]
struct Payload<'a> {
    script: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a RawValue>,
}

/// The data of `utility.run`, the result as it came.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
    stdout: String,
    stderr: String,
    truncated: bool,
}

/// What the person has seen of what the script printed.
#[derive(Debug, Default)]
struct Shown {
    stdout: String,
    stderr: String,
    /// Whether the last line is not ended.
    open: bool,
}

impl Shown {
    /// Shows the text of a part.
    fn part(&mut self, part: &Part<'_>) {
        match part.channel {
            Channel::Stdout => self.stdout.push_str(&part.text),
            Channel::Stderr => self.stderr.push_str(&part.text),
            Channel::Content | Channel::Reasoning | Channel::Meta => return,
        }
        self.show(&part.text);
    }

    fn show(&mut self, text: &str) {
        if !text.is_empty() {
            out::talk_on(text);
            self.open = !text.ends_with('\n');
        }
    }

    /// Ends the last line, so that what follows stands in one of its own.
    fn end_line(&mut self) {
        if std::mem::take(&mut self.open) {
            self.show("\n");
        }
    }

    /// What of a text that was printed has not been shown. A part may have been lost: then it is all shown again.
    fn missing<'a>(shown: &str, whole: &'a str) -> &'a str {
        whole.strip_prefix(shown).unwrap_or(whole)
    }

    /// What of `details.output`, which is both texts one after the other, has not been shown.
    fn missing_of_both<'a>(&self, output: &'a str) -> &'a str {
        match output.strip_prefix(self.stdout.as_str()) {
            Some(rest) if self.stderr.is_empty() => rest,
            Some(rest) if rest == self.stderr => "",
            _ => output,
        }
    }
}

/// How waiting for the reply ended.
enum Ended {
    Replied(bytes::Bytes),
    /// The person did not want to wait for it.
    Left,
}

impl Run {
    pub(super) async fn run(&self) -> Result<u8, Error> {
        let asker = self.question.connect().await?;
        let mut shown = Shown::default();
        let ended = self.ask(&asker, |part| {
            if !self.question.json {
                shown.part(part);
            }
        });
        let ended = ended.await;
        shown.end_line();
        let text = match ended? {
            Ended::Replied(body) => {
                String::from_utf8(body.to_vec()).map_err(|_| client::Error::Unreadable)?
            }
            Ended::Left => return Ok(1),
        };
        if self.question.json {
            self.question.print(&text)?;
            return Ok(Reply::read(&text)?.outcome().map_or_else(|failure| failure.report(), |_| 0));
        }
        let data = match Reply::read(&text)?.outcome() {
            Ok(data) => data,
            Err(mut failure) => {
                failure.leave_of_output(|output| shown.missing_of_both(output));
                return Ok(failure.report());
            }
        };
        let data: Data<'_> = serde_json::from_str(data).map_err(|_| client::Error::Unreadable)?;
        for (seen, printed) in [(&shown.stdout, &data.stdout), (&shown.stderr, &data.stderr)] {
            let missing = Shown::missing(seen, printed);
            if !missing.is_empty() {
                out::talk(missing);
            }
        }
        if data.truncated {
            out::talk("callboard: what it printed was cut");
        }
        self.question.print(data.result.get())?;
        Ok(0)
    }

    /// Sends the call and waits for its reply; ends it where the person asks for that.
    async fn ask(&self, asker: &Asker<'_>, on_part: impl FnMut(&Part<'_>)) -> Result<Ended, Error> {
        let timeout_ms = self.timeout.unwrap_or_else(|| call::usual_ms(UtilityRun::NAME, &asker.config));
        let (id, token) = (RequestId::generate(), Token::generate());
        let body = self.envelope(asker, &id, &token, timeout_ms)?;
        let terms = Terms {
            format: Format::Json,
            project: asker.project.cloned(),
            timeout: Duration::from_millis(timeout_ms),
        };
        let mut reply =
            std::pin::pin!(asker.client.request_in_parts(UtilityRun::NAME, body.into(), &terms, on_part));
        tokio::select! {
            reply = &mut reply => return Ok(Ended::Replied(reply?)),
            pressed = tokio::signal::ctrl_c() => {
                pressed.map_err(|source| Error::System { what: "signals cannot be heard", source })?;
            }
        }
        out::talk("\ncallboard: cancelling; once more to leave it");
        let cancel = serde_json::json!({"requestId": id, "token": token.shown_to_its_caller()}).to_string();
        let name = subject::of_channel("supervisor:cancel");
        let cancel = asker.client.tell(&name, cancel.into(), &terms);
        let told = async { (cancel.await, (&mut reply).await).1 };
        tokio::select! {
            reply = tokio::time::timeout(ENDS, told) => match reply {
                Ok(reply) => Ok(Ended::Replied(reply?)),
                Err(_) => {
                    out::talk("callboard: nothing was heard of its end");
                    Ok(Ended::Left)
                }
            },
            _ = tokio::signal::ctrl_c() => Ok(Ended::Left),
        }
    }

    fn envelope(
        &self,
        asker: &Asker<'_>,
        id: &RequestId,
        token: &Token,
        timeout_ms: u64,
    ) -> Result<Vec<u8>, Error> {
        let input = self.input()?;
        let envelope = Envelope {
            request_id: id,
            action: UtilityRun::NAME,
            payload: Payload {
                script: &self.slug,
                entrypoint: self.entrypoint.as_deref(),
                input: input.as_deref(),
            },
            timestamp: format!("{:.3}", jiff::Timestamp::now()),
            timeout_ms,
            // Whoever reads the whole reply has in it what was printed.
            stream: !self.question.json,
            token: token.shown_to_its_caller(),
            project: asker.project,
        };
        serde_json::to_vec(&envelope).map_err(Error::Json)
    }

    fn input(&self) -> Result<Option<Box<RawValue>>, Error> {
        if self.params.is_empty() {
            return self.input.as_deref().map(|json| call::input(Some(json))).transpose();
        }
        let object: Map<String, Value> = self.params.iter().cloned().collect();
        serde_json::value::to_raw_value(&object).map(Some).map_err(Error::Json)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::scripts::Scripts;

    fn run(line: &[&str]) -> Result<Run, clap::Error> {
        let words = ["callboard", "scripts", "run"].iter().chain(line);
        match crate::cli::Cli::try_parse_from(words)?.command {
            crate::cli::Command::Scripts(Scripts::Run(run)) => Ok(run),
            _ => panic!("another command"),
        }
    }

    #[test]
    fn parameters_become_the_input_and_keep_their_types() {
        let line = ["a", "--param", "n=3", "--param", "t=abc", "--param", "q=\"3\"", "--param", "e=x=y"];
        let input = run(&line).unwrap().input().unwrap().unwrap();
        let input: Value = serde_json::from_str(input.get()).unwrap();
        assert_eq!(input, serde_json::json!({"n": 3, "t": "abc", "q": "3", "e": "x=y"}));
        assert!(run(&["a"]).unwrap().input().unwrap().is_none());
        for wrong in
            [&["a", "--param", "n"][..], &["a", "--param", "=3"], &["a", "--param", "n=1", "--input", "1"]]
        {
            run(wrong).unwrap_err();
        }
    }

    #[test]
    fn what_was_shown_is_not_shown_again() {
        assert_eq!(Shown::missing("one\n", "one\ntwo\n"), "two\n");
        assert_eq!(Shown::missing("lost", "one\ntwo\n"), "one\ntwo\n");
        let shown = |stdout: &str, stderr: &str| Shown {
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            open: false,
        };
        assert_eq!(shown("one\n", "").missing_of_both("one\ntwo\n"), "two\n");
        assert_eq!(shown("one\n", "err\n").missing_of_both("one\nerr\n"), "");
        assert_eq!(shown("one\n", "err\n").missing_of_both("one\ntwo\nerr\n"), "one\ntwo\nerr\n");
        assert_eq!(shown("", "").missing_of_both("one\n"), "one\n");
    }
}
