//! Tests of `canonical`: what needs no parser is what the parser makes of it, and what is not surely so goes to it.

use super::Canonical;
use crate::worker::html::{Cleaner, clean_thoroughly, limits};
use proptest::prelude::*;

/// What becomes of HTML without the parser, if it can be told.
fn without_parser(html: &str) -> Option<String> {
    let mut canonical = Canonical::new();
    let survey = limits::survey_with(html, &limits::MACRO, |token, end| canonical.see(token, end)).ok()?;
    canonical.cleaned(html).filter(|_| survey.regular).map(std::borrow::Cow::into_owned)
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

#[test]
fn whatever_may_be_read_in_another_way_goes_to_the_parser() {
    for html in [
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
    ] {
        assert_eq!(without_parser(html), None, "{html}");
    }
}

/// HTML that is nearly as templates make it.
fn html() -> impl Strategy<Value = String> {
    let tags = [
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
    let text = [
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
    let pairs = [
        ("<p>", "</p>"),
        ("<div>", "</div>"),
        ("<a href=\"/x\">", "</a>"),
        ("<b>", "</b>"),
        ("<li>", "</li>"),
    ];
    let leaf = prop_oneof![
        1 => proptest::sample::select(tags.to_vec()).prop_map(str::to_owned),
        4 => proptest::sample::select(text.to_vec()).prop_map(str::to_owned),
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
