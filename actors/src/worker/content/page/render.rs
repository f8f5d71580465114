//! Markdown to HTML, no further than the page may be long. Cleaning comes after it.

use super::super::markdown;
use crate::worker::html::limits::{Exceeded, Limit};
use pulldown_cmark::{CowStr, Event, Tag, TagEnd, html};
use std::collections::HashMap;
use std::fmt;

/// Renders markdown into at most `most` bytes. `restore` gives the text of code in which placeholders stand.
pub(super) fn render(
    content: &str,
    restore: impl Fn(&str) -> Option<String>,
    most: usize,
) -> Result<String, Exceeded> {
    let mut in_code = false;
    let mut notes = Notes::default();
    let text = |text: CowStr<'_>| restore(&text).map_or(text.into_static(), CowStr::from);
    let events = markdown::read(content)?.map(|event| {
        match event {
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            _ => {}
        }
        match event {
            Event::Code(code) => Event::Code(text(code)),
            Event::Text(code) if in_code => Event::Text(text(code)),
            // Boxes are form elements, which do not outlive the cleaning.
            Event::TaskListMarker(done) => Event::Text(CowStr::from(if done { "☑ " } else { "☐ " })),
            other => notes.without_links(other),
        }
    });
    let mut out = Bounded { html: String::with_capacity(content.len()), most };
    html::write_html_fmt(&mut out, events).map_err(|fmt::Error| Exceeded {
        limit: Limit::Bytes,
        found: most.saturating_add(1),
        allowed: most,
    })?;
    Ok(align(out.html))
}

/// The numbers of footnotes, in the order in which they are met.
#[derive(Default)]
struct Notes<'a>(HashMap<CowStr<'a>, usize>);

impl<'a> Notes<'a> {
    fn number(&mut self, name: CowStr<'a>) -> usize {
        let next = self.0.len().saturating_add(1);
        *self.0.entry(name).or_insert(next)
    }

    /// Footnotes are numbers and no links: what they would lead to are ids, which do not outlive the cleaning, since a page
    /// may come to stand beside others that have the same.
    fn without_links(&mut self, event: Event<'a>) -> Event<'a> {
        match event {
            Event::FootnoteReference(name) => {
                let number = self.number(name);
                Event::InlineHtml(format!("<sup class=\"footnote-reference\">{number}</sup>").into())
            }
            Event::Start(Tag::FootnoteDefinition(name)) => {
                let number = self.number(name);
                let label = format!("<sup class=\"footnote-definition-label\">{number}</sup>");
                Event::Html(format!("<div class=\"footnote-definition\">{label}\n").into())
            }
            Event::End(TagEnd::FootnoteDefinition) => Event::Html("</div>\n".into()),
            other => other,
        }
    }
}

/// Columns are aligned by an attribute that outlives the cleaning, where the renderer writes a style.
fn align(html: String) -> String {
    if !html.contains(" style=\"text-align: ") {
        return html;
    }
    ["left", "center", "right"].iter().fold(html, |html, side| {
        html.replace(&format!(" style=\"text-align: {side}\""), &format!(" align=\"{side}\""))
    })
}

/// A string that takes no more than it may hold.
struct Bounded {
    html: String,
    most: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.html.len().saturating_add(text.len()) > self.most {
            return Err(fmt::Error);
        }
        self.html.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::render;

    fn html(content: &str) -> String {
        render(content, |_| None, 10_000).unwrap()
    }

    #[test]
    fn footnotes_are_numbered_as_they_are_met_and_lead_nowhere() {
        let page = html("One[^b], two[^a], one[^b].\n\n[^a]: The second.\n\n[^b]: The *first*.\n");
        let reference = |number| format!("<sup class=\"footnote-reference\">{number}</sup>");
        let text = format!("<p>One{}, two{}, one{}.</p>\n", reference(1), reference(2), reference(1));
        let note = |number, text| {
            format!(
                "<div class=\"footnote-definition\"><sup class=\"footnote-definition-label\">{number}</sup>\n<p>{text}</p>\n</div>\n"
            )
        };
        assert_eq!(page, format!("{text}{}{}", note(2, "The second."), note(1, "The <em>first</em>.")));
    }

    #[test]
    fn tables_keep_their_alignment_and_tasks_their_state() {
        let table = html("|a|b|\n|:-:|--:|\n|1|2|\n");
        assert!(table.contains("<th align=\"center\">a</th><th align=\"right\">b</th>"), "{table}");
        assert_eq!(html("- [x] a\n- [ ] b"), "<ul>\n<li>☑ a</li>\n<li>☐ b</li>\n</ul>\n");
    }

    #[test]
    fn quotes_stay_as_they_are_typed_and_headings_have_no_attributes() {
        assert_eq!(html("\"a\" -- 'b'... {#x}"), "<p>\"a\" -- 'b'... {#x}</p>\n");
        assert_eq!(html("# a {#x .y}"), "<h1>a {#x .y}</h1>\n");
    }

    #[test]
    fn rendering_stops_where_the_page_is_full() {
        let error = render(&">".repeat(1000), |_| None, 1000).unwrap_err();
        assert_eq!((error.found, error.allowed), (1001, 1000));
    }
}
