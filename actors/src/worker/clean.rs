//! Cleaning of what macros return, off the async threads where it can take long. What is let through is decided in
//! `html`.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use protocol::Failure;
use protocol::abi::MacroResult;
use protocol::failure::InvalidResponse;
use protocol::writer::Writer;
use protocol::{Format, Problem, raw};
use tokio::sync::Semaphore;

use super::html::{self, Cleaner};

/// Up to this many bytes of HTML are cleaned where they are: that takes less than handing them to another thread
/// and back, and the limits of `html` bound it.
const SMALL: usize = 2 * 1024;
/// Largest encoded result of a macro, in bytes.
const LARGEST: usize = 1 << 20;

/// Reads what a macro returned. The bytes are from a cell and may be anything.
///
/// # Errors
/// They are no macro result, or too large.
pub fn read(format: Format, bytes: &[u8]) -> Result<MacroResult<'_>, Failure> {
    if bytes.len() > LARGEST {
        return Err(limits("result", format!("{} bytes, at most {LARGEST} are allowed", bytes.len())));
    }
    let result: MacroResult<'_> = raw::read_object(format, bytes, "result").map_err(broken)?;
    // How deep the rest is its type says.
    if let Some(data) = &result.data {
        raw::check_depth(format, data.bytes(), raw::DEEPEST)
            .map_err(|problem| Failure::response("result.data", problem.problem))?;
    }
    Ok(result)
}

/// The HTML of a macro's result.
///
/// # Errors
/// It is no text.
pub fn html<'a>(result: &MacroResult<'a>) -> Result<Cow<'a, str>, Failure> {
    result.html.read("result.html").map_err(broken)
}

fn broken(problem: Problem) -> Failure {
    Failure::response(problem.path, problem.problem)
}

/// Cleans HTML.
#[derive(Debug)]
pub struct Cleaning {
    /// What is let through.
    pub cleaner: Arc<Cleaner>,
    /// Threads that clean at once: more than there are cores would only take memory.
    threads: Arc<Semaphore>,
    /// How many of them one call may have.
    share: usize,
}

impl Cleaning {
    /// Cleans on at most `threads` threads at once what takes long.
    #[must_use]
    pub fn new(cleaner: Cleaner, threads: usize) -> Self {
        let share = threads.div_ceil(2);
        Self { cleaner: Arc::new(cleaner), threads: Arc::new(Semaphore::new(threads)), share }
    }

    /// A limit for the parts of one call, so that other calls have their turns between them.
    #[must_use]
    pub fn share(&self) -> Semaphore {
        Semaphore::new(self.share)
    }

    /// HTML with nothing in it that is not on the list; `None` if there is nothing else in `text`.
    ///
    /// # Errors
    /// It is past the limits.
    pub async fn html(&self, text: &str) -> Result<Option<String>, Failure> {
        if text.len() <= SMALL {
            return clean(&self.cleaner, text);
        }
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        let (cleaner, text) = (Arc::clone(&self.cleaner), text.to_owned());
        // The thread is taken until it is done, also if nobody waits for it any more.
        let cleaned = tokio::task::spawn_blocking(move || (clean(&cleaner, &text), thread).0).await;
        cleaned.unwrap_or_else(|_| Err(Failure::unavailable("cleaner", 100)))
    }

    /// The result of a macro with its HTML cleaned, encoded.
    ///
    /// # Errors
    /// It is no macro result, or its HTML is past the limits.
    pub async fn result(&self, format: Format, bytes: &Bytes) -> Result<Bytes, Failure> {
        let result = read(format, bytes)?;
        let html = html(&result)?;
        let cleaned = self.html(&html).await?;
        Ok(cleaned.map_or_else(|| bytes.clone(), |html| encode(format, bytes.len(), &result, &html)))
    }
}

/// A macro's result with `html` in the place of its own, in about `size` bytes.
fn encode(format: Format, size: usize, result: &MacroResult<'_>, html: &str) -> Bytes {
    let entries = 1 + u32::from(result.data.is_some()) + u32::from(result.warnings.is_some());
    let mut writer = Writer::new(format, size);
    writer.object(entries);
    writer.key("html");
    writer.text(html);
    if let Some(data) = &result.data {
        writer.key("data");
        writer.raw(data);
    }
    if let Some(warnings) = &result.warnings {
        writer.key("warnings");
        writer.value(warnings);
    }
    writer.end_object();
    writer.finish().into()
}

fn clean(cleaner: &Cleaner, text: &str) -> Result<Option<String>, Failure> {
    match html::clean(text, cleaner) {
        Ok(Cow::Borrowed(_)) => Ok(None),
        Ok(Cow::Owned(cleaned)) => Ok(Some(cleaned)),
        Err(exceeded) => Err(limits("result.html", exceeded.to_string())),
    }
}

fn limits(path: &str, problem: String) -> Failure {
    let reason = Some("html_limits".to_owned());
    Failure::InvalidResponse(InvalidResponse {
        path: path.to_owned(),
        problem,
        reason,
        ..InvalidResponse::default()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_is_nested_too_deep_is_refused_wherever_it_stands() {
        let read = |json: String| read(Format::Json, json.as_bytes()).map(|_| ());
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        read(format!(r#"{{"html":"","data":{}}}"#, nested(raw::DEEPEST))).unwrap();
        for deep in [
            format!(r#"{{"html":"","data":{}}}"#, nested(raw::DEEPEST + 1)),
            format!(r#"{{"html":"","data":{}}}"#, nested(LARGEST / 4)),
            format!(r#"{{"html":"","warnings":{}}}"#, nested(LARGEST / 4)),
            format!(r#"{{"html":{}}}"#, nested(LARGEST / 4)),
            format!(r#"{{"html":"","other":{}}}"#, nested(LARGEST / 4)),
            nested(LARGEST / 4),
        ] {
            assert!(matches!(read(deep), Err(Failure::InvalidResponse(_))));
        }
    }

    #[test]
    fn a_result_that_is_clean_goes_back_as_it_came() {
        let cleaning = Cleaning::new(Cleaner::default(), 1);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let cleaned = |format, bytes: &'static [u8]| {
            runtime.block_on(cleaning.result(format, &Bytes::from_static(bytes))).unwrap()
        };
        let as_it_came = br#"{ "html" : "<b>x</b>" }"#;
        assert_eq!(cleaned(Format::Json, as_it_came).as_ptr(), as_it_came.as_ptr());
        assert_eq!(
            cleaned(Format::Json, br#"{"html":"<b onclick=a>x</b>"}"#),
            &br#"{"html":"<b>x</b>"}"#[..]
        );
        let packed = b"\x81\xa4html\xa1x";
        assert_eq!(cleaned(Format::MessagePack, packed).as_ptr(), packed.as_ptr());
    }

    #[test]
    fn a_thread_is_taken_until_it_is_done_though_nobody_waits() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let cleaning = Cleaning::new(Cleaner::default(), 2);
            let (go, held) = mpsc::channel::<()>();
            // The only thread is busy, so that what is to be cleaned cannot be done yet.
            let busy = tokio::task::spawn_blocking(move || held.recv());
            let long = format!("<i>{}</i>", "a".repeat(2 * SMALL));
            let mut given_up = Box::pin(cleaning.html(&long));
            assert!(futures_util::poll!(&mut given_up).is_pending());
            drop(given_up);
            assert_eq!(cleaning.threads.available_permits(), 1);
            go.send(()).unwrap();
            busy.await.unwrap().unwrap();
            drop(cleaning.threads.acquire_many(2).await.unwrap());
        });
    }
}
