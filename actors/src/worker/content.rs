//! Macros in what an author wrote: finding them (`syntax`), rendering the page around them (`page`) and what stands in
//! the place of one that failed (`marker`). Pure functions; who runs the macros is elsewhere in the worker.

pub mod marker;
pub mod page;
pub mod syntax;

/// How the content is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CommonMark with tables, footnotes, strike-through and task lists.
    Markdown,
    /// HTML.
    Html,
}

/// What markdown is read with: the search for code and the rendering must agree.
fn markdown(content: &str) -> pulldown_cmark::Parser<'_> {
    use pulldown_cmark::{Options, Parser};
    let tables = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    Parser::new_ext(content, tables | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH)
}
