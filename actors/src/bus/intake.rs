//! The way of one message: reply subject, format, envelope, deadline, handler, one terminal reply. Nothing here
//! knows what an action does.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt as _;
use protocol::channel::{self, Code as ChannelCode, Locale};
use protocol::envelope::{self, DEADLINE, PROJECT, Project, Token, Written};
use protocol::format::CONTENT_TYPE;
use protocol::{Failure, Format, Id, Problem, actions, channels};
use serde_json::Value;

use super::Bus;
use super::gate::Inside;
use super::link::Message;
use super::link::headers::Headers as Block;
use super::once::{self, Outcome};
use super::reply::{Failed, Outgoing};
use super::stats::Endpoint;
use super::stream::Parts;
use crate::call::{Answer, Call, Deadline, Origin, Over, cancelled, millis};
use crate::config;
use crate::router::{ChannelAnswer, ChannelCall, ChannelFailure, Router};
use crate::telemetry::trace::Span;

/// When a caller should ask again whose message we panicked over, in ms.
const PANICKED_MS: u64 = 100;
/// How far a channel's timestamp may be off.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(300);

/// The settings that every message meets.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    timeouts: BTreeMap<String, u64>,
    longest: Duration,
    trust_timestamps: bool,
    development: bool,
}

impl Settings {
    pub(super) fn new(config: &config::Config) -> Self {
        Self {
            timeouts: config.timeouts.clone(),
            longest: Duration::from_millis(config.node.longest_timeout_ms),
            trust_timestamps: config.node.trust_timestamps,
            development: config.node.development,
        }
    }

    fn timeout(&self, name: &str, default_ms: u64, asked_ms: Option<u64>) -> Duration {
        let own = self.timeouts.get(name).copied().unwrap_or(default_ms);
        Duration::from_millis(asked_ms.unwrap_or(own)).min(self.longest)
    }
}

/// What the headers of any message say.
struct Headers {
    format: Result<Format, Problem>,
    project: Result<Project, Problem>,
    deadline: Option<u64>,
}

impl Headers {
    fn read(headers: Block<'_>) -> Self {
        let format = headers.get(CONTENT_TYPE).map_or(Some(Format::Json), Format::from_content_type);
        let project = headers.get(PROJECT).map_or_else(|| Some(Project::default()), Project::new);
        Self {
            format: format.ok_or_else(|| {
                Problem::new(CONTENT_TYPE, "expected application/json or application/msgpack")
            }),
            project: project
                .ok_or_else(|| Problem::new(PROJECT, "expected 1 to 64 characters of a-z, 0-9 and _")),
            deadline: headers.get(DEADLINE).and_then(|text| text.parse().ok()),
        }
    }
}

/// The deadline of a request that arrived at `arrived`, just now; or how much too late it came.
///
/// `begin` is where its time counts from, in ms since the epoch, if it says; `end` is a deadline it bears.
fn deadline(
    arrived: Instant,
    timeout: Duration,
    begin: Option<u64>,
    end: Option<u64>,
) -> Result<Deadline, Duration> {
    let end = end.or_else(|| begin.map(|begin| begin.saturating_add(millis(timeout))));
    let Some(end) = end else { return Ok(Deadline { at: arrived + timeout, timeout }) };
    let now = millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    if end <= now {
        return Err(Duration::from_millis(now - end));
    }
    Ok(Deadline { at: arrived + Duration::from_millis(end - now).min(timeout), timeout })
}

/// An action as it is served.
pub(super) struct Served {
    pub(super) spec: &'static actions::Spec,
    pub(super) endpoint: Rc<Endpoint>,
}

/// A call that was let in.
pub(super) struct LetIn {
    bus: Rc<Bus>,
    router: Rc<Router>,
    served: Rc<Served>,
    outgoing: Outgoing,
    taken: Taken,
    inside: Inside,
    arrival: Arrival,
}

/// Reads a message on an action's subject: the call that is left to be run, or nothing, where all is said already.
pub(super) fn action(
    bus: &Rc<Bus>,
    router: &Rc<Router>,
    served: &Rc<Served>,
    message: &Message,
) -> Option<LetIn> {
    let at = Instant::now();
    let (mut outgoing, span) = Outgoing::of(bus, message)?;
    let arrival = Arrival { at, span };
    let taken = AssertUnwindSafe(|| take(bus, &mut outgoing, served.spec, message, at));
    let taken = catch_unwind(taken).unwrap_or_else(|_| Err(panicked()));
    let size = message.payload().len();
    let entered = taken.and_then(|taken| served.endpoint.gate.enter(size).map(|inside| (taken, inside)));
    let (bus, router, served) = (Rc::clone(bus), Rc::clone(router), Rc::clone(served));
    match entered {
        Ok((taken, inside)) => Some(LetIn { bus, router, served, outgoing, taken, inside, arrival }),
        Err(failure) => {
            answer(&bus, &served, outgoing, Outcome::Own(Err(failure)), arrival);
            None
        }
    }
}

impl LetIn {
    /// Runs the call, and answers.
    pub(super) fn run(self) -> impl Future<Output = ()> {
        let Self { bus, router, served, outgoing, taken, inside, arrival } = self;
        async move {
            let outcome = AssertUnwindSafe(attend(&bus, &router, served.spec, &outgoing, taken));
            let outcome = outcome.catch_unwind().await.unwrap_or_else(|_| Outcome::Own(Err(panicked())));
            answer(&bus, &served, outgoing, outcome, arrival);
            drop(inside);
        }
    }
}

/// A panic on the way is ours; its caller learns that at once.
fn panicked() -> Failure {
    Failure::unavailable("bus", PANICKED_MS)
}

/// When a message came, and the span of its handling if that is recorded.
struct Arrival {
    at: Instant,
    span: Option<Span>,
}

impl Arrival {
    /// Ends the span.
    fn end(self, name: &'static str, request_id: &str, failed: Option<&'static str>) {
        let Some(mut span) = self.span else { return };
        span.set("rpc.method", name);
        span.set("callboard.request_id", request_id.to_owned());
        if let Some(code) = failed {
            span.fail(code);
        }
    }
}

/// Sends the reply to an action's call, counts and tells of it.
fn answer(bus: &Rc<Bus>, served: &Served, mut outgoing: Outgoing, outcome: Outcome, arrival: Arrival) {
    let failure = outcome.failure();
    let (reason, refused) = (failure.and_then(Failure::reason), failure.and_then(Failure::refused));
    outgoing.failed = failure.map(Failed::of);
    let (format, now) = (outgoing.format, jiff::Timestamp::now());
    let body = outcome.write(format, outgoing.request_id.as_str(), now, bus.room.take());
    let sent = match bus.send(&outgoing, &body.parts()) {
        Err(size) => {
            let failure = too_large(size, bus.max_payload());
            outgoing.failed = Some(Failed::of(&failure));
            let body = Written::failure(format, outgoing.request_id.as_str(), failure, now, Vec::new());
            bus.send(&outgoing, &body.parts())
        }
        sent => sent,
    };
    bus.keep(body.into_room());
    let failed = outgoing.failed.as_ref().map(|failed| failed.code);
    let (action, request, took) = (served.spec.name, outgoing.request_id.as_str(), arrival.at.elapsed());
    served.endpoint.count(took, failed);
    match failed {
        Some(code) => {
            let trace = outgoing.trace.id();
            tracing::info!(action, request, code, reason, refused, ms = millis(took), trace, "failed");
        }
        None => tracing::debug!(action, request, ms = millis(took), "done"),
    }
    if sent.is_err() {
        tracing::warn!(action, "a reply did not fit the broker");
    }
    arrival.end(action, request, failed);
}

/// Has a call done. What only some calls need is in boxes of its own, so that others do not carry its room along.
#[allow(clippy::manual_async_fn, reason = "an async fn has room for its arguments twice")]
fn attend(
    bus: &Rc<Bus>,
    router: &Router,
    spec: &'static actions::Spec,
    outgoing: &Outgoing,
    taken: Taken,
) -> impl Future<Output = Outcome> {
    async move {
        match taken {
            Taken { parts: Some(lease), .. } => {
                Box::pin(in_parts(bus, router, spec, outgoing, taken, lease)).await
            }
            Taken { named: true, .. } => Box::pin(once::action(bus, router, spec, taken)).await,
            Taken { call, late: Some(late), .. } => {
                Outcome::Own(Err(call.origin.deadline.passed_in_queue(Some(late))))
            }
            Taken { call, token, .. } => {
                let _held = bus.held.hold(token, &call.origin);
                Outcome::Own(run(router, spec, call).await)
            }
        }
    }
}

/// Has a call done whose caller hears parts of its answer before the terminal reply.
async fn in_parts(
    bus: &Rc<Bus>,
    router: &Router,
    spec: &'static actions::Spec,
    outgoing: &Outgoing,
    mut taken: Taken,
    lease: Duration,
) -> Outcome {
    let (stream, parts) = Parts::begin(bus, outgoing.listener(&mut taken, lease));
    taken.call.origin.stream = Some(stream);
    let outcome = once::action(bus, router, spec, taken).await;
    parts.end().await;
    outcome
}

pub(super) fn too_large(size: usize, most: usize) -> Failure {
    let mut details = match Failure::response("data", format!("{size} bytes, the broker carries {most}")) {
        Failure::InvalidResponse(details) => details,
        other => return other,
    };
    details.reason = Some("too_large".to_owned());
    Failure::InvalidResponse(details)
}

/// A call as it came.
pub(super) struct Taken {
    pub(super) call: Call,
    /// What whoever cancels it must show.
    pub(super) token: Option<Token>,
    /// Whether its id is the caller's own, so that it may be a repeat.
    pub(super) named: bool,
    /// Whether its caller wants parts, and how long work goes on when nobody hears them.
    pub(super) parts: Option<Duration>,
    /// How much too late to be run it came, if it did.
    pub(super) late: Option<Duration>,
}

/// Reads what came into a call, or into the failure that answers it.
fn take(
    bus: &Bus,
    outgoing: &mut Outgoing,
    spec: &'static actions::Spec,
    message: &Message,
    arrived: Instant,
) -> Result<Taken, Failure> {
    crate::faults::point("intake");
    let headers = Headers::read(message.headers());
    let format = headers.format?;
    outgoing.format = format;
    let known = |name: &str| bus.knows(name);
    let request =
        envelope::Request::read(format, message.payload(), spec.name, known).map_err(|refused| {
            outgoing.bear(refused.request_id);
            refused.failure
        })?;
    outgoing.bear(request.request_id);
    if request.stream && !spec.streams {
        return Err(Failure::request("stream", "this action does not stream: leave it out"));
    }
    let project = match request.project {
        Some(project) => project,
        None => headers.project?,
    };
    let timeout = bus.settings.timeout(spec.name, spec.timeout_ms, request.timeout_ms);
    let begin = request.timestamp.filter(|_| bus.settings.trust_timestamps);
    let begin = begin.map(|at| u64::try_from(at.as_millisecond()).unwrap_or(0));
    let (deadline, late) = match deadline(arrived, timeout, begin, headers.deadline) {
        Ok(deadline) => (deadline, None),
        Err(late) => (Deadline { at: arrived, timeout }, Some(late)),
    };
    let named = request.timestamp.is_some();
    let parts = request.stream.then(|| Duration::from_millis(request.lease_ms.into()));
    let payload = request.payload.into_bytes(&message.to_payload());
    let id = outgoing.request_id.clone();
    let origin = Origin::new(id, outgoing.correlation, project, outgoing.trace.clone(), deadline);
    Ok(Taken { call: Call { origin, format, payload }, token: request.token, named, parts, late })
}

/// Runs a call to its end, or to its deadline.
pub(super) async fn run(router: &Router, spec: &'static actions::Spec, call: Call) -> Answer {
    let origin = call.origin.clone();
    let handled = router.action(spec.name, call);
    let outcome = tokio::select! {
        biased;
        // What the handler has begun sees it too, and ends.
        over = origin.cancel.over() => Err(match over {
            Over::Cancelled(by) => cancelled(by),
            Over::GivenUp => origin.deadline.passed_while_running(),
        }),
        outcome = handled => outcome,
    };
    // A page or batch whose parts were cancelled is no success.
    match origin.cancel.by() {
        Some(by) => Err(cancelled(by)),
        None => outcome,
    }
}

/// Handles a message on a channel's subject.
pub(super) async fn channel(
    bus: Rc<Bus>,
    router: Rc<Router>,
    spec: &'static channels::Spec,
    endpoint: Rc<Endpoint>,
    message: Message,
) {
    let at = Instant::now();
    let Some((mut outgoing, span)) = Outgoing::of(&bus, &message) else { return };
    let arrival = Arrival { at, span };
    let mut locale = Locale::default();
    let attended = async {
        let (call, operator) = take_channel(&bus, &mut outgoing, &mut locale, spec, &message)?;
        let _inside = endpoint.gate.enter(message.payload().len())?;
        once::channel(&bus, &router, spec, call, operator).await
    };
    let outcome = AssertUnwindSafe(attended).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Err(ChannelFailure::of(ChannelCode::ServiceFailure)));
    let (code, data, debug) = match outcome {
        Ok(ChannelAnswer::Silence) => return arrival.end(spec.name, outgoing.request_id.as_str(), None),
        Ok(ChannelAnswer::Data(data)) => (ChannelCode::Ok, Some(data), None),
        Err(failure) => (failure.code, failure.data, failure.debug),
    };
    let debug =
        debug.filter(|_| bus.settings.development).map(|message| channel::Debug { message, stack: None });
    let text = channel::text::of(code, &locale);
    outgoing.failed = code.number().map(|number| Failed { number, code: code.as_str(), text: text.message });
    let head = channel::Head {
        request_id: outgoing.request_id.as_str(),
        channel: spec.name,
        code,
        locale: &locale,
        debug,
        correlation_id: outgoing.correlation,
        duration_ms: millis(at.elapsed()),
        // No vault has been heard of while there is no such role.
        safe_storage_status: channel::SafeStorageStatus::Unavailable,
    };
    let body = channel::reply::<Value>(outgoing.format, &head, data.as_ref());
    if bus.send(&outgoing, &[&body]).is_err() {
        tracing::warn!(channel = spec.name, "a reply did not fit the broker");
        let code = ChannelCode::ServiceFailure;
        let text = channel::text::of(code, &locale);
        outgoing.failed =
            code.number().map(|number| Failed { number, code: code.as_str(), text: text.message });
        let body =
            channel::reply::<Value>(outgoing.format, &channel::Head { code, debug: None, ..head }, None);
        let _small_enough = bus.send(&outgoing, &[&body]);
    }
    let failed = outgoing.failed.as_ref().map(|failed| failed.code);
    endpoint.count(at.elapsed(), failed);
    arrival.end(spec.name, outgoing.request_id.as_str(), failed);
    tracing::debug!(channel = spec.name, code = code.as_str(), "answered");
}

fn take_channel(
    bus: &Bus,
    outgoing: &mut Outgoing,
    locale: &mut Locale,
    spec: &'static channels::Spec,
    message: &Message,
) -> Result<(ChannelCall, Option<Id>), ChannelFailure> {
    crate::faults::point("intake");
    let headers = Headers::read(message.headers());
    let format = headers.format.map_err(ChannelFailure::validation)?;
    outgoing.format = format;
    let request = channel::Request::read(format, message.payload(), spec.name).map_err(|refused| {
        outgoing.bear(refused.request_id);
        ChannelFailure::validation(refused.problem)
    })?;
    outgoing.bear(request.request_id);
    if let Some(context) = &request.context {
        locale.clone_from(&context.locale);
    }
    let now = millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    if request.timestamp.is_some_and(|at| at.abs_diff(now) > millis(CLOCK_DIFFERENCE)) {
        let problem = Problem::new("timestamp", "more than five minutes off the node's clock");
        return Err(ChannelFailure::validation(problem));
    }
    let project = match request.project {
        Some(project) => project,
        None => headers.project.map_err(ChannelFailure::validation)?,
    };
    let timeout = bus.settings.timeout(spec.name, spec.timeout_ms, None);
    let deadline = deadline(Instant::now(), timeout, None, headers.deadline)
        .map_err(|_| ChannelFailure::of(ChannelCode::Timeout))?;
    let payload = request.payload.into_bytes(&message.to_payload());
    let origin = Origin::new(
        outgoing.request_id.clone(),
        outgoing.correlation,
        project,
        outgoing.trace.clone(),
        deadline,
    );
    let operator = request.context.map(|context| context.operator_id);
    let reply_to = outgoing.reply_to().to_owned();
    Ok((ChannelCall { origin, format, payload, reply_to }, operator))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> u64 {
        millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
    }

    #[test]
    fn time_never_runs_past_arrival_and_timeout() {
        let second = Duration::from_secs(1);
        for (begin, end) in [(None, None), (Some(now() + 60_000), None), (None, Some(now() + 60_000))] {
            let left = deadline(Instant::now(), second, begin, end).unwrap().left();
            assert!(left <= second && left > second / 2);
        }
    }

    #[test]
    fn a_late_request_says_how_late_it_is() {
        let late = deadline(Instant::now(), Duration::from_secs(1), Some(now() - 5_000), None).unwrap_err();
        assert!((3_900..6_000).contains(&millis(late)));
    }

    #[test]
    fn a_deadline_header_counts_before_a_timestamp() {
        let left =
            deadline(Instant::now(), Duration::from_secs(9), Some(now() - 60_000), Some(now() + 2_000))
                .unwrap()
                .left();
        assert!(left > Duration::from_secs(1));
    }
}
