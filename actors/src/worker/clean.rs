//! Cleaning of what macros return, off the async threads where it can take long. What is let through is decided in
//! `html`.

use std::sync::Arc;

use protocol::Failure;
use protocol::abi::MacroResult;
use protocol::failure::InvalidResponse;
use protocol::writer::Writer;
use protocol::{Format, raw};

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
    let checked = raw::check_depth(format, bytes, raw::DEEPEST + 1)
        .and_then(|()| raw::read_object(format, bytes, "result"));
    checked.map_err(|problem| Failure::response(problem.path, problem.problem))
}

/// The result of a macro with its HTML cleaned, encoded.
///
/// # Errors
/// It is no macro result, or its HTML is past the limits.
pub async fn result(cleaner: &Arc<Cleaner>, format: Format, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let result = read(format, bytes)?;
    let html = html(cleaner, &result.html).await?;
    let entries = 1 + u32::from(result.data.is_some()) + u32::from(result.warnings.is_some());
    let mut writer = Writer::new(format, bytes.len());
    writer.object(entries);
    writer.key("html");
    writer.value(html.as_str());
    if let Some(data) = &result.data {
        writer.key("data");
        writer.raw(data);
    }
    if let Some(warnings) = &result.warnings {
        writer.key("warnings");
        writer.value(warnings);
    }
    writer.end_object();
    Ok(writer.finish())
}

/// HTML with nothing in it that is not on the list.
///
/// # Errors
/// It is past the limits.
pub async fn html(cleaner: &Arc<Cleaner>, text: &str) -> Result<String, Failure> {
    if text.len() <= SMALL {
        return clean(cleaner, text);
    }
    let (cleaner, text) = (Arc::clone(cleaner), text.to_owned());
    let cleaned = tokio::task::spawn_blocking(move || clean(&cleaner, &text)).await;
    cleaned.unwrap_or_else(|_| Err(Failure::unavailable("cleaner", 100)))
}

fn clean(cleaner: &Cleaner, text: &str) -> Result<String, Failure> {
    let cleaned =
        html::clean(text, cleaner).map_err(|exceeded| limits("result.html", exceeded.to_string()))?;
    Ok(cleaned.into_owned())
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
