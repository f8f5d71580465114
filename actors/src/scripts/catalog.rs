//! What is in the folder, in memory: scripts by project, found by slug, id or alias. How files become scripts is in
//! `folder` and `file`.

use std::collections::{BTreeMap, HashMap};

use protocol::actions::script_fetch::Script;
use protocol::channels::script_list::FileError;
use serde::{Deserialize, Serialize};

/// What one reading of the folder found.
#[derive(Debug, Default)]
pub struct Found {
    /// Every file that is a script.
    pub scripts: Vec<Script>,
    /// Every file that is none, by project.
    pub errors: Vec<(String, FileError)>,
}

/// What happened to a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Created,
    /// Its body or metadata are others.
    Changed,
    /// It has another slug.
    Renamed,
    /// Its file has gone.
    Deleted,
}

/// The event `script.changed`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Whose script.
    pub project: String,
    /// Its id.
    pub id: protocol::Id,
    /// Its slug, after the change.
    pub slug: String,
    /// Its version, after the change.
    pub version: u64,
    /// SHA-256 of its body, after the change.
    pub content_hash: String,
    /// What happened.
    pub change: Change,
}

/// Every script of every project.
#[derive(Debug, Default)]
pub struct Catalog {
    projects: HashMap<String, Project>,
}

#[derive(Debug, Default)]
struct Project {
    by_slug: BTreeMap<String, Script>,
    errors: Vec<FileError>,
}

impl Catalog {
    /// Takes what was found in place of what was known; says what is different.
    pub fn replace(&mut self, found: Found) -> Vec<Changed> {
        let mut projects: HashMap<String, Project> = HashMap::new();
        for script in found.scripts {
            let project = projects.entry(script.record.project.clone()).or_default();
            project.by_slug.insert(script.record.slug.clone(), script);
        }
        for (project, error) in found.errors {
            projects.entry(project).or_default().errors.push(error);
        }
        let before = std::mem::replace(&mut self.projects, projects);
        self.changes_since(&before)
    }

    fn changes_since(&self, before: &HashMap<String, Project>) -> Vec<Changed> {
        let index = |projects: &HashMap<String, Project>| {
            let scripts = projects.values().flat_map(|project| project.by_slug.values().cloned());
            scripts
                .map(|script| ((script.record.project.clone(), script.record.id), script))
                .collect::<HashMap<_, _>>()
        };
        let (old, new) = (index(before), index(&self.projects));
        let mut changes = Vec::new();
        for (key, script) in &new {
            match old.get(key) {
                None => changes.push(changed(script, Change::Created)),
                Some(was) if was.record.slug != script.record.slug => {
                    changes.push(changed(script, Change::Renamed))
                }
                Some(was) if was != script => changes.push(changed(script, Change::Changed)),
                Some(_) => {}
            }
        }
        let gone = old.iter().filter(|(key, _)| !new.contains_key(key));
        changes.extend(gone.map(|(_, script)| changed(script, Change::Deleted)));
        changes.sort_by(|a, b| (&a.project, &a.slug).cmp(&(&b.project, &b.slug)));
        changes
    }

    /// The script that bears `name` in `project`: as its slug, else its id, else as an alias of the first such script.
    #[must_use]
    pub fn find(&self, project: &str, name: &str) -> Option<&Script> {
        let scripts = &self.projects.get(project)?.by_slug;
        scripts
            .get(name)
            .or_else(|| {
                let id = protocol::Id::new(name)?;
                scripts.values().find(|script| script.record.id == id)
            })
            .or_else(|| {
                scripts.values().find(|script| script.record.aliases.iter().any(|alias| alias == name))
            })
    }

    /// The scripts of a project, by slug.
    pub fn scripts(&self, project: &str) -> impl Iterator<Item = &Script> {
        self.projects.get(project).into_iter().flat_map(|project| project.by_slug.values())
    }

    /// The files of a project that are no scripts.
    #[must_use]
    pub fn errors(&self, project: &str) -> Vec<FileError> {
        self.projects.get(project).map(|project| project.errors.clone()).unwrap_or_default()
    }
}

fn changed(script: &Script, change: Change) -> Changed {
    let record = &script.record;
    Changed {
        project: record.project.clone(),
        id: record.id,
        slug: record.slug.clone(),
        version: record.version,
        content_hash: record.content_hash.clone(),
        change,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::file;

    fn script(slug: &str, text: &str) -> Script {
        file::script("default", slug, text)
    }

    fn found(scripts: Vec<Script>) -> Found {
        Found { scripts, errors: Vec::new() }
    }

    fn changes(catalog: &mut Catalog, scripts: Vec<Script>) -> Vec<(String, Change)> {
        catalog.replace(found(scripts)).into_iter().map(|change| (change.slug, change.change)).collect()
    }

    #[test]
    fn each_kind_of_change_is_told_once() {
        const META: &str = "\"\"\"\n---\nid: \"0192f1c0-0000-7000-8000-000000000001\"\n---\n\"\"\"\n";
        let mut catalog = Catalog::default();
        let with = |slug: &str, body: &str| script(slug, &format!("{META}{body}"));
        assert_eq!(changes(&mut catalog, vec![with("a", "x = 1")]), [("a".to_owned(), Change::Created)]);
        assert_eq!(changes(&mut catalog, vec![with("a", "x = 1")]), []);
        assert_eq!(changes(&mut catalog, vec![with("a", "x = 2")]), [("a".to_owned(), Change::Changed)]);
        assert_eq!(changes(&mut catalog, vec![with("b", "x = 2")]), [("b".to_owned(), Change::Renamed)]);
        assert_eq!(changes(&mut catalog, vec![]), [("b".to_owned(), Change::Deleted)]);
    }

    #[test]
    fn a_script_is_found_by_slug_then_id_then_alias() {
        let mut catalog = Catalog::default();
        let aliased = script(
            "zoo",
            "\"\"\"\n---\nid: \"0192f1c0-0000-7000-8000-000000000002\"\naliases: \"menagerie, park\"\n---\n\"\"\"\n",
        );
        catalog.replace(found(vec![aliased, script("park", "x = 1")]));
        let slug = |name: &str| catalog.find("default", name).map(|script| script.record.slug.as_str());
        assert_eq!(slug("park"), Some("park"));
        assert_eq!(slug("menagerie"), Some("zoo"));
        assert_eq!(slug("0192f1c0-0000-7000-8000-000000000002"), Some("zoo"));
        assert_eq!(slug("none"), None);
        assert!(catalog.find("other", "zoo").is_none());
    }
}
