//! The last touch to cleaned HTML: what the cleaner's list of names cannot say, and what its writer gets wrong.
//! Works on the writer's own output only, whose tags are all in order.

use super::names::Name;
use super::tokens::{Content, Tag, Token, Tokens};
use memchr::memmem;

/// The byte order mark, which a browser drops at the front of a document.
const MARK: char = '\u{feff}';

/// Drops frames without a source and the text inside frames. Writes line ends as a browser would read them, a line
/// feed after `<pre>` twice, because it drops one, and no byte order mark at the front.
pub(super) fn settle(html: String) -> String {
    let html = if html.contains('\r') { html.replace("\r\n", "\n").replace('\r', "\n") } else { html };
    let holds = |needle: &str| memmem::find(html.as_bytes(), needle.as_bytes()).is_some();
    let html = if holds("<iframe") || holds("<pre") { rewrite(&html) } else { html };
    match html.strip_prefix(MARK) {
        Some(rest) => rest.trim_start_matches(MARK).to_owned(),
        None => html,
    }
}

fn rewrite(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut tokens = Tokens::new(html);
    let mut in_pre = false;
    let mut at = 0;
    while let Some(token) = tokens.next(false) {
        let written = html.get(at..tokens.position()).unwrap_or_default();
        let mut after_pre = false;
        match token {
            Token::Start(tag) if tag.name == Name::Iframe => {
                let kept = has_source(&tag);
                after_pre = in_pre && !kept;
                if kept {
                    out.push_str(written);
                }
                tokens.enter(Content::Raw(Name::Iframe));
                let text = tokens.next(false);
                if matches!(text, Some(Token::Text(_))) {
                    tokens.next(false);
                }
                if kept {
                    out.push_str("</iframe>");
                }
            }
            Token::Text(text) if in_pre && text.starts_with('\n') => {
                out.push('\n');
                out.push_str(text);
            }
            _ => out.push_str(written),
        }
        in_pre = after_pre || matches!(token, Token::Start(tag) if tag.name == Name::Pre);
        at = tokens.position();
    }
    out
}

fn has_source(tag: &Tag<'_>) -> bool {
    tag.attributes().any(|attribute| attribute.name == "src")
}

#[cfg(test)]
mod tests {
    use super::settle;

    #[test]
    fn frames_keep_their_source_and_lose_their_text() {
        let check = |html: &str, expect: &str| assert_eq!(settle(html.to_owned()), expect, "{html}");
        check("a<iframe src=\"x\">text</iframe>b", "a<iframe src=\"x\"></iframe>b");
        check("a<iframe src=\"x\"></iframe>b", "a<iframe src=\"x\"></iframe>b");
        check("a<iframe title=\"src=\">text</iframe>b", "ab");
        check("a<iframe></iframe>b<iframe></iframe>", "ab");
        check("<p title=\"<iframe>\">x</p>", "<p title=\"<iframe>\">x</p>");
    }

    #[test]
    fn a_line_feed_that_a_browser_would_drop_is_written_twice() {
        let check = |html: &str, expect: &str| assert_eq!(settle(html.to_owned()), expect, "{html}");
        check("<pre>\na</pre>", "<pre>\n\na</pre>");
        check("<pre><b>\na</b></pre>", "<pre><b>\na</b></pre>");
        check("<pre>a\n</pre>", "<pre>a\n</pre>");
        check("<pre><iframe>a</iframe>\n</pre>", "<pre>\n\n</pre>");
    }

    #[test]
    fn line_ends_are_written_as_they_are_read() {
        assert_eq!(settle("a\r\nb\rc\n".to_owned()), "a\nb\nc\n");
        assert_eq!(settle("<pre>\r\na</pre>".to_owned()), "<pre>\n\na</pre>");
    }

    #[test]
    fn a_byte_order_mark_at_the_front_goes() {
        assert_eq!(settle("\u{feff}\u{feff}a\u{feff}".to_owned()), "a\u{feff}");
        assert_eq!(settle("<iframe></iframe>\u{feff}&amp;".to_owned()), "&amp;");
    }
}
