//! Who may do more than compute: the `[[grant]]` tables of the configuration. What a capability loosens lives with the
//! cells; who asks for what, in scripts and actions themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use protocol::capability::{Capability, MOST_PORTS};
use protocol::envelope::Project;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One grant: to a script of a project, or to an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Whose script it is; `default` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// The slug of the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The name of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// What it may do, if it asks for it.
    pub capabilities: Vec<Capability>,
}

impl Grant {
    /// Whether it is to that script.
    #[must_use]
    pub fn is_to_script(&self, project: &str, slug: &str) -> bool {
        let own = self.project.as_ref().map_or("default", Project::as_str);
        self.script.as_deref() == Some(slug) && own == project
    }

    /// Whether it is to that action.
    #[must_use]
    pub fn is_to_action(&self, name: &str) -> bool {
        self.action.as_deref() == Some(name)
    }

    /// Whether it opens a folder.
    #[must_use]
    pub fn reads_files(&self) -> bool {
        self.capabilities.iter().any(|capability| matches!(capability, Capability::FilesRead(_)))
    }

    /// Whether it opens the network, wholly or in part.
    #[must_use]
    pub fn reaches_network(&self) -> bool {
        self.capabilities.iter().any(Capability::is_network)
    }

    fn check(&self) -> Result<(), String> {
        match (&self.script, &self.action, &self.project) {
            (Some(_), None, _) | (None, Some(_), None) => {}
            _ => return Err("expected a script, with its project, or an action".to_owned()),
        }
        if self.script.is_some() && self.reaches_network() {
            return Err("network can be granted to actions only: scripts come from users".to_owned());
        }
        self.capabilities.iter().try_for_each(|capability| match capability {
            Capability::FilesRead(folder) => is_folder(folder),
            Capability::Llm | Capability::Network | Capability::Ports(_) => Ok(()),
        })
    }
}

/// A folder is granted under the one name that it has: a link in its path could be made to lead elsewhere later.
fn is_folder(folder: &str) -> Result<(), String> {
    let place = Path::new(folder);
    let real = std::fs::canonicalize(place).map_err(|_| format!("{folder} does not exist"))?;
    match (real == place, place.is_dir()) {
        (true, true) => Ok(()),
        (true, false) => Err(format!("{folder} is no folder")),
        (false, _) => Err(format!("{folder} leads through a link to {}", real.display())),
    }
}

/// Checks all grants as the configuration has them.
///
/// # Errors
/// Which one cannot stand, and why.
pub(super) fn check(value: &Value) -> Result<(), String> {
    let Some(items) = value.as_array() else { return Err("expected [[grant]] tables".to_owned()) };
    let mut open: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for (number, item) in (1..).zip(items) {
        let grant: Grant =
            serde_json::from_value(item.clone()).map_err(|error| format!("grant {number}: {error}"))?;
        grant.check().map_err(|problem| format!("grant {number}: {problem}"))?;
        for capability in &grant.capabilities {
            let Capability::Ports(ports) = capability else { continue };
            // What an action is granted in several places comes together.
            let open = open.entry(grant.action.clone().unwrap_or_default()).or_default();
            open.extend(ports);
            if open.len() > MOST_PORTS {
                return Err(format!(
                    "grant {number}: an action has at most {MOST_PORTS} ports; network without ports opens all"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_grant_is_to_one_script_or_one_action_and_of_what_there_is() {
        let good = json!([
            {"script": "s", "capabilities": ["llm", "files:read:/proc"]},
            {"project": "p", "script": "s", "capabilities": []},
            {"action": "essay.count", "capabilities": ["llm"]},
            {"action": "essay.fetch", "capabilities": ["network"]},
            {"action": "essay.send", "capabilities": ["network:53,443"]},
        ]);
        assert_eq!(check(&good), Ok(()));
        for (grant, problem) in [
            (json!({"capabilities": ["llm"]}), "expected a script"),
            (json!({"script": "s", "action": "a.b", "capabilities": ["llm"]}), "expected a script"),
            (json!({"project": "p", "action": "a.b", "capabilities": ["llm"]}), "expected a script"),
            (json!({"script": "s"}), "missing field `capabilities`"),
            (json!({"script": "s", "capabilities": ["root"]}), "expected llm, network, network:PORT"),
            (json!({"script": "s", "capabilities": ["llm"], "more": 1}), "unknown field `more`"),
            (json!({"script": "s", "capabilities": ["network"]}), "to actions only"),
            (json!({"script": "s", "capabilities": ["network:443"]}), "to actions only"),
            (
                json!({"action": "a.b", "capabilities": ["network:http"]}),
                "expected llm, network, network:PORT",
            ),
            (json!({"project": "P!", "script": "s", "capabilities": ["llm"]}), "a-z"),
            (json!({"script": "s", "capabilities": ["files:read:/no such folder"]}), "does not exist"),
            (json!({"script": "s", "capabilities": ["files:read:/proc/self"]}), "through a link"),
            (json!({"script": "s", "capabilities": ["files:read:/proc/version"]}), "is no folder"),
        ] {
            let found = check(&json!([grant])).unwrap_err();
            assert!(found.contains(problem) && found.starts_with("grant 1: "), "{found}");
        }
        assert!(check(&json!("llm")).is_err());
    }

    #[test]
    fn an_action_has_only_so_many_ports_however_many_tables_grant_them() {
        let ports = |from: u16| (from..from + 10).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
        let grant = |action: &str, from| json!({"action": action, "capabilities": [format!("network:{}", ports(from))]});
        assert_eq!(check(&json!([grant("a.b", 1), grant("a.c", 100), grant("a.b", 1)])), Ok(()));
        let found = check(&json!([grant("a.b", 1), grant("a.b", 100)])).unwrap_err();
        assert!(found.starts_with("grant 2: an action has at most 16 ports"), "{found}");
    }

    #[test]
    fn a_grant_without_a_project_is_to_the_default_one() {
        let grant: Grant = serde_json::from_value(json!({"script": "s", "capabilities": ["llm"]})).unwrap();
        assert!(grant.is_to_script("default", "s"));
        assert!(!grant.is_to_script("other", "s") && !grant.is_to_script("default", "t"));
        assert!(!grant.is_to_action("s"));
    }
}
