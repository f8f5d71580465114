//! What is known of all scripts, in memory: by project, found by slug, id or alias. What of it is on disk, and how, is in `disk`;
//! bodies are not in here.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use protocol::Id;
use protocol::channels::script_list::FileError;

use super::disk::Script;

/// A script and the revision of its value in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The script.
    pub script: Rc<Script>,
    /// What the next change of it expects the store to have.
    pub revision: u64,
}

/// Every script of every project.
#[derive(Debug, Default)]
pub struct Index {
    projects: BTreeMap<String, Project>,
}

/// The scripts of one project.
#[derive(Debug, Default)]
pub struct Project {
    by_id: HashMap<Id, Held>,
    by_slug: BTreeMap<String, Id>,
    /// An alias and the slug of a script that has it.
    by_alias: BTreeMap<(String, String), Id>,
    /// Files that cannot be taken or written.
    pub errors: Vec<FileError>,
}

impl Index {
    /// Takes a script in, in place of what was known of it.
    pub fn insert(&mut self, script: Script, revision: u64) {
        let record = &script.record;
        let project = self.projects.entry(record.project.clone()).or_default();
        project.forget(record.id);
        project.by_slug.insert(record.slug.clone(), record.id);
        for alias in &record.aliases {
            project.by_alias.insert((alias.clone(), record.slug.clone()), record.id);
        }
        project.by_id.insert(record.id, Held { script: Rc::new(script), revision });
    }

    /// Forgets a script.
    pub fn remove(&mut self, project: &str, id: Id) {
        if let Some(project) = self.projects.get_mut(project) {
            project.forget(id);
        }
    }

    /// A project, if anything is known of it.
    #[must_use]
    pub fn project(&self, name: &str) -> Option<&Project> {
        self.projects.get(name)
    }

    /// The names of all projects.
    pub fn projects(&self) -> impl Iterator<Item = &str> {
        self.projects.keys().map(String::as_str)
    }

    /// The script of that id.
    #[must_use]
    pub fn get(&self, project: &str, id: Id) -> Option<&Held> {
        self.projects.get(project)?.by_id.get(&id)
    }

    /// The script that bears `name` in `project`: as its slug, else its id, else as an alias of the first such script.
    #[must_use]
    pub fn find(&self, project: &str, name: &str) -> Option<&Held> {
        let project = self.projects.get(project)?;
        let by_id = || Id::new(name).filter(|id| project.by_id.contains_key(id));
        let by_alias = || {
            let from = (name.to_owned(), String::new());
            let (_, id) = project.by_alias.range(from..).next().filter(|((alias, _), _)| alias == name)?;
            Some(*id)
        };
        let id = project.by_slug.get(name).copied().or_else(by_id).or_else(by_alias)?;
        project.by_id.get(&id)
    }

    /// Notes which files of a project cannot be taken or written.
    pub fn set_errors(&mut self, project: &str, errors: Vec<FileError>) {
        if !errors.is_empty() || self.projects.contains_key(project) {
            self.projects.entry(project.to_owned()).or_default().errors = errors;
        }
    }
}

impl Project {
    fn forget(&mut self, id: Id) {
        let Some(old) = self.by_id.remove(&id) else { return };
        let record = &old.script.record;
        if self.by_slug.get(&record.slug) == Some(&id) {
            self.by_slug.remove(&record.slug);
        }
        for alias in &record.aliases {
            self.by_alias.remove(&(alias.clone(), record.slug.clone()));
        }
    }

    /// Its scripts by slug, from the one after `cursor`.
    pub fn scripts_after(&self, cursor: Option<&str>) -> impl Iterator<Item = &Rc<Script>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = cursor.map_or(Unbounded, |cursor| Excluded(cursor.to_owned()));
        let slugs = self.by_slug.range((from, Unbounded));
        slugs.filter_map(|(_, id)| self.by_id.get(id)).map(|held| &held.script)
    }

    /// Its scripts by slug.
    pub fn scripts(&self) -> impl Iterator<Item = &Rc<Script>> {
        self.scripts_after(None)
    }

    /// Who has a slug.
    #[must_use]
    pub fn bearer(&self, slug: &str) -> Option<Id> {
        self.by_slug.get(slug).copied()
    }

    /// How many scripts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::file;

    fn script(slug: &str, aliases: &str) -> Script {
        let text = format!("\"\"\"\n---\naliases: \"{aliases}\"\n---\n\"\"\"\n");
        let record = file::describe("default", slug, Id::generate(), &file::parts(&text), None);
        Script { record, metadata: String::new(), file: format!("{slug}.py"), base: None, gone: false }
    }

    #[test]
    fn a_script_is_found_by_slug_then_id_then_alias_and_under_no_name_it_had() {
        let mut index = Index::default();
        let mut zoo = script("zoo", "menagerie, park");
        index.insert(zoo.clone(), 1);
        index.insert(script("park", ""), 2);
        let slug = |index: &Index, name: &str| {
            index.find("default", name).map(|held| held.script.record.slug.clone())
        };
        assert_eq!(slug(&index, "park").as_deref(), Some("park"));
        assert_eq!(slug(&index, "menagerie").as_deref(), Some("zoo"));
        assert_eq!(slug(&index, &zoo.record.id.to_string()).as_deref(), Some("zoo"));
        assert_eq!(slug(&index, "none"), None);
        assert!(index.find("other", "zoo").is_none());

        zoo.record.slug = "ark".into();
        zoo.record.aliases = vec!["boat".into()];
        index.insert(zoo.clone(), 3);
        assert_eq!((slug(&index, "zoo"), slug(&index, "menagerie")), (None, None));
        assert_eq!(slug(&index, "boat").as_deref(), Some("ark"));
        index.remove("default", zoo.record.id);
        assert_eq!((slug(&index, "ark"), slug(&index, "boat")), (None, None));
    }

    #[test]
    fn pages_go_on_after_their_cursor() {
        let mut index = Index::default();
        ["b", "a", "c"].iter().for_each(|slug| index.insert(script(slug, ""), 1));
        let project = index.project("default").unwrap();
        let after = |cursor| {
            project.scripts_after(cursor).map(|script| script.record.slug.clone()).collect::<Vec<_>>()
        };
        assert_eq!(after(None), ["a", "b", "c"]);
        assert_eq!(after(Some("a")), ["b", "c"]);
        // The script that the cursor names may have gone in the meantime.
        assert_eq!(after(Some("bb")), ["c"]);
    }
}
