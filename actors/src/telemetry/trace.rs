//! Where a call stands in a trace ([W3C Trace Context](https://www.w3.org/TR/trace-context/)): what its caller said of
//! it, the spans that are recorded of it, and what goes on to others. How spans leave the node is in
//! `telemetry::export`.
//!
//! Whether a call is recorded is decided once, when it comes. One that is not costs its identifiers, or nothing at all
//! where nobody exports traces.

use std::fmt::Write as _;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span as Recording};

/// The header that names a trace and a span of it.
pub const PARENT: &str = "traceparent";
/// The header with what other systems keep about a trace.
pub const STATE: &str = "tracestate";

/// Longest `tracestate`, in bytes: as much as everybody must carry on.
const LONGEST_STATE: usize = 512;
/// Length of a `traceparent` of version 00, in bytes.
const LENGTH: usize = 55;

/// What makes spans; without an exporter it makes none, and only carries on what callers say.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<SdkTracer>);

/// The trace that a call belongs to, if it belongs to one. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Trace(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// The span that is the parent of what is done for the call.
    context: SpanContext,
    /// What records, if the call is recorded.
    tracer: Option<SdkTracer>,
}

/// A span that is being recorded. It ends when it is dropped.
#[derive(Debug)]
pub struct Span(Box<Recording>);

impl Tracer {
    /// One that hands what it records to an exporter.
    pub(super) const fn new(tracer: SdkTracer) -> Self {
        Self(Some(tracer))
    }

    /// Begins with a message that came on `subject`: the trace that it belongs to, and the span of its handling if that
    /// is recorded. `header` gives the message's headers.
    pub fn take<'a>(&self, subject: &str, header: impl Fn(&str) -> Option<&'a str>) -> (Trace, Option<Span>) {
        let parent = header(PARENT).and_then(|parent| read(parent, header(STATE)));
        let Some(tracer) = &self.0 else {
            return (Trace::of(parent, None), None);
        };
        let parent = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name("process").with_kind(SpanKind::Consumer);
        let span = tracer.build_with_context(builder, &parent);
        let context = Some(span.span_context().clone());
        if !span.is_recording() {
            return (Trace::of(context, None), None);
        }
        let mut span = Span(Box::new(span));
        span.is_message("process", subject);
        (Trace::of(context, Some(tracer.clone())), Some(span))
    }
}

impl Trace {
    fn of(context: Option<SpanContext>, tracer: Option<SdkTracer>) -> Self {
        Self(context.map(|context| Arc::new(Inner { context, tracer })))
    }

    /// Puts the headers that carry it on into `put`, names and values.
    pub fn headers(&self, mut put: impl FnMut(&str, &str)) {
        let Some(Inner { context, .. }) = self.0.as_deref() else { return };
        let mut text = String::with_capacity(LENGTH);
        let (trace, span) = (context.trace_id(), context.span_id());
        // Writing into a text cannot fail.
        let _written = write!(text, "00-{trace}-{span}-{:02x}", context.trace_flags().to_u8());
        put(PARENT, &text);
        if *context.trace_state() != TraceState::NONE {
            put(STATE, &context.trace_state().header());
        }
    }

    /// Begins a span of what is done for the call, if it is recorded; it began at `start`. The trace that is
    /// returned is what others inherit who are asked for a part of it: this one where nothing is recorded.
    #[must_use]
    pub fn child(&self, name: &'static str, kind: SpanKind, start: Instant) -> (Self, Option<Span>) {
        let Some(Inner { context, tracer: Some(tracer) }) = self.0.as_deref() else {
            return (self.clone(), None);
        };
        let parent = Context::new().with_remote_span_context(context.clone());
        let builder = SpanBuilder::from_name(name).with_kind(kind).with_start_time(wall(start));
        let span = tracer.build_with_context(builder, &parent);
        let inherited = Self::of(Some(span.span_context().clone()), Some(tracer.clone()));
        (inherited, Some(Span(Box::new(span))))
    }

    /// The trace's identifier for log lines, if the call is recorded.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let inner = self.0.as_deref()?;
        inner.tracer.as_ref().map(|_| inner.context.trace_id().to_string())
    }
}

impl Span {
    /// Names it after what is done with a message, as the
    /// [conventions for messaging](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/) say.
    pub fn is_message(&mut self, operation: &'static str, subject: &str) {
        self.0.update_name(format!("{operation} {subject}"));
        self.set("messaging.system", "nats");
        self.set("messaging.operation.name", operation);
        self.set("messaging.operation.type", operation);
        self.set("messaging.destination.name", subject.to_owned());
    }

    /// Notes an attribute. Content never is one.
    pub fn set(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Notes that what it stands for failed with the code `code`.
    pub fn fail(&mut self, code: &'static str) {
        self.set("error.type", code);
        self.0.set_status(Status::Error { description: code.into() });
    }
}

/// The time of day at `moment`.
fn wall(moment: Instant) -> SystemTime {
    SystemTime::now() - moment.elapsed()
}

/// Reads a `traceparent`, strictly but for what versions to come may add, and the `tracestate` beside it.
/// Of its flags only the one that version 00 defines is carried on.
fn read(parent: &str, state: Option<&str>) -> Option<SpanContext> {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (known, more) = parent.split_at_checked(LENGTH)?;
    let mut fields = known.split('-');
    let mut field = |length| fields.next().filter(|text| text.len() == length && is_hex(text));
    let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let may_be_longer = version != "00" && more.starts_with('-');
    if version == "ff" || !(more.is_empty() || may_be_longer) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let state = state.filter(|state| state.len() <= LONGEST_STATE);
    let state = state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    let context =
        SpanContext::new(TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?, flags, true, state);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn carried_on(parent: &str, state: Option<&str>) -> Vec<(String, String)> {
        let header = |name: &str| match name {
            PARENT => Some(parent),
            STATE => state,
            _ => None,
        };
        let (trace, span) = Tracer::default().take("macro.render", header);
        assert!(span.is_none(), "nothing is recorded where nothing is exported");
        let mut headers = Vec::new();
        trace.headers(|name, value| headers.push((name.to_owned(), value.to_owned())));
        headers
    }

    #[test]
    fn what_a_caller_says_goes_on_as_it_came() {
        let not_sampled = SAMPLED.replace("-01", "-00");
        for parent in [SAMPLED, &not_sampled] {
            assert_eq!(carried_on(parent, None), [(PARENT.to_owned(), parent.to_owned())]);
        }
        let with_state = carried_on(SAMPLED, Some("vendor=a,other=b"));
        assert_eq!(with_state[1], (STATE.to_owned(), "vendor=a,other=b".to_owned()));
    }

    #[test]
    fn a_later_version_is_taken_by_what_is_known_of_it() {
        let later = format!("{}-what-comes-then", SAMPLED.replace("00-4", "cc-4").replace("-01", "-09"));
        assert_eq!(carried_on(&later, None), [(PARENT.to_owned(), SAMPLED.to_owned())]);
    }

    #[test]
    fn what_is_no_traceparent_begins_no_trace() {
        let refused = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{e9}",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ",
        ];
        for parent in refused {
            assert_eq!(carried_on(parent, Some("vendor=a")), [], "{parent}");
        }
    }

    #[test]
    fn a_state_that_is_too_long_or_broken_is_left_out() {
        for state in [format!("a={}", "b".repeat(LONGEST_STATE)), "no state".to_owned()] {
            assert_eq!(carried_on(SAMPLED, Some(&state)).len(), 1);
        }
    }
}
