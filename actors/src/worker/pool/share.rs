//! Who gets what of the pool: groups of cells, and the shares of projects. A project may fill three quarters of the
//! queue, and
//! among groups that wait for a place the project that holds the fewest comes first, so that one that floods the pool
//! leaves the others theirs.

use std::collections::{HashMap, VecDeque};

use super::{Group, Key, Runs, State};

impl State {
    /// The group of that key, a new one if there is none.
    pub(super) fn group(&mut self, key: &Key, runs: &Runs) -> &mut Group {
        self.groups.entry(*key).or_insert_with(|| Group {
            runs: runs.clone(),
            queue: VecDeque::new(),
            cells: Vec::new(),
            waits: false,
        })
    }

    /// Forgets a group that has neither cells nor calls.
    pub(super) fn drop_if_empty(&mut self, key: &Key) {
        let empty = |group: &Group| group.cells.is_empty() && group.queue.is_empty() && !group.waits;
        if self.groups.get(key).is_some_and(empty) {
            self.groups.remove(key);
        }
    }

    /// Whether a call of `runs` finds no room in a queue of `most`, or its project has its share of it.
    pub(super) fn is_full_for(&self, runs: &Runs, most: usize) -> bool {
        let share = most - most / 4;
        if self.queued < share {
            return false;
        }
        let of_project = self.groups.values().filter(|group| group.runs.project() == runs.project());
        self.queued >= most || of_project.map(|group| group.queue.len()).sum::<usize>() >= share
    }

    /// Whether there are `most` cells and none of them could make room: cells that lend their places do not count among
    /// those that run, and must not become ever more.
    pub(super) fn is_crowded(&self, most: usize) -> bool {
        self.cells.len() >= most && !self.cells.values().any(|cell| cell.idle() && !cell.state().holds_place)
    }

    /// Takes the group whose turn it is from those that wait.
    pub(super) fn next_in_turn(&mut self) -> Option<Key> {
        let mut held: HashMap<&str, usize> = HashMap::new();
        for group in self.groups.values() {
            let places = group.cells.iter().filter(|cell| cell.state().holds_place).count();
            *held.entry(group.runs.project()).or_default() += places;
        }
        let places =
            |key: &Key| self.groups.get(key).and_then(|group| held.get(group.runs.project())).copied();
        let turn =
            self.waiting.iter().enumerate().min_by_key(|(_, key)| places(key)).map(|(turn, _)| turn)?;
        self.waiting.remove(turn)
    }
}
