//! Faults on request, for the suites: a test names over the bus a point in the node's code, and there the node panics.
//! Only a build with the feature `faults` has them; in any other [`point`] is nothing, and a release build with the
//! feature does not compile.

#[cfg(all(feature = "faults", not(debug_assertions)))]
compile_error!(
    "the feature `faults` lets anyone on the bus break the node: it is for tests, never for a release"
);

/// Where a fault may strike, and what runs there.
pub const POINTS: [&str; 8] = [
    // The reading of a message.
    "intake",
    // The handlers of the actors' mailboxes.
    "worker",
    "scripts",
    "supervisor",
    // What an operation does, outside of the mailbox.
    "operation",
    // The tasks of the pool: deadlines, the zygote's events, a cell's frames.
    "watch",
    "zygote",
    "cell",
];

/// A place in the code where a test may let a fault strike.
#[cfg(not(feature = "faults"))]
#[inline]
pub const fn point(_: &'static str) {}

#[cfg(feature = "faults")]
pub use armed::{arm, point};

#[cfg(feature = "faults")]
mod armed {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::POINTS;

    thread_local! {
        static ARMED: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// Lets the next `times` visits of a point panic. What was armed there before is forgotten; whether there is such
    /// a point, and how often it would still have struck.
    pub fn arm(name: &str, times: u64) -> Option<u64> {
        let point = POINTS.into_iter().find(|point| *point == name)?;
        ARMED.with_borrow_mut(|armed| Some(armed.insert(point, times).unwrap_or(0)))
    }

    /// A place in the code where a test may let a fault strike.
    ///
    /// # Panics
    /// It is armed.
    #[expect(clippy::panic, reason = "this is the fault")]
    pub fn point(name: &'static str) {
        let strikes = ARMED.with_borrow_mut(|armed| match armed.get_mut(name) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            Some(_) | None => false,
        });
        if strikes {
            panic!("a fault at `{name}`, as a test asked for");
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_strikes_as_often_as_it_is_armed_and_no_other_does() {
            assert_eq!(arm("worker", 2), Some(0));
            point("scripts");
            for _ in 0..2 {
                assert!(std::panic::catch_unwind(|| point("worker")).is_err());
            }
            point("worker");
            assert_eq!((arm("worker", 0), arm("nowhere", 1)), (Some(0), None));
        }
    }
}
