//! When something that has gone down is started again: pauses that double, with jitter, and an end to it. What goes
//! down and is started is the business of `slot` and `service`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// First pause before a restart; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// This many restarts …
pub const INTENSITY: usize = 5;
/// … within this time mean that it is broken, not unlucky.
pub const WINDOW: Duration = Duration::from_secs(10);
/// After this long without a restart, the pauses begin anew.
const QUIET: Duration = Duration::from_secs(60);

/// What is remembered of earlier deaths.
#[derive(Debug)]
pub struct Backoff {
    recent: VecDeque<Instant>,
    pause: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { recent: VecDeque::new(), pause: FIRST_PAUSE }
    }
}

impl Backoff {
    /// Notes a death. How long to wait with the restart; `None` if there were too many.
    pub fn note_death(&mut self, now: Instant) -> Option<Duration> {
        if self.recent.back().is_some_and(|last| now.duration_since(*last) > QUIET) {
            self.pause = FIRST_PAUSE;
        }
        while self.recent.front().is_some_and(|first| now.duration_since(*first) > WINDOW) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > INTENSITY {
            return None;
        }
        let pause = jittered(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Some(pause)
    }

    /// What the next pause is at most.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause
    }
}

/// A pause between a half and the whole of `pause`, so that many nodes do not restart in step.
fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_after_a_quiet_minute() {
        let (mut backoff, mut now) = (Backoff::default(), Instant::now());
        let mut longest = FIRST_PAUSE;
        for _ in 0..12 {
            // Far enough apart to be no series.
            now += WINDOW;
            let pause = backoff.note_death(now).expect("a restart");
            assert!((longest / 2..=longest).contains(&pause), "{pause:?} of {longest:?}");
            longest = (longest * 2).min(LONGEST_PAUSE);
        }
        now += QUIET * 2;
        assert!(backoff.note_death(now).expect("a restart") <= FIRST_PAUSE);
    }

    #[test]
    fn more_than_five_deaths_in_ten_seconds_are_the_end() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..INTENSITY {
            assert!(backoff.note_death(now).is_some());
        }
        assert!(backoff.note_death(now).is_none());
        assert!(backoff.note_death(now + WINDOW * 2).is_some());
    }
}
