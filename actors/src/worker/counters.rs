//! What a worker counts of the calls of scripts: one counter a script, over all of its versions, and one a kind. They outlive
//! pools and the actor, and end with the node. What a counter holds is in `protocol::counters`.
//!
//! Over all versions, because whoever looks asks how a macro does, and saves it several times an hour while working on
//! it: a count that begins anew with each save would never say much.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use protocol::abi::Kind;
use protocol::channels::supervisor_counters::{Counted, MOST, OfKind, Script};
use protocol::counters::{Counter, Ended};
use protocol::script::Record;
use protocol::{Failure, Id};

use super::job::{Done, Outcome};
use crate::call::{Origin, cancelled};

/// Scripts that are counted one by one: at most about 6 MB. Beyond that those go that were not called for the longest time.
const MOST_SCRIPTS: usize = 10_000;
/// Of how many scripts the figures are given up at once, so that it is seldom looked which ones.
const GIVEN_UP: usize = MOST_SCRIPTS / 4;

/// The counters of a worker.
#[derive(Debug, Default)]
pub struct Counters(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    /// By project, so that looking one up allocates nothing.
    projects: HashMap<String, HashMap<Id, Entry>>,
    kinds: [Counter; 3],
    scripts: usize,
    forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    slug: String,
    version: u64,
    used: Instant,
    counter: Counter,
}

/// A call that runs. If nobody waits for its end any more, because it was cancelled or given up past its deadline, it is
/// counted as that.
#[derive(Debug)]
pub struct Counting<'a> {
    counters: &'a Counters,
    record: &'a Record,
    origin: Origin,
    begin: Instant,
    bytes_in: usize,
    ended: bool,
}

impl Counting<'_> {
    /// Counts its end. Nothing is allocated but with a script's first call, and when its name has changed.
    pub fn end(mut self, outcome: &Outcome) {
        self.note(outcome);
    }

    fn note(&mut self, outcome: &Outcome) {
        self.ended = true;
        let now = Instant::now();
        let ended = ended(now.duration_since(self.begin), self.bytes_in, outcome);
        self.counters.note(self.record, now, ended);
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let failure = match self.origin.cancel.by() {
                Some(by) => cancelled(by),
                None => self.origin.deadline.passed_while_running(),
            };
            self.note(&Err(failure));
        }
    }
}

impl Counters {
    /// Counts a call of a function of a script that begins now, once it ends.
    #[must_use]
    pub fn begin<'a>(&'a self, record: &'a Record, origin: &Origin, bytes_in: usize) -> Counting<'a> {
        let origin = origin.clone();
        Counting { counters: self, record, origin, begin: Instant::now(), bytes_in, ended: false }
    }

    fn note(&self, record: &Record, now: Instant, ended: Ended) {
        let mut state = self.0.borrow_mut();
        let [macros, transforms, utilities] = &mut state.kinds;
        let of_kind = match record.kind {
            Kind::Macro => macros,
            Kind::Transform => transforms,
            Kind::Utility => utilities,
        };
        of_kind.note(ended);
        state.note(record, now, ended);
    }

    /// Forgets a script that has gone.
    pub fn forget(&self, project: &str, id: Id) {
        let mut state = self.0.borrow_mut();
        let scripts = state.projects.get_mut(project);
        if scripts.is_some_and(|scripts| scripts.remove(&id).is_some()) {
            state.scripts -= 1;
        }
    }

    /// What was counted of these scripts, or of those with the most calls; of one project, or of all. `parts` asks for
    /// histograms too.
    #[must_use]
    pub fn told(&self, project: Option<&str>, scripts: Option<&[Id]>, parts: bool) -> Counted {
        let state = self.0.borrow();
        let projects = state.projects.iter().filter(|(name, _)| project.is_none_or(|wanted| wanted == *name));
        let entries: Vec<(&String, Id, &Entry)> = match scripts {
            Some(ids) => projects
                .flat_map(|(name, all)| ids.iter().filter_map(move |id| Some((name, *id, all.get(id)?))))
                .collect(),
            None => projects
                .flat_map(|(name, all)| all.iter().map(move |(id, entry)| (name, *id, entry)))
                .collect(),
        };
        let scripts =
            entries.into_iter().map(|(project, id, entry)| (entry.counter.calls, project, id, entry));
        let mut scripts: Vec<_> = scripts.collect();
        scripts.sort_by_key(|(calls, _, id, _)| (std::cmp::Reverse(*calls), *id));
        scripts.truncate(MOST);
        let told = scripts.into_iter().map(|(_, project, id, entry)| Script {
            project: project.clone(),
            id,
            slug: entry.slug.clone(),
            version: entry.version,
            figures: entry.counter.figures(parts),
        });
        let kinds = [Kind::Macro, Kind::Transform, Kind::Utility].into_iter().zip(&state.kinds);
        let kinds = kinds.filter(|(_, counter)| counter.calls > 0);
        Counted {
            scripts: told.collect(),
            kinds: kinds.map(|(kind, counter)| OfKind { kind, figures: counter.figures(parts) }).collect(),
            forgotten: state.forgotten,
        }
    }
}

impl Entry {
    fn note(&mut self, record: &Record, now: Instant, ended: Ended) {
        self.counter.note(ended);
        self.used = now;
        if self.version != record.version {
            self.version = record.version;
            self.slug.clone_from(&record.slug);
        }
    }
}

impl State {
    fn note(&mut self, record: &Record, now: Instant, ended: Ended) {
        let known = self.projects.get_mut(&record.project).and_then(|scripts| scripts.get_mut(&record.id));
        if let Some(entry) = known {
            entry.note(record, now, ended);
            return;
        }
        if self.scripts >= MOST_SCRIPTS {
            self.give_up();
        }
        let (slug, version) = (record.slug.clone(), record.version);
        let mut entry = Entry { slug, version, used: now, counter: Counter::default() };
        entry.note(record, now, ended);
        self.scripts += 1;
        self.projects.entry(record.project.clone()).or_default().insert(record.id, entry);
    }

    /// Gives up the figures of those that were not called for the longest time.
    fn give_up(&mut self) {
        let mut used: Vec<Instant> =
            self.projects.values().flat_map(HashMap::values).map(|entry| entry.used).collect();
        used.sort_unstable();
        let Some(since) = used.get(GIVEN_UP).copied() else { return };
        for scripts in self.projects.values_mut() {
            scripts.retain(|_, entry| entry.used >= since);
        }
        self.projects.retain(|_, scripts| !scripts.is_empty());
        let left = self.projects.values().map(HashMap::len).sum();
        self.forgotten += (self.scripts - left) as u64;
        self.scripts = left;
    }
}

/// What of an outcome is counted.
fn ended(took: Duration, bytes_in: usize, outcome: &Outcome) -> Ended {
    let (bytes_out, error) = match outcome {
        Ok(Done::Returned(returned)) => (returned.value.len(), None),
        Ok(Done::Loaded | Done::Compiled(_) | Done::Attempted(_)) => (0, None),
        Err(failure) => (0, Some(failure)),
    };
    let died = |failure: &Failure| match failure {
        Failure::ProcessDown(down) => down.death.is_some() && down.reason.as_deref() != Some("neighbour"),
        _ => false,
    };
    let ran = |failure: &Failure| match failure {
        Failure::Timeout(_) | Failure::InvalidResponse(_) | Failure::ActionFailed(_) => true,
        Failure::ProcessDown(down) => down.death.is_some(),
        Failure::ActionUnknown(_)
        | Failure::RequestInvalid(_)
        | Failure::Overloaded(_)
        | Failure::Cancelled(_)
        | Failure::Unavailable(_) => false,
    };
    Ended {
        took,
        bytes_in,
        bytes_out,
        error: error.map(Failure::code),
        died: error.is_some_and(died),
        ran: error.is_none_or(ran),
        at: error.map_or(0, |_| u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use protocol::failure::ProcessDown;

    use super::*;
    use crate::scripts::file;

    fn record(slug: &str) -> Record {
        file::describe("default", slug, Id::generate(), &file::parts(""), None)
    }

    fn note(counters: &Counters, record: &Record, outcome: Outcome) {
        counters.note(record, Instant::now(), ended(Duration::from_millis(5), 10, &outcome));
    }

    #[test]
    fn a_script_is_counted_over_its_versions_and_names_until_it_goes() {
        let (counters, mut record) = (Counters::default(), record("one"));
        note(&counters, &record, Ok(Done::Loaded));
        (record.slug, record.version) = ("two".to_owned(), 2);
        note(&counters, &record, Err(Failure::script("raised", "two")));
        let told = counters.told(Some("default"), Some(&[record.id, Id::generate()]), false);
        assert_eq!(told.scripts.len(), 1);
        let script = &told.scripts[0];
        assert_eq!((script.slug.as_str(), script.version, script.figures.calls), ("two", 2, 2));
        assert_eq!((script.figures.failed(), script.figures.bytes_in), (1, 20));
        assert!(script.figures.times.is_empty() && script.figures.p99_ms > Some(4.5));
        assert!(counters.told(Some("other"), None, false).scripts.is_empty());
        counters.forget("default", record.id);
        let told = counters.told(None, None, true);
        assert!(told.scripts.is_empty());
        assert_eq!((told.kinds.len(), told.kinds[0].figures.calls), (1, 2), "what was is not undone");
    }

    #[test]
    fn only_a_process_that_ended_by_this_call_is_its_death() {
        let (counters, record) = (Counters::default(), record("one"));
        let down = |reason: Option<&str>, death| {
            let reason = reason.map(str::to_owned);
            Err(Failure::ProcessDown(ProcessDown { reason, death, output: None }))
        };
        for (reason, death) in [
            (None, Some(Box::default())),
            (Some("neighbour"), Some(Box::default())),
            (Some("circuit_open"), None),
        ] {
            note(&counters, &record, down(reason, death));
        }
        let figures = &counters.told(None, None, true).scripts[0].figures;
        assert_eq!((figures.calls, figures.deaths, figures.errors["PY_PROCESS_DOWN"]), (3, 1, 3));
        let timed: u32 = figures.times.iter().map(|(_, count)| count).sum();
        assert_eq!(timed, 2, "one that was turned away has taken no time");
    }

    #[test]
    fn so_many_scripts_are_counted_and_the_ones_called_last_are_kept() {
        let counters = Counters::default();
        let all: Vec<Record> = (0..=MOST_SCRIPTS).map(|_| record("any")).collect();
        for record in &all {
            note(&counters, record, Ok(Done::Loaded));
        }
        let state = counters.0.borrow();
        let kept = state.projects["default"].len();
        assert_eq!((kept, state.scripts), (MOST_SCRIPTS - GIVEN_UP + 1, kept));
        assert_eq!(state.forgotten, GIVEN_UP as u64);
        assert!(state.projects["default"].contains_key(&all[MOST_SCRIPTS].id));
        assert!(!state.projects["default"].contains_key(&all[0].id));
    }
}
