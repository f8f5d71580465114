//! Every setting's name and what it may be: one line each. What they mean stands in `config`.

use std::path::Path;

use protocol::subject::Prefix;
use protocol::{actions, added, channels, subject};
use serde_json::Value;

/// What a setting may be.
pub(super) enum Kind {
    /// Text of a form, and how to say which.
    Text(fn(&str) -> bool, &'static str),
    /// A file or folder.
    Path,
    /// A list of files.
    Paths,
    /// A program: a path, or a name to look for on the search path.
    Program,
    /// A whole number in these limits.
    Number(u64, u64),
    /// A number from 0 to 1.
    Share,
    /// On or off.
    Switch,
    /// A list of texts of a form, and how to say which. A variable divides them by commas.
    List(fn(&str) -> bool, &'static str),
    /// Tables of a form of their own, in a file only.
    Tables(fn(&Value) -> Result<(), String>),
}

/// A setting.
pub(super) struct Setting {
    /// Section and key.
    pub(super) key: &'static str,
    /// What it may be.
    pub(super) kind: Kind,
}

const fn setting(key: &'static str, kind: Kind) -> Setting {
    Setting { key, kind }
}

/// A day: no call is meant to run longer.
const LONGEST_MS: u64 = 86_400_000;
const TIMEOUT: Kind = Kind::Number(1, LONGEST_MS);

/// Every setting but the timeouts by name.
pub(super) const ALL: &[Setting] = &[
    setting("node.name", Kind::Text(is_node_name, "1 to 64 letters, digits, - and _")),
    setting("node.roles", Kind::List(is_role, "worker, scripts")),
    setting(
        "node.prefix",
        Kind::Text(is_prefix, "at most 64 letters, digits, - and _ in tokens divided by dots"),
    ),
    setting("node.data", Kind::Path),
    setting("node.longest_timeout_ms", TIMEOUT),
    setting("node.trust_timestamps", Kind::Switch),
    setting("node.drain_ms", Kind::Number(0, 3_600_000)),
    setting("node.repeats_ms", Kind::Number(0, 3_600_000)),
    // Below what the broker's client holds for one subscription: past that, messages would be lost unanswered.
    setting("node.in_flight", Kind::Number(1, 32_768)),
    setting("node.give_up_ms", Kind::Number(100, 86_400_000)),
    setting("node.development", Kind::Switch),
    setting("nats.url", Kind::Text(is_url, "an address such as nats://127.0.0.1:4222 or tls://host")),
    setting("nats.server", Kind::Program),
    setting("nats.port", Kind::Number(0, 65_535)),
    setting("nats.inboxes", Kind::List(is_inbox, "beginnings of subjects such as my.inbox.")),
    setting("nats.credentials", Kind::Path),
    setting("nats.ca", Kind::Path),
    setting("python.path", Kind::Program),
    setting("python.extension", Kind::Path),
    setting("worker.places", Kind::Number(1, 1024)),
    setting("worker.warm", Kind::Number(1, 100_000)),
    setting("worker.memory_mb", Kind::Number(16, 1_048_576)),
    setting("worker.spares", Kind::Number(0, 64)),
    setting("worker.calls_per_cell", Kind::Number(1, 1_000_000_000)),
    setting("worker.queue", Kind::Number(1, 1_000_000)),
    setting("worker.circuit_deaths", Kind::Number(0, 1_000)),
    setting("worker.circuit_window_ms", Kind::Number(100, 3_600_000)),
    setting("worker.circuit_open_ms", Kind::Number(100, 3_600_000)),
    setting("worker.grace_ms", Kind::Number(0, 10_000)),
    setting("worker.iframe_hosts", Kind::List(is_host, "host names such as player.vimeo.com")),
    setting("scripts.folder", Kind::Path),
    setting("actions.modules", Kind::Paths),
    setting("actions.venv", Kind::Path),
    setting("actions.preload", Kind::List(is_module, "names of packages such as pydantic")),
    setting("grant", Kind::Tables(crate::config::grant::check)),
    setting("log.filter", Kind::Text(is_filter, "a filter such as info,callboard=debug")),
    setting("log.format", Kind::Text(is_format, "text or json")),
    setting(
        "telemetry.endpoint",
        Kind::Text(is_http_url, "an address such as http://127.0.0.1:4318, without a login"),
    ),
    setting("telemetry.exporter", Kind::Text(is_exporter, "otlp or none")),
    setting("telemetry.protocol", Kind::Text(is_protocol, "http/protobuf; others are not built in")),
    setting(
        "telemetry.sampler",
        Kind::Text(
            is_sampler,
            "always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off or parentbased_traceidratio",
        ),
    ),
    setting("telemetry.ratio", Kind::Share),
    setting("telemetry.timeout_ms", Kind::Number(1, 600_000)),
];

/// The setting of that name, which may be the time of an action that is added, and its name as documented; letters may be in any case, as variables have them.
pub(super) fn find(key: &str) -> Option<(String, &'static Kind)> {
    if let Some(setting) = ALL.iter().find(|setting| setting.key.eq_ignore_ascii_case(key)) {
        return Some((setting.key.to_owned(), &setting.kind));
    }
    let (section, wanted) = key.split_once('.')?;
    let wanted = subject::of_channel(wanted);
    let mut names =
        actions::ALL.iter().map(|spec| spec.name).chain(channels::ALL.iter().map(|spec| spec.name));
    // Which actions are added is known once their modules are loaded.
    let is_added =
        added::is_name(&wanted) && !added::is_own(&wanted.to_ascii_lowercase()) && !added::is_own(&wanted);
    let own = is_added.then_some(wanted.as_str());
    let name = names.find(|name| subject::of_channel(name).eq_ignore_ascii_case(&wanted)).or(own)?;
    section.eq_ignore_ascii_case("timeouts").then(|| (format!("timeouts.{name}"), &TIMEOUT))
}

impl Kind {
    /// `value` as it is meant in a file in `folder`: relative paths begin there.
    pub(super) fn beside(&self, folder: &Path, value: &Value) -> Option<Value> {
        if let (Self::Paths, Some(items)) = (self, value.as_array()) {
            return items.iter().map(|item| Self::Path.beside(folder, item)).collect();
        }
        let text = value.as_str()?;
        let is_path = match self {
            Self::Path => true,
            Self::Program => Path::new(text).components().count() > 1,
            Self::Text(..)
            | Self::Number(..)
            | Self::Share
            | Self::Switch
            | Self::List(..)
            | Self::Paths
            | Self::Tables(_) => false,
        };
        let joined = folder.join(text);
        joined.to_str().filter(|_| is_path && !text.is_empty()).map(Value::from)
    }

    /// The value that a variable's text stands for.
    pub(super) fn read(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Text(..) | Self::Path | Self::Program => Some(Value::from(text)),
            Self::Number(..) => text.parse::<u64>().ok().map(Value::from),
            Self::Share => text.parse::<f64>().ok().map(Value::from),
            Self::Switch => text.parse::<bool>().ok().map(Value::from),
            Self::Tables(_) => None,
            Self::List(..) | Self::Paths => {
                Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
            }
        };
        value.ok_or_else(|| self.expected())
    }

    /// Whether the setting may have `value`; the problem does not quote it.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        let fits = match self {
            Self::Text(fits, _) => value.as_str().is_some_and(fits),
            Self::Path | Self::Program => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::Number(least, most) => {
                value.as_u64().is_some_and(|number| (*least..=*most).contains(&number))
            }
            Self::Share => value.as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)),
            Self::Switch => value.is_boolean(),
            Self::List(fits, _) => value.as_array().is_some_and(|items| are_distinct(items, *fits)),
            Self::Paths => value.as_array().is_some_and(|items| are_distinct(items, |path| !path.is_empty())),
            Self::Tables(check) => return check(value),
        };
        if fits { Ok(()) } else { Err(self.expected()) }
    }

    fn expected(&self) -> String {
        match self {
            Self::Text(_, form) => format!("expected {form}"),
            Self::Path => "expected a path".to_owned(),
            Self::Paths => "expected a list of paths, without repeats".to_owned(),
            Self::Program => "expected a program".to_owned(),
            Self::Number(least, most) => format!("expected a whole number from {least} to {most}"),
            Self::Share => "expected a number from 0 to 1".to_owned(),
            Self::Switch => "expected true or false".to_owned(),
            Self::List(_, form) => format!("expected a list, without repeats, of {form}"),
            Self::Tables(_) => "expected tables in a configuration file".to_owned(),
        }
    }
}

fn are_distinct(items: &[Value], fits: fn(&str) -> bool) -> bool {
    let is_first = |(place, item): (usize, &Value)| !items.iter().take(place).any(|earlier| earlier == item);
    items.iter().all(|item| item.as_str().is_some_and(fits)) && items.iter().enumerate().all(is_first)
}

pub(super) fn is_node_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// `supervisor` is served by every node and cannot be chosen.
fn is_role(text: &str) -> bool {
    [actions::Role::Worker, actions::Role::Scripts].iter().any(|role| role.as_str() == text)
}

fn is_module(text: &str) -> bool {
    let is_word = |word: &str| {
        word.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    text.split('.').all(is_word)
}

fn is_prefix(text: &str) -> bool {
    Prefix::new(text).is_ok()
}

fn is_url(text: &str) -> bool {
    let text = text.strip_suffix('/').unwrap_or(text);
    let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    rest.is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && b != b',' && b != b'/')
    })
}

fn is_inbox(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('$') && Prefix::new(text.trim_end_matches('.')).is_ok()
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

fn is_filter(text: &str) -> bool {
    tracing_subscriber::EnvFilter::builder().parse(text).is_ok()
}

fn is_http_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    // Nobody would send a login that stands there; OTEL_EXPORTER_OTLP_HEADERS does.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&b);
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain)) && url::Url::parse(text).is_ok()
}

fn is_exporter(text: &str) -> bool {
    matches!(text, "otlp" | "none")
}

fn is_protocol(text: &str) -> bool {
    text == "http/protobuf"
}

fn is_sampler(text: &str) -> bool {
    let root = text.strip_prefix("parentbased_").unwrap_or(text);
    matches!(root, "always_on" | "always_off" | "traceidratio")
}

fn is_format(text: &str) -> bool {
    matches!(text, "text" | "json")
}
