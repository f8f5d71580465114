//! Tests of the limits: each one's edge, ordinary pages that must pass, tricks that must not, and the real parser as
//! the judge of what the pass counts.

use super::super::settle::settle;
use super::{Limit, Limits, MACRO, PAGE, check, survey};
use proptest::prelude::*;

fn refused(html: &str) -> Option<Limit> {
    check(html, &MACRO).err().map(|exceeded| exceeded.limit)
}

fn nested(name: &str, depth: usize) -> String {
    format!("{}{}", format!("<{name}>").repeat(depth), format!("</{name}>").repeat(depth))
}

#[test]
fn each_limit_lets_its_figure_through_and_not_one_more() {
    let attributes = |count: usize| format!("<p {}>", "a ".repeat(count));
    let fostered = |count: usize| format!("<table>{}</table>", "<br>".repeat(count));
    let formatting =
        |count: usize| "<b><i><u><s><tt><em><big><code><small>".split_inclusive('>').take(count).collect();
    let names = |count: usize| (0..count).map(|number| format!("<p data-{number:05}>")).collect::<String>();
    let edges: Vec<(Limit, String, String)> = vec![
        (Limit::Bytes, "x".repeat(MACRO.bytes), "x".repeat(MACRO.bytes + 1)),
        (Limit::Open, nested("div", 64), nested("div", 65)),
        (Limit::Formatting, formatting(8), formatting(9)),
        (Limit::Attributes, attributes(64), attributes(65)),
        (Limit::Fostered, fostered(256), fostered(257)),
        (Limit::Nodes, "<br>".repeat(MACRO.nodes), format!("<hr a>{}", "<wbr>".repeat(MACRO.nodes - 1))),
        (Limit::References, "&".repeat(MACRO.references), "&".repeat(MACRO.references + 1)),
        (Limit::Names, names(900), names(1200)),
    ];
    let roomy = Limits { bytes: 1024 * 1024, ..MACRO };
    for (limit, most, more) in edges {
        let limits = if limit == Limit::Nodes { roomy } else { MACRO };
        assert_eq!(check(&most, &limits), Ok(()), "{limit}");
        assert_eq!(check(&more, &limits).map_err(|exceeded| exceeded.limit), Err(limit), "{limit}");
    }
}

#[test]
fn a_refusal_names_the_limit_and_the_figures_and_no_content() {
    let error = check(&nested("secret", 65), &MACRO).unwrap_err();
    assert_eq!(error.to_string(), "html over its limits: 65 open elements, at most 64");
}

#[test]
fn ordinary_pages_without_their_end_tags_pass() {
    for (head, unit) in [
        ("", "<p>paragraph"),
        ("<ul>", "<li>item"),
        ("<ul>", "<li><p>item with <b>bold</b>"),
        ("<ol>", "<LI>item<ul><li>a<li>b</ul>"),
        ("<dl>", "<dt>term<dd>meaning"),
        ("<select>", "<option>choice"),
        ("<table>", "<tr><td>a<td>b"),
        ("<table>", "<tr><th>a<td><p>b"),
        ("<table>", "<tbody><tr><td>a"),
        ("<ruby>", "a<rt>b"),
        ("", "<h2>title</h2>text<hr><br/>"),
        ("", "<div><p>a<img src=x><input></div>"),
        ("", "<b><i>misnested</b></i>"),
        ("", "<a href=x>link in <a href=y>link</a></a>"),
        ("", "</b></div></p></table></x>"),
        ("", "<b><p>bold</b> not"),
        ("<table>", "<caption>c</caption><colgroup><col><col></colgroup>"),
        ("", "<svg viewBox='0 0 1 1'><path d='M0 0'/><g><title>x</title></g></svg>"),
        ("", "<script>if (a < b) { '<div>' }</script><style>a > b {}</style><!-- <div> -->"),
        ("", "<font color=red size=2><font color=blue>x</font></font>"),
        ("", "<b>unclosed <p>bold "),
    ] {
        assert_eq!(check(&format!("{head}{}", unit.repeat(500)), &MACRO), Ok(()), "{unit}");
    }
}

#[test]
fn what_only_looks_closed_is_counted_as_open() {
    for (unit, limit) in [
        ("<tr><div></tr>", Limit::Open),
        ("<td><div></td>", Limit::Open),
        ("<x\0><div></x>", Limit::Open),
        ("<div/>", Limit::Open),
        ("<div><object></div>", Limit::Open),
        ("<div title='</div>'>", Limit::Open),
        ("<div><!--</div>-->", Limit::Open),
        ("<div><![CDATA[</div>]]>", Limit::Open),
        ("<div><textarea></div></textarea>", Limit::Open),
        ("<div><style></div></style>", Limit::Open),
        ("<div><script><!--<script></div></script>--></script>", Limit::Open),
        ("<span><table><td></span>", Limit::Open),
        ("<svg><g><desc></g>", Limit::Open),
        ("<svg><div></svg>", Limit::Open),
        ("<svg><font size=1></svg>", Limit::Open),
        ("<svg><desc><div></svg>", Limit::Open),
        ("<math><mi><div></math>", Limit::Open),
        ("<svg><title><textarea></svg></textarea>", Limit::Open),
        ("<math><annotation-xml encoding=text/html><div></math>", Limit::Open),
        ("<p><b class=x></p><p><b class=y></p><p><b class=z></p>", Limit::Formatting),
        ("<b><b><b><b></b></b></b><p></b></p>", Limit::Open),
        ("<td><table><tr>", Limit::Open),
    ] {
        let found = refused(&unit.repeat(70));
        assert!(found.is_some_and(|found| found == limit || found == Limit::Formatting), "{unit}: {found:?}");
    }
    assert_eq!(refused(&nested("svg", 65)), Some(Limit::Open));
}

#[test]
fn what_the_parser_multiplies_is_counted_as_multiplied() {
    let open = "<p><b><i><u><s><tt><em><big><code></p>";
    assert_eq!(refused(&format!("{open}{}", "<p>x".repeat(20_000))), Some(Limit::Nodes));
    let attributes: String = (0..60).map(|number| format!(" a{number}")).collect();
    assert_eq!(refused(&format!("<p><b{attributes}></p>{}", "<p>x".repeat(200))), Some(Limit::Nodes));
    let title = "t".repeat(10_000);
    assert_eq!(refused(&format!("<p><b title={title}></p>{}", "<p>x".repeat(200))), Some(Limit::Result));
    let html: String = (0..5_000).map(|number| format!("<html a{number}>")).collect();
    assert_eq!(refused(&html), Some(Limit::Nodes));
}

#[test]
fn tags_that_hide_what_decides_about_them_are_refused() {
    for html in [
        "<table><input type='hid&#100;en'>",
        "<math><annotation-xml encoding='text&#x2f;html'>",
        "<b a='&amp;1'><b a='&amp;2'><b a='&amp;3'><b a='&amp;4'>",
    ] {
        assert_eq!(refused(html), Some(Limit::Unclear), "{html}");
    }
    assert_eq!(refused("<input type='hid&#100;en'><b a='&amp;1'><b a='&amp;2'>"), None);
}

#[test]
fn hostile_input_of_full_size_is_left_at_the_first_thing_too_much() {
    for unit in [
        "<",
        "</",
        "<!--",
        "<a b='",
        "<a ",
        "<![CDATA[",
        "<x",
        "<x>",
        "</p>",
        "<script>",
        "--",
        "<svg>",
        "\0",
    ] {
        let html = unit.repeat(PAGE.bytes / unit.len());
        if let Err(exceeded) = check(&html, &PAGE) {
            assert!(exceeded.found <= exceeded.allowed + 8, "{unit}: {exceeded}");
        }
    }
}

/// Tags that make each other's life hard, text, and pieces of markup.
fn markup() -> impl Strategy<Value = String> {
    let names = "a b i nobr code p div span li ul dd h1 h2 table table tr td tbody thead caption colgroup col button \
                 br hr img pre object address center ruby rt rtc x-y section form";
    let names: Vec<&str> = names.split_whitespace().collect();
    let tag = (proptest::sample::select(names), 0..14_u8).prop_map(|(name, kind)| match kind {
        0..=5 => format!("<{name}>"),
        6 => format!("<{name} class=x>"),
        7 => format!("<{name} class='y' title=z/>"),
        _ => format!("</{name}>"),
    });
    let rest = [
        "x",
        " ",
        "\n",
        "&#32;",
        "&amp;",
        "<!-- -->",
        "<!--->",
        "</>",
        "<!doctype html>",
        "< ",
        "\0",
        "&Tab;",
    ];
    let piece = prop_oneof![5 => tag, 1 => proptest::sample::select(rest.to_vec()).prop_map(str::to_owned)];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// What the real parser makes of it, with every element kept.
fn parsed(html: &str) -> String {
    let names = "a b i nobr code p div span li ul dd h1 h2 table tr td tbody thead caption colgroup col button br hr \
                 img pre object address center ruby rt rtc x-y section form";
    let mut all = ammonia::Builder::empty();
    all.add_tags(names.split_whitespace()).add_generic_attributes(["class", "title"]).link_rel(None);
    settle(all.clean(html).to_string())
}

fn depth(html: &str) -> (usize, usize) {
    let (mut open, mut deepest, mut elements) = (0_usize, 0_usize, 0_usize);
    for tag in html.split('<').skip(1) {
        let void = ["br", "hr", "img", "col>", "col "].iter().any(|name| tag.starts_with(name));
        if tag.starts_with('/') {
            open -= 1;
        } else {
            elements += 1;
            open += usize::from(!void);
            deepest = deepest.max(open);
        }
    }
    (deepest, elements)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_pass_counts_the_elements_that_the_parser_creates(html in markup()) {
        let all = Limits { open: 10_000, formatting: 10_000, ..PAGE };
        if let Ok(survey) = survey(&html, &all) {
            let (_, elements) = depth(&parsed(&html));
            prop_assert_eq!(survey.elements, elements, "{}", html);
        }
    }

    #[test]
    fn what_is_regular_is_read_as_it_is_written(html in markup()) {
        let once = parsed(&html);
        if survey(&once, &PAGE).is_ok_and(|survey| survey.regular) {
            prop_assert_eq!(parsed(&once), once);
        }
    }

    #[test]
    fn no_string_makes_the_pass_fall_over(html in "[<>/!a-cp\\-\\[\\]'\"= &#;x\0é\r\n]{0,200}") {
        let _ = check(&html, &MACRO);
    }
}
