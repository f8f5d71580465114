//! Tests of `canonical`: what needs no parser is what the parser makes of it, and what is not surely so goes to it.

use super::{Canonical, MOST_EDITS, cleaned, is_element};
use crate::worker::html::{Cleaner, Token, clean, clean_thoroughly, limits};
use proptest::prelude::*;

/// What becomes of HTML without the parser, if it can be told.
fn without_parser(html: &str) -> Option<String> {
    cleaned(html, &limits::MACRO).ok()?.map(std::borrow::Cow::into_owned)
}

#[test]
fn every_element_is_one_that_the_cleaner_lets_stay() {
    let cleaner = Cleaner::default();
    let allowed = cleaner.builder.clone_tags();
    let standard = "a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink blockquote body br \
                    button canvas caption center cite code col colgroup command content data datalist dd del details dfn dialog dir \
                    div dl dt em embed fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup \
                    hr html i iframe image img input ins isindex kbd keygen label legend li link listing main map mark marquee math \
                    menu menuitem meta meter nav nobr noembed noframes noscript object ol optgroup option output p param picture \
                    plaintext portal pre progress q rb rp rt rtc ruby s samp script search section select shadow slot small source \
                    spacer span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time title \
                    tr track tt u ul var video wbr xmp";
    let taken: Vec<&str> = standard.split_ascii_whitespace().filter(|name| is_element(name)).collect();
    assert!(taken.len() > 50, "{taken:?}");
    for name in taken {
        assert!(allowed.contains(name), "{name}");
    }
}

#[test]
fn what_gets_too_much_by_the_edits_is_refused_as_the_cleaner_refuses_it() {
    let cleaner = Cleaner::default();
    let attributes = |count: usize| (0..count).map(|n| format!(" data-{n}=\"\"")).collect::<String>();
    for html in [
        format!("<a{}>x</a>", attributes(63)),
        format!("<a{}>x</a>", attributes(64)),
        format!("<p{}>x</p>", attributes(65)),
        format!("<br>{}", ">".repeat(limits::MACRO.references + 1)),
        format!("{}{}", "<a></a>".repeat(16_000), "<br>".repeat(33_000)),
        format!("<b>{}</b>", "&quot;".repeat(20_000)),
        "<a></a>".repeat(36_000),
    ] {
        let expected = clean_thoroughly(&html, &cleaner);
        assert_eq!(
            clean(&html, &cleaner).map(std::borrow::Cow::into_owned),
            expected,
            "{} bytes",
            html.len()
        );
    }
}

#[test]
fn a_tag_of_many_attributes_is_refused_before_they_are_compared() {
    let attributes: String = (0..20_000).map(|n| format!(" data-{n:04x}=\"\"")).collect();
    let mut most = 0;
    let refused = limits::survey_with(&format!("<p></p><p{attributes}></p>"), &limits::MACRO, |token, _| {
        if let Token::Start(tag) = token {
            most = most.max(tag.attributes + 1);
        }
    });
    assert_eq!((refused.unwrap_err().limit, most), (limits::Limit::Attributes, 1));
}

#[test]
fn text_that_needs_many_edits_is_left_to_the_cleaner_without_noting_them_all() {
    let limits = limits::MACRO;
    let mut seen = Canonical { is: true, limits: &limits, seen: 0, links: 0, edits: Vec::new() };
    assert!(!seen.text(&">".repeat(10 * MOST_EDITS), 0, false));
    assert!(seen.edits.len() <= MOST_EDITS + 1);
}

#[test]
fn what_templates_make_needs_no_parser_and_is_what_the_parser_makes_of_it() {
    let cleaner = Cleaner::default();
    for html in [
        "<p>a</p>",
        "<p>Don&#x27;t &quot;quote&quot; &amp; don't \"quote\" &lt;b&gt; &#39;&#34; &nbsp;</p>\n",
        "<figure class=\"g x\"><img src=\"/a/b-1.jpg?x=1#y\" alt=\"A &quot;b&quot; &#x27;c&#x27; &amp;\" width=\"10\"><br></figure>",
        "<div data-words=\"[1,2]\" data-a-b=\"\" title=\"\u{e4}\u{2028}\">\u{c4} \u{20ac} \u{ff0c} \u{a9}</div>",
        "<ul><li><a href=\"/tag/x/\" class=\"t\">x</a></li></ul>",
        "<a href=\"https://example.org/a?b=c\">x</a><a>y</a>",
        "<table><thead><tr><th colspan=\"2\">a</th></tr></thead><tbody>\n<tr><td>1</td></tr></tbody></table>",
        "a > b",
    ] {
        let expected = clean_thoroughly(html, &cleaner).unwrap();
        assert_eq!(without_parser(html), Some(expected), "{html}");
    }
}

/// What may be read in another way than it is written, or written in another way than it is read.
const ODD: &[&str] = &[
    "<script>x</script>",
    "<P>a</P>",
    "<p >a</p>",
    "<p>a</p >",
    "<p class=a>b</p>",
    "<p class='a'>b</p>",
    "<p class = \"a\">b</p>",
    "<p  class=\"a\">b</p>",
    "<p\nclass=\"a\">b</p>",
    "<p class=\"a\" class=\"b\">c</p>",
    "<p class=\"a\"title=\"b\">c</p>",
    "<p class=\"a\"/>",
    "<p class>b</p>",
    "<p onclick=\"a\">b</p>",
    "<p style=\"a\">b</p>",
    "<p id=\"a\">b</p>",
    "<p data-=\"a\">b</p>",
    "<p data-A=\"a\">b</p>",
    "<p title=\"<b>\">b</p>",
    "<p title=\"&copy;\">b</p>",
    "<p>&copy;</p>",
    "<p>&#60;</p>",
    "<p>&</p>",
    "<p>a</b>",
    "<p>a",
    "<p>a</p><",
    "<p>a</p></",
    "<p>a</p><!",
    "<p>a</p><p",
    "<p>a</p></p",
    "<img src=x onerror=alert(1)",
    "<p>a</p><img src=\"x\" onerror=\"alert(1)\"",
    "<p>a</p><p class=\"a",
    "<p><p>a</p></p>",
    "<b><p>a</b></p>",
    "<tr><td>a</td></tr>",
    "<table><tr><td>a</td></tr></table>",
    "<table>a</table>",
    "<table><tfoot><tr><td>a</td></tr></tfoot></table>",
    "<pre>\na</pre>",
    "<iframe src=\"https://youtube.com/x\"></iframe>",
    "<img src=\"javascript:alert(1)\">",
    "<img src=\"//evil.example/x\">",
    "<img src=\"x.jpg\">",
    "<img src=\"/a&amp;b\">",
    "<img src=\"/a\\b\">",
    "<img src=\"/a b\">",
    "<img src=\"https://\">",
    "<img src=\"https:evil.example\">",
    "<img src=\"data:image/png;base64,x\">",
    "<a href=\"/x\" rel=\"opener\">x</a>",
    "<a href=\"/x\" target=\"_top\">x</a>",
    "<!-- a --><p>b</p>",
    "<!doctype html><p>b</p>",
    "\u{feff}<p>b</p>",
    "<p>\u{a0}</p>",
    "<p>\r\n</p>",
    "<p>\0</p>",
    "<p>a < b</p>",
    "<svg><p>a</p></svg>",
];

#[test]
fn whatever_may_be_read_in_another_way_goes_to_the_parser() {
    for html in ODD {
        assert_eq!(without_parser(html), None, "{html}");
    }
}

const TAGS: &[&str] = &[
    "<p>",
    "</p>",
    "<div class=\"a\">",
    "</div>",
    "<b>",
    "</b>",
    "<a href=\"/x\">",
    "</a>",
    "<a>",
    "<br>",
    "<img src=\"/a.jpg\" alt=\"b &#x27; &quot;\">",
    "<ul>",
    "<li>",
    "</li>",
    "</ul>",
    "<table>",
    "<tbody>",
    "<tr>",
    "<td colspan=\"2\">",
    "</td>",
    "</tr>",
    "</tbody>",
    "</table>",
    "<h1>",
    "</h1>",
    "<h2>",
    "</h2>",
    "<hr>",
    "<span title=\"&amp;&lt;\">",
    "</span>",
    "<dl>",
    "<dt>",
    "</dt>",
    "<dd>",
    "</dd>",
    "</dl>",
    "<caption>",
    "</caption>",
    "<code>",
    "</code>",
    "<figure>",
    "</figure>",
    "<p data-a=\"[1]\">",
    "<a href=\"https://a.example/?b\" title=\"c\">",
    "<blockquote>",
    "</blockquote>",
    "<q>",
    "</q>",
];

const TEXT: &[&str] = &[
    "x",
    " ",
    "\n",
    "&amp;",
    "&quot;",
    "&#x27;",
    "&#39;",
    "&#34;",
    "&gt;",
    ">",
    "\"",
    "'",
    "\u{e9}",
    "\u{ff0c}",
    "&nbsp;",
    "&ampx",
    "&amp;lt;",
    "\u{2028}",
    "\u{85}",
    "<",
    "</",
    "<p",
    "<img src=\"/a",
    "<!",
    "\u{fffe}",
];

/// HTML that is nearly as templates make it.
fn html() -> impl Strategy<Value = String> {
    let pairs = [
        ("<p>", "</p>"),
        ("<div>", "</div>"),
        ("<a href=\"/x\">", "</a>"),
        ("<b>", "</b>"),
        ("<li>", "</li>"),
    ];
    let leaf = prop_oneof![
        1 => proptest::sample::select(TAGS.to_vec()).prop_map(str::to_owned),
        4 => proptest::sample::select(TEXT.to_vec()).prop_map(str::to_owned),
    ];
    // Pairs around anything, so that much of it is in order.
    leaf.prop_recursive(4, 40, 6, move |inner| {
        (proptest::sample::select(pairs.to_vec()), proptest::collection::vec(inner, 0..6))
            .prop_map(|((open, close), inner)| format!("{open}{}{close}", inner.concat()))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn what_needs_no_parser_is_what_the_parser_makes_of_it(pieces in proptest::collection::vec(html(), 0..6)) {
        let html = pieces.concat();
        if let Some(cleaned) = without_parser(&html) {
            let expected = clean_thoroughly(&html, &Cleaner::default());
            prop_assert_eq!(Ok(cleaned), expected, "{}", html);
        }
    }
}
