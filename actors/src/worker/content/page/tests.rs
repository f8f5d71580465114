//! Tests of the page: what is spliced where, and that author and macros cannot reach into each other.

use super::{Page, Piece, Place};
use crate::worker::content::Format::{self, Html, Markdown};
use crate::worker::html::{Cleaner, clean, clean_author, limits};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn page(content: &str, format: Format) -> Page {
    Page::new(content, format, &Cleaner::default()).unwrap()
}

/// The page with `html` in every macro's place.
fn with(content: &str, format: Format, html: &str) -> String {
    let page = page(content, format);
    let pieces = page.macros().iter().map(|_| Piece::Html(html.to_owned())).collect();
    page.splice(pieces).unwrap()
}

fn unchanged(content: &str, format: Format) -> String {
    page(content, format).splice(Vec::new()).unwrap()
}

fn places(content: &str, format: Format) -> Vec<Place> {
    page(content, format).macros().iter().map(|placed| placed.place).collect()
}

#[test]
fn macros_are_spliced_where_they_stand() {
    for (content, expect) in [
        ("no macro", "<p>no macro</p>\n"),
        ("a [[m]] b", "<p>a <i>x</i> b</p>\n"),
        ("a[[m]]b[[n]]", "<p>a<i>x</i>b<i>x</i></p>\n"),
        ("**[[m]]**", "<p><strong><i>x</i></strong></p>\n"),
        ("_[[m]]_ *a[[m]]*", "<p><em><i>x</i></em> <em>a<i>x</i></em></p>\n"),
        ("# [[m]]", "<h1><i>x</i></h1>\n"),
        ("- [[m a=\"*b*\"]]\n- [ ] [[n]]", "<ul>\n<li><i>x</i></li>\n<li>☐ <i>x</i></li>\n</ul>\n"),
        ("[[[m]]](/u)", "<p><a href=\"/u\" rel=\"noopener noreferrer\"><i>x</i></a></p>\n"),
        ("<div>[[m]]</div>", "<div><i>x</i></div>"),
        ("[[m k=\"|\n# <b>` *\"]] c", "<p><i>x</i> c</p>\n"),
        ("a [[m\nk=1]]\nb", "<p>a <i>x</i>\nb</p>\n"),
    ] {
        assert_eq!(with(content, Markdown, "<i>x</i>"), expect, "{content}");
    }
    let table = with("|[[m k=\"a|b\"]]|\n|---|\n|[[n]]|", Markdown, "<i>x</i>");
    assert!(table.contains("<th><i>x</i></th>") && table.contains("<td><i>x</i></td>"), "{table}");
}

#[test]
fn html_content_is_not_rendered() {
    assert_eq!(with("*a* [[m]] &amp; <b>[[n]]</b>", Html, "<i>x</i>"), "*a* <i>x</i> &amp; <b><i>x</i></b>");
    assert_eq!(with("[[m]]", Html, "<i>x</i>"), "<i>x</i>");
    assert_eq!(
        with("<table>[[m]]<tr><td>[[m]]</table>", Html, "x"),
        "x<table><tbody><tr><td>x</td></tr></tbody></table>"
    );
}

#[test]
fn a_paragraph_around_blocks_alone_goes() {
    for (content, expect) in [
        ("[[m]]", "<div>x</div>\n"),
        ("[[m]]\n[[n]]", "<div>x</div>\n<div>x</div>\n"),
        ("a\n\n[[m]]\n\nb", "<p>a</p>\n<div>x</div>\n<p>b</p>\n"),
        ("> [[m]]", "<blockquote>\n<div>x</div>\n</blockquote>\n"),
        ("a [[m]]", "<p>a <div>x</div></p>\n"),
        ("*[[m]]*", "<p><em><div>x</div></em></p>\n"),
        ("<p class=a>[[m]]</p>", "<p class=\"a\"><div>x</div></p>"),
    ] {
        assert_eq!(with(content, Markdown, "<div>x</div>"), expect, "{content}");
    }
    assert_eq!(with("[[m]]", Markdown, "2024"), "<p>2024</p>\n");
    assert_eq!(with("[[m]]", Markdown, "<b>a</b>"), "<p><b>a</b></p>\n");
    assert_eq!(with("a\n\n[[m]]\n", Markdown, ""), "<p>a</p>\n\n");
    assert_eq!(unchanged("[[m]]", Markdown), "<p>[[m]]</p>\n");
    let mixed = page("[[m]] [[n]]", Markdown);
    assert_eq!(mixed.splice(vec![Piece::Html("<hr>".into()), Piece::Source]).unwrap(), "<hr> [[n]]\n");
}

#[test]
fn a_macro_left_alone_shows_its_source() {
    let source = "[[m a=\"<b>&amp;\" c='d']]";
    assert_eq!(
        unchanged(&format!("x {source}"), Markdown),
        "<p>x [[m a=&quot;&lt;b&gt;&amp;amp;&quot; c='d']]</p>\n"
    );
    assert_eq!(unchanged(&format!("x {source}"), Html), "x [[m a=&quot;&lt;b&gt;&amp;&quot; c='d']]");
}

#[test]
fn an_escaped_macro_shows_its_brackets() {
    assert_eq!(with("\\[[m]] [[n]]", Markdown, "x"), "<p>[[m]] x</p>\n");
    assert_eq!(with("\\[[m]] [[n]] \\[[ \\a", Html, "x"), "[[m]] x \\[[ \\a");
    assert_eq!(with("\\\\[[m]]", Markdown, "x"), "<p>\\x</p>\n");
}

#[test]
fn a_macro_in_a_tag_stays_its_source_and_says_so() {
    for (content, expect) in [
        (
            "[a](/u \"[[m k='1']]\")",
            "<p><a href=\"/u\" title=\"[[m k='1']]\" rel=\"noopener noreferrer\">a</a></p>\n",
        ),
        ("[a](/u/[[m]])", "<p><a href=\"/u/[[m]]\" rel=\"noopener noreferrer\">a</a></p>\n"),
        ("![[[m k=\"b\"]]](/i)", "<p><img src=\"/i\" alt=\"[[m k=&quot;b&quot;]]\"></p>\n"),
        (
            "[a][r] [b][r]\n\n[r]: /u '[[m]]'",
            "<p><a href=\"/u\" title=\"[[m]]\" rel=\"noopener noreferrer\">a</a> \
             <a href=\"/u\" title=\"[[m]]\" rel=\"noopener noreferrer\">b</a></p>\n",
        ),
    ] {
        assert_eq!(places(content, Markdown), [Place::Misplaced], "{content}");
        assert_eq!(
            with(content, Markdown, "\" onclick=\"alert(1)\"><script>x</script>"),
            expect,
            "{content}"
        );
    }
    // Both in the address and in the text of the link.
    let both = "<http://a.example/[[m]]>";
    assert_eq!(places(both, Markdown), [Place::Text]);
    assert_eq!(
        with(both, Markdown, "<i>x</i>"),
        "<p><a href=\"http://a.example/[[m]]\" rel=\"noopener noreferrer\">http://a.example/<i>x</i></a></p>\n"
    );
}

#[test]
fn no_macro_makes_an_address_dangerous() {
    for content in [
        "[a]([[m]]javascript:alert(1))",
        "[a](java[[m]]script:alert(1))",
        "[a]([[m k=\"javascript:alert(1)\"]])",
        "[a]([[m]]:alert(1))",
        "![a](data:[[m]])",
    ] {
        let html = unchanged(content, Markdown);
        assert!(!html.contains("href=\"java") && !html.contains("src=\"data"), "{html}");
    }
}

#[test]
fn macros_in_what_is_taken_out_or_turns_out_to_be_code_are_gone() {
    // The macro's own backtick begins no code, so that the later ones do.
    let content = "[[a k=`]] b ` [[m]] ` c";
    assert_eq!(places(content, Markdown), [Place::Text, Place::Gone]);
    assert_eq!(with(content, Markdown, "x"), "<p>x b <code>[[m]]</code> c</p>\n");
    assert_eq!(places("<template>[[m]]</template>", Html), [Place::Gone]);
    assert_eq!(with("a<select><template>[[m]]</template></select>b", Html, "x"), "ab");
}

#[test]
fn placeholders_cannot_be_foretold_or_reached() {
    let forged: String = (0..3).map(|index| format!("macro{}x{index}z ", "0".repeat(32))).collect();
    assert_eq!(with(&format!("{forged}[[m]]"), Html, "x"), format!("{forged}x"));
    let (one, two) = (page("[[m]]", Html), page("[[m]]", Html));
    assert_ne!(one.html, two.html);
    // What a macro gives is not looked at again, even if it knew the placeholders.
    let (own, page) = (one.html.clone(), one);
    assert_eq!(page.splice(vec![Piece::Html(own.clone())]).unwrap(), own);
}

#[test]
fn a_page_over_its_limits_is_refused() {
    let cleaner = Cleaner::default();
    for (content, format) in
        [(">".repeat(70), Markdown), ("<div>".repeat(70), Html), ("x\n\n".repeat(400_000), Markdown)]
    {
        assert!(Page::new(&content, format, &cleaner).is_err());
    }
    let page = page("[[m]] [[m]] [[m]] [[m]] [[m]]", Html);
    let pieces = vec![Piece::Html("x".repeat(limits::MACRO.bytes)); 5];
    assert_eq!(page.splice(pieces).unwrap_err().limit, limits::Limit::Result);
}

/// The start tags of some HTML, as they are written.
fn tags(html: &str) -> BTreeSet<String> {
    html.split('<')
        .skip(1)
        .filter(|tag| !tag.starts_with('/'))
        .filter_map(|tag| tag.split('>').next())
        .map(str::to_owned)
        .collect()
}

/// What authors and scripts might write to get at each other.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "<b>",
        "</b>",
        "<p>",
        "</p>",
        "<div class=x>",
        "</div>",
        "</a>",
        "<a href=/x>",
        "<a title='",
        "'>",
        "\">",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<iframe src=https://youtube.com/x>",
        "</iframe>",
        "<table>",
        "<td>",
        "</table>",
        "<li>",
        "<ul>",
        "</ul>",
        "<svg>",
        "<style>",
        "<textarea>",
        "<plaintext>",
        "&quot;",
        "\"",
        "'",
        "<",
        ">",
        "x",
        " ",
        "\n\n",
        "*",
        "`",
        "[",
        "](/u)",
        "![",
        "](/u \"",
        "\")",
        "> ",
        "- ",
        "    ",
        "# ",
        "|",
        "\\",
        "[^1]",
        "macro0x0z",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn author_and_macros_do_not_reach_into_each_other(
        around in proptest::collection::vec(hostile(), 1..4), outputs in proptest::collection::vec(hostile(), 3), html: bool
    ) {
        let format = if html { Html } else { Markdown };
        let cleaner = Cleaner::default();
        let content = around.join("[[m k=\"<i>v</i>\"]]");
        let (Ok(filled), Ok(bare)) = (Page::new(&content, format, &cleaner), Page::new(&content, format, &cleaner)) else {
            return Ok(());
        };
        let pieces: Vec<String> = outputs.iter().filter_map(|output| Some(clean(output, &cleaner).ok()?.into_owned())).collect();
        let author = bare.splice(Vec::new()).unwrap();
        let spliced = filled.splice(pieces.iter().cloned().map(Piece::Html).collect()).unwrap();

        // Nothing is written that neither of them wrote.
        let mut known = tags(&author);
        pieces.iter().for_each(|piece| known.extend(tags(piece)));
        prop_assert!(tags(&spliced).is_subset(&known), "{spliced}");
        // Nothing is read that neither of them wrote, but for the empty paragraph that a stray end tag makes.
        known.insert("p".to_owned());
        if let Ok(read) = clean_author(&spliced, &cleaner) {
            prop_assert!(tags(&read).is_subset(&known), "{spliced}\n{read}");
        }
    }

    #[test]
    fn with_the_placeholders_for_pieces_the_page_is_the_authors(
        around in proptest::collection::vec(hostile(), 2..4), html: bool
    ) {
        let format = if html { Html } else { Markdown };
        let Ok(page) = Page::new(&around.join("[[m]]"), format, &Cleaner::default()) else { return Ok(()) };
        prop_assume!(page.macros().iter().all(|placed| placed.place != Place::Misplaced));
        let own = page.html.clone();
        let word = word(&own).unwrap_or_default();
        let pieces = (0..page.macros().len()).map(|index| Piece::Html(format!("{word}{index}z"))).collect();
        prop_assert_eq!(page.splice(pieces).unwrap(), own);
    }
}

/// The random word of a page's placeholders.
fn word(html: &str) -> Option<&str> {
    let words = html.match_indices("macro").filter_map(|(at, _)| html.get(at..at + 38));
    words.into_iter().find(|word| {
        word.ends_with('x') && word.bytes().skip(5).take(32).all(|byte| byte.is_ascii_hexdigit())
    })
}
