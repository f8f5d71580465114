//! Who gets what of the pool: groups of cells, the shares of projects, and how long it takes to come to one's turn. Of a full
//! queue each project may have a quarter, and among groups that wait for a place the project that holds the fewest comes
//! first, so that one that floods the pool leaves the others theirs.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::{Group, Job, Key, Runs, State};

/// Room in the queue.
pub(super) enum Room {
    /// There is some.
    Free,
    /// There is some if this call goes.
    InsteadOf(Job),
    /// There is none.
    None,
}

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

    /// Whether a call of `runs` finds room in a queue of `most`.
    ///
    /// A project may fill a queue that nobody else needs. Of a full one each may have a quarter: a call of a project that
    /// has less takes the place of the newest call of the one that has most.
    pub(super) fn room_for(&mut self, runs: &Runs, most: usize) -> Room {
        if self.queued < most {
            return Room::Free;
        }
        let mut waiting: HashMap<&str, usize> = HashMap::new();
        for group in self.groups.values() {
            *waiting.entry(group.runs.project()).or_default() += group.queue.len();
        }
        let own = waiting.get(runs.project()).copied().unwrap_or(0);
        let fullest = waiting.into_iter().max_by_key(|(_, calls)| *calls);
        let gives_way = |(project, calls): (&str, usize)| {
            (own < most.div_ceil(4) && calls > own + 1).then(|| project.to_owned())
        };
        let Some(fullest) = fullest.and_then(gives_way) else { return Room::None };
        let groups = self.groups.values_mut().filter(|group| group.runs.project() == fullest);
        let given_up = groups.max_by_key(|group| group.queue.len()).and_then(|group| group.queue.pop_back());
        match given_up {
            Some(job) => {
                self.queued -= 1;
                Room::InsteadOf(job)
            }
            None => Room::None,
        }
    }

    /// How long the calls that wait will take to have had their turn, in ms: when to try again.
    pub(super) fn wait_ms(&self, places: usize, now: Instant) -> u64 {
        let runs = self.cells.values().filter_map(|cell| {
            let state = cell.state();
            // A call that runs longer than its like did says more of what is to come than they do.
            let begun = state.flights.front().and_then(|flight| flight.begun);
            let so_far = begun.map(|begun| now.duration_since(begun).as_secs_f64() * 1e6);
            let pace = Some(state.pace).filter(|pace| pace.is_finite());
            pace.into_iter().chain(so_far).reduce(f64::max)
        });
        let (count, sum) = runs.fold((0_u32, 0.0), |(count, sum), run| (count + 1, sum + run));
        wait_ms(self.queued, (count > 0).then(|| sum / f64::from(count)), places)
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

/// How long `queued` calls take in `places` if each runs for `mean` µs, in ms from 10 to 10 000.
fn wait_ms(queued: usize, mean: Option<f64>, places: usize) -> u64 {
    /// Where nothing has run yet, nobody knows.
    const UNKNOWN: u64 = 100;
    let Some(mean) = mean else { return UNKNOWN };
    let figure = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let ms = figure(queued) * mean / figure(places.max(1)) / 1e3;
    // A float beyond the target's range becomes its nearest end.
    (ms.ceil() as u64).clamp(10, 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_is_told_about_when_the_queue_has_gone() {
        let ms = |ms: f64| Some(ms * 1e3);
        assert_eq!(wait_ms(100, ms(20.0), 4), 500);
        assert_eq!(wait_ms(256, ms(0.05), 4), 10, "at least the time of a breath");
        assert_eq!(wait_ms(256, ms(60_000.0), 1), 10_000, "nobody waits for longer than that");
        assert_eq!(wait_ms(100, None, 4), 100, "nothing has run yet");
        assert_eq!(wait_ms(3, ms(10.0), 2), 15);
        assert_eq!(wait_ms(3, ms(10.0), 0), 30, "a pool without places");
        assert_eq!(wait_ms(usize::MAX, Some(f64::MAX), 1), 10_000);
    }
}
