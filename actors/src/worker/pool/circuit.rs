//! Circuit breakers: a script version whose cells keep dying is not run for a while, so that it cannot take places and
//! processor time from others. Cells that are killed at a deadline count, cancelled calls do not.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use foldhash::HashMap;

use crate::worker::script::Key;

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Deaths that open it; 0 keeps it closed for ever.
    pub deaths: usize,
    /// The time within which they count.
    pub window: Duration,
    /// How long it stays open.
    pub open: Duration,
}

/// The circuits of all scripts that have died lately.
#[derive(Debug, Default)]
pub(super) struct Circuits(HashMap<Key, Circuit>);

#[derive(Debug, Default)]
struct Circuit {
    deaths: VecDeque<Instant>,
    open_until: Option<Instant>,
}

impl Circuits {
    /// Notes a death; whether it opened the circuit.
    pub(super) fn note(&mut self, key: &Key, rule: Rule, now: Instant) -> bool {
        if rule.deaths == 0 {
            return false;
        }
        self.0.retain(|_, circuit| circuit.matters(rule, now));
        let circuit = self.0.entry(*key).or_default();
        circuit.deaths.push_back(now);
        circuit.deaths.retain(|death| now.duration_since(*death) < rule.window);
        if circuit.deaths.len() < rule.deaths {
            return false;
        }
        circuit.deaths.clear();
        circuit.open_until = Some(now + rule.open);
        true
    }

    /// How long the circuit still stays open; `None` if it is closed.
    pub(super) fn open(&self, key: &Key, now: Instant) -> Option<Duration> {
        let until = self.0.get(key)?.open_until?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

impl Circuit {
    fn matters(&self, rule: Rule, now: Instant) -> bool {
        let open = self.open_until.is_some_and(|until| until > now);
        open || self.deaths.back().is_some_and(|last| now.duration_since(*last) < rule.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::file;
    use crate::worker::script::Script;

    fn key(slug: &str) -> Key {
        let record = file::describe("default", slug, protocol::Id::generate(), &file::parts(""), None);
        Script::new(protocol::actions::script_fetch::Script { record, body: String::new() }, &[]).key
    }

    const RULE: Rule = Rule { deaths: 3, window: Duration::from_secs(60), open: Duration::from_secs(30) };

    #[test]
    fn a_circuit_opens_after_its_deaths_and_closes_after_its_time() {
        let (mut circuits, start) = (Circuits::default(), Instant::now());
        let [bad, good] = [key("bad"), key("good")];
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!circuits.note(&bad, RULE, at(0)));
        assert!(!circuits.note(&good, RULE, at(0)));
        assert!(!circuits.note(&bad, RULE, at(1)));
        assert!(circuits.note(&bad, RULE, at(2)));
        assert_eq!(circuits.open(&bad, at(12)), Some(Duration::from_secs(20)));
        assert_eq!(circuits.open(&good, at(12)), None);
        assert_eq!(circuits.open(&bad, at(32)), None);
    }

    #[test]
    fn deaths_far_apart_do_not_open_it_and_are_forgotten() {
        let (mut circuits, start) = (Circuits::default(), Instant::now());
        let key = key("rare");
        for minutes in 0..20 {
            assert!(!circuits.note(&key, RULE, start + Duration::from_secs(120 * minutes)));
        }
        assert_eq!(circuits.0.get(&key).map(|circuit| circuit.deaths.len()), Some(1));
    }

    #[test]
    fn a_rule_without_deaths_never_opens() {
        let mut circuits = Circuits::default();
        let key = key("any");
        assert!((0..100).all(|_| !circuits.note(&key, Rule { deaths: 0, ..RULE }, Instant::now())));
    }
}
