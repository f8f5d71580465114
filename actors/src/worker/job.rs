//! A piece of work for a cell and what becomes of it. Who runs it when is the pool's business.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry::trace::SpanKind;
use protocol::frame::cell::{self as body, Attempted, Compiled, Function, Output};
use protocol::frame::{self, Operation};
use protocol::{Failure, Format};
use tokio::sync::oneshot;

use super::pool::Runs;
use crate::call::Origin;

/// What a cell is to do.
#[derive(Debug)]
pub enum Work {
    /// Call a function of the cell's script.
    Call {
        /// Which one.
        function: Function,
        /// Another function of a utility than its entrypoint.
        entrypoint: Option<String>,
        /// Encoding of input and output.
        format: Format,
        /// The encoded input.
        input: Bytes,
    },
    /// Nothing; the work is done as soon as a cell has the script loaded.
    Load,
    /// Look for syntax problems.
    Compile {
        /// The text to look at.
        body: String,
    },
    /// Try what no cell may do.
    Attempt,
}

/// What a cell has done.
#[derive(Debug)]
pub enum Done {
    /// A call returned.
    Returned(Returned),
    /// The script is loaded.
    Loaded,
    /// A text was looked at.
    Compiled(Compiled),
    /// Forbidden things were tried.
    Attempted(Attempted),
}

/// What a call returned.
#[derive(Debug)]
pub struct Returned {
    /// The encoded value. The cell is hostile: whoever uses it reads it as a type first.
    pub value: Bytes,
    /// What was printed.
    pub output: Output,
    /// How long the entrypoint ran, as the cell says.
    pub run: Duration,
    /// What the script tells the author of what it works on; few and short.
    pub notices: Vec<String>,
}

/// How a piece of work ended.
pub type Outcome = Result<Done, Failure>;

/// A piece of work on its way.
#[derive(Debug)]
pub struct Job {
    /// What the cell must hold that does it.
    pub runs: Runs,
    /// What to do.
    pub work: Work,
    /// The call that it is a part of: whose deadline it has, and in whose name it asks other parts.
    pub origin: Origin,
    /// When it came.
    pub queued: Instant,
    /// How many cells died while it stood in their pipes without having begun.
    pub losses: u8,
    /// Who waits for it.
    pub reply: oneshot::Sender<Outcome>,
}

impl Job {
    /// Tells whoever waits; nobody may.
    pub fn end(self, outcome: Outcome) {
        self.record(&outcome);
        let _nobody_waits = self.reply.send(outcome);
    }

    /// Records the time from its coming to its end, if its call is recorded.
    fn record(&self, outcome: &Outcome) {
        let (_, span) = self.origin.trace.child("cell", SpanKind::Internal, self.queued);
        let Some(mut span) = span else { return };
        match &self.runs {
            Runs::Script(script) => span.set("callboard.script", script.record.slug.clone()),
            Runs::Action(action) => span.set("callboard.action", action.spec.name),
            Runs::Module(_) | Runs::Compiler => {}
        }
        match outcome {
            Ok(Done::Returned(returned)) => {
                span.set("callboard.run_us", i64::try_from(returned.run.as_micros()).unwrap_or(i64::MAX));
            }
            Ok(Done::Loaded | Done::Compiled(_) | Done::Attempted(_)) => {}
            Err(failure) => span.fail(failure.code().as_str()),
        }
    }

    /// Whether its deadline has passed.
    #[must_use]
    pub fn late(&self, now: Instant) -> bool {
        self.origin.deadline.at <= now
    }

    /// Bytes that its frame takes, about.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.work {
            Work::Call { input, .. } => input.len(),
            Work::Load | Work::Attempt => 0,
            Work::Compile { body } => body.len(),
        }
    }

    /// Writes its frame behind what `out` holds. `Load` has none: it is over when a cell is ready.
    ///
    /// # Errors
    /// The frame would be too large.
    pub fn frame(&self, sequence: u64, out: &mut Vec<u8>) -> Result<(), frame::Error> {
        match &self.work {
            Work::Call { function, entrypoint, format, input, .. } => {
                let call = body::Call {
                    function: *function,
                    entrypoint: entrypoint.as_deref(),
                    format: *format,
                    deadline: monotonic(self.origin.deadline.at),
                    input: serde_bytes::Bytes::new(input),
                };
                frame::write(out, Operation::Call, sequence, &call)
            }
            Work::Compile { body } => {
                frame::write(out, Operation::Compile, sequence, &body::Compile { body: body.clone() })
            }
            Work::Attempt => frame::write(out, Operation::Attempt, sequence, &()),
            Work::Load => Ok(()),
        }
    }
}

/// A moment as `CLOCK_MONOTONIC` nanoseconds, which the cell can read too. `Instant` is that clock on Linux but
/// keeps its figure to itself: it is found out once.
fn monotonic(at: Instant) -> u64 {
    const CLOSE: Duration = Duration::from_micros(50);
    static KNOWN: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
        loop {
            let before = Instant::now();
            let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            // Whoever is held up in between would be off by that for ever.
            if before.elapsed() < CLOSE {
                let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
                let figure = Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0));
                return (before, figure);
            }
        }
    });
    let (instant, figure) = *KNOWN;
    let then = figure + at.saturating_duration_since(instant);
    u64::try_from(then.as_nanos()).unwrap_or(u64::MAX)
}
