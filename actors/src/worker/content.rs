//! Macros in what an author wrote: finding them (`syntax`), rendering the page around them (`page`) and what stands in
//! the place of one that failed (`marker`). Pure functions; who runs the macros is elsewhere in the worker.

mod markdown;
pub mod marker;
pub mod page;
pub mod syntax;

use super::html::limits;

/// How the content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CommonMark with tables, footnotes, strike-through and task lists.
    Markdown,
    /// HTML.
    Html,
}

/// The content holds more than a page may. Names no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too many macros, or parameters in a macro.
    #[error(transparent)]
    TooMany(#[from] syntax::TooMany),
    /// The content or the HTML it makes is over the limits.
    #[error(transparent)]
    Exceeded(#[from] limits::Exceeded),
}
