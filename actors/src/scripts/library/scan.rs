//! Comparing the folder with the index, and doing what follows from it.

use std::collections::HashSet;

use protocol::Id;
use protocol::channels::script_list::FileError;
use protocol::channels::script_sync::{ProjectFileError, Report, Touched};
use protocol::envelope::Project;
use protocol::script::{Change, Conflict};

use super::{Error, Library, now, off_thread};
use crate::scripts::folder::{self, Files, KnownFile};
use crate::scripts::plan::steps::{Compared, Step, compare};

/// How often it is compared until nothing is left to do; files that are being written all the time wait for the next event.
const ROUNDS: usize = 4;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Every file is read.
    Full,
    /// Files whose stamps say that nothing has changed are believed.
    Quick,
}

impl Library {
    /// Brings files and index in step.
    ///
    /// # Errors
    /// The folder or the store failed. What was done so far is done.
    pub async fn sync(&self, look: Look) -> Result<Report, Error> {
        let _alone = self.alone().await?;
        self.sync_alone(look).await
    }

    /// What [`Library::sync`] would do.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn would_sync(&self) -> Result<Report, Error> {
        let _alone = self.alone().await?;
        let mut report = Report::default();
        for files in self.read(Look::Full).await? {
            let Compared { steps, errors, .. } = self.compare(&files);
            report.scanned += files.seen.len() as u64;
            steps.iter().for_each(|step| count(&mut report, step));
            report.errors.extend(of_project(&files.project, files.errors.into_iter().chain(errors)));
        }
        Ok(report)
    }

    pub(super) async fn sync_alone(&self, look: Look) -> Result<Report, Error> {
        let mut report = Report::default();
        for round in 0..ROUNDS {
            let all = self.read(if round == 0 { look } else { Look::Quick }).await?;
            if round == 0 {
                report.scanned = all.iter().map(|files| files.seen.len() as u64).sum();
            }
            report.errors.clear();
            let mut todo = Vec::new();
            self.postponed.set(false);
            for files in all {
                let Compared { steps, errors, postponed } = self.compare(&files);
                todo.extend(steps);
                self.postponed.set(self.postponed.get() || postponed);
                let errors: Vec<FileError> = files.errors.into_iter().chain(errors).collect();
                report.errors.extend(of_project(&files.project, errors.iter().cloned()));
                self.index.borrow_mut().set_errors(&files.project, errors);
            }
            if todo.is_empty() {
                break;
            }
            todo.iter().for_each(|step| count(&mut report, step));
            let news = todo.iter().any(|step| step.version.is_some());
            let carried = self.carry(todo).await?;
            self.note_errors(&carried.errors);
            let progress = news || carried.written > 0;
            report.errors.extend(carried.errors);
            // What cannot be written now will not be written in a moment either.
            if !progress {
                break;
            }
        }
        Ok(report)
    }

    pub(super) fn note_errors(&self, errors: &[ProjectFileError]) {
        let mut index = self.index.borrow_mut();
        for ProjectFileError { project, error } in errors {
            let known = index.project(project).map(|project| project.errors.clone()).unwrap_or_default();
            index.set_errors(project, known.into_iter().chain([error.clone()]).collect());
        }
    }

    fn compare(&self, files: &Files) -> Compared {
        if !files.read {
            return Compared::default();
        }
        let index = self.index.borrow();
        compare(index.project(&files.project), files, now(), self.patient, &mut Id::generate)
    }

    /// Reads the folder, with an empty one for each project that has none any more.
    async fn read(&self, look: Look) -> Result<Vec<Files>, Error> {
        let known = self.known();
        let root = self.root.clone();
        let found = off_thread(move || folder::read(&root, &known, look == Look::Quick)).await?;
        let mut found = found.map_err(Error::Folder)?;
        let mut stamps = folder::Known::new();
        for files in &found {
            let of_project = stamps.entry(files.project.clone()).or_default();
            for seen in files.seen.iter().filter(|seen| seen.stamp.is_some()) {
                of_project
                    .insert(seen.file.clone(), KnownFile { hash: seen.hash.clone(), stamp: seen.stamp });
            }
        }
        *self.stamps.borrow_mut() = stamps;
        let there: HashSet<String> = found.iter().map(|files| files.project.clone()).collect();
        let index = self.index.borrow();
        let missing =
            index.projects().filter(|project| !there.contains(*project) && Project::new(project).is_some());
        found.extend(missing.map(|project| Files {
            project: project.to_owned(),
            seen: Vec::new(),
            errors: Vec::new(),
            read: true,
        }));
        Ok(found)
    }

    /// The files as both sides know them.
    fn known(&self) -> folder::Known {
        let (index, stamps) = (self.index.borrow(), self.stamps.borrow());
        let mut known = folder::Known::new();
        for name in index.projects() {
            let Some(project) = index.project(name) else { continue };
            let stamps = stamps.get(name);
            let of_project = known.entry(name.to_owned()).or_default();
            for base in project.scripts().filter_map(|script| script.base.as_ref()) {
                let stamped =
                    stamps.and_then(|stamps| stamps.get(&base.file)).filter(|known| known.hash == base.hash);
                let stamp = stamped.and_then(|known| known.stamp);
                of_project.insert(base.file.clone(), KnownFile { hash: base.hash.clone(), stamp });
            }
        }
        known
    }
}

fn of_project(project: &str, errors: impl Iterator<Item = FileError>) -> Vec<ProjectFileError> {
    errors.map(|error| ProjectFileError { project: project.to_owned(), error }).collect()
}

fn count(report: &mut Report, step: &Step) {
    let record = &step.script.record;
    let touched = Touched {
        project: record.project.clone(),
        id: record.id,
        slug: record.slug.clone(),
        version: record.version,
    };
    if let Some(kept_version) = step.kept {
        report.conflicts.push(Conflict {
            project: record.project.clone(),
            id: record.id,
            slug: record.slug.clone(),
            version: record.version,
            kept_version,
        });
    }
    let list = match (step.version, &step.file) {
        (Some((Change::Created, _)), _) => &mut report.created,
        (Some((Change::Changed, _)), _) | (None, Some(_)) => &mut report.updated,
        (Some((Change::Renamed, _)), _) => &mut report.renamed,
        (Some((Change::Deleted, _)), _) => &mut report.deleted,
        // Only what is known of the file has changed.
        (None, None) => return,
    };
    list.push(touched);
}
