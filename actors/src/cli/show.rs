//! `callboard config show`: the settings as they stand here, in the form of a configuration file.

use callboard::config::load::Entry;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::flags::Installation;
use super::{Error, out, pretty};

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every setting as it stands here.
    Show(Show),
}

/// How to show them.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Say of each where it comes from.
    #[arg(long)]
    origin: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    installation: Installation,
}

impl Show {
    /// Prints the settings.
    pub(crate) fn run(&self) -> Result<u8, Error> {
        let entries = self.installation.load()?.entries();
        if self.json {
            let text = Value::Object(entries.iter().map(|entry| self.object(entry)).collect::<Map<_, _>>())
                .to_string();
            out::data(&pretty::json(&text, out::is_read_by_a_person()))?;
        } else {
            let lines: Vec<String> = entries.iter().map(|entry| self.line(entry)).collect();
            out::data(&lines.join("\n"))?;
        }
        Ok(0)
    }

    fn object(&self, entry: &Entry) -> (String, Value) {
        let value = entry.value.clone().unwrap_or_default();
        let value =
            if self.origin { json!({"value": value, "origin": entry.origin.to_string()}) } else { value };
        (entry.key.clone(), value)
    }

    /// A line of TOML; what nobody has set is a comment.
    fn line(&self, entry: &Entry) -> String {
        let line = match &entry.value {
            // A service, of which not all is shown.
            Some(value) if value.is_object() => format!("# {} = {value}", entry.key),
            Some(value) => format!("{} = {value}", quoted(&entry.key)),
            None => format!("# {} is not set", entry.key),
        };
        if self.origin { format!("{line}  # {}", entry.origin) } else { line }
    }
}

/// A dotted key as TOML writes it; names of actions and channels need quotes.
fn quoted(key: &str) -> String {
    match key.split_once('.') {
        Some((section, name)) if name.contains(['.', ':']) => format!("{section}.\"{name}\""),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callboard::config::load;

    #[test]
    fn what_is_shown_can_be_read_back_as_a_file() {
        let flags = [
            load::Flag { key: "timeouts.script:list", name: "--flag", value: json!(5) },
            load::Flag { key: "node.name", name: "--flag", value: json!("desk") },
            load::Flag { key: "nats.inboxes", name: "--flag", value: json!(["my.inbox."]) },
        ];
        let loaded = load::merge(None, &[], &flags).unwrap();
        let installation =
            <crate::cli::Cli as clap::Parser>::parse_from(["callboard", "config", "show", "--origin"]);
        let crate::cli::Command::Config(Config::Show(show)) = installation.command else { panic!() };
        let text: Vec<String> = loaded.entries().iter().map(|entry| show.line(entry)).collect();
        let text = text.join("\n");
        assert!(text.contains("timeouts.\"script:list\" = 5  # --flag"), "{text}");
        assert!(text.contains("# worker.places is not set  # default"), "{text}");
        let file = load::File { path: std::path::Path::new("/c.toml"), text: &text };
        assert_eq!(load::merge(Some(file), &[], &[]).unwrap().config, loaded.config);
    }
}
