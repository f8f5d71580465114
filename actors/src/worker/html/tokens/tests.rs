//! Tests of the tokens: markup as browsers cut it, also where it is broken.

use super::{Content, Name, Token, Tokens};

/// The tokens in short: tags by name and attributes, text as it is.
fn tokens(html: &str, foreign: bool) -> Vec<String> {
    let mut tokens = Tokens::new(html);
    let mut short = Vec::new();
    while let Some(token) = tokens.next(foreign) {
        short.push(match token {
            Token::Text(text) => text.to_owned(),
            Token::Comment => "comment".to_owned(),
            Token::Nothing => "nothing".to_owned(),
            Token::End(tag) => format!("</{}>", tag.text),
            Token::Start(tag) => {
                let attributes: String =
                    tag.attributes().map(|found| format!(" {}={}", found.name, found.value)).collect();
                assert_eq!(tag.attributes, tag.attributes().count());
                let raw = if tag.name == Name::Script { Content::Script } else { Content::Raw(tag.name) };
                if matches!(tag.name, Name::Script | Name::Title) {
                    tokens.enter(raw);
                }
                format!("<{}{attributes}{}>", tag.text, if tag.self_closing { "/" } else { "" })
            }
        });
    }
    short
}

#[test]
fn tags_are_cut_as_a_browser_cuts_them() {
    for (html, expect) in [
        ("a<b>c</b>", vec!["a", "<b>", "c", "</b>"]),
        ("<B CLASS = x>", vec!["<B CLASS=x>"]),
        ("<a b=1 c='2>' d=\"3'\" e>", vec!["<a b=1 c=2> d=3' e=>"]),
        ("<a b=1/>", vec!["<a b=1/>"]),
        ("<a b='1'/>", vec!["<a b=1/>"]),
        ("<a/b/ c>", vec!["<a b= c=>"]),
        ("<a / >", vec!["<a>"]),
        ("<a =b=c \"d>", vec!["<a =b=c \"d=>"]),
        ("<a b=>c", vec!["<a b=>", "c"]),
        ("<a b='1'c>", vec!["<a b=1 c=>"]),
        ("<a b='1", vec![]),
        ("x<a", vec!["x"]),
        ("</a b=c>x", vec!["</a>", "x"]),
        ("1 < 2 <3 <", vec!["1 < 2 <3 <"]),
        ("</", vec!["</"]),
        ("</>x</ y>z", vec!["nothing", "x", "comment", "z"]),
        ("<!doctype html>x", vec!["nothing", "x"]),
        ("<!x>y<?z>", vec!["comment", "y", "comment"]),
    ] {
        assert_eq!(tokens(html, false), expect, "{html}");
    }
}

#[test]
fn comments_end_where_a_browser_ends_them() {
    for comment in [
        "<!---->",
        "<!-->",
        "<!--->",
        "<!-- > -- >-->",
        "<!--a--!>",
        "<!--<!--a-->",
        "<!---!>-->",
        "<!-----!>",
        "<!--a--->",
        "<!--a--!-->",
    ] {
        assert_eq!(tokens(&format!("{comment}x"), false), ["comment", "x"], "{comment}");
    }
    assert_eq!(tokens("<!--a->x", false), ["comment"]);
}

#[test]
fn cdata_is_text_in_foreign_content_only() {
    assert_eq!(tokens("<![CDATA[a<b>]]>c", true), ["a<b>", "c"]);
    assert_eq!(tokens("<![CDATA[a<b>]]>c", false), ["comment", "]]>c"]);
    assert_eq!(tokens("<![CDATA[]]>c<![CDATA[d", true), ["nothing", "c", "d"]);
}

#[test]
fn raw_text_ends_at_its_own_end_tag() {
    for (html, expect) in [
        ("<title>a</b></title >b", vec!["<title>", "a</b>", "</title>", "b"]),
        ("<title></titles></TITLE/>", vec!["<title>", "</titles>", "</TITLE>"]),
        ("<title>a</title", vec!["<title>", "a</title"]),
        ("<script><!--</script>b", vec!["<script>", "<!--", "</script>", "b"]),
        (
            "<script><!--<script></script>--></script>b",
            vec!["<script>", "<!--<script></script>-->", "</script>", "b"],
        ),
        ("<script><!--><script></script>b", vec!["<script>", "<!--><script>", "</script>", "b"]),
        ("<script><script></script>b", vec!["<script>", "<script>", "</script>", "b"]),
    ] {
        assert_eq!(tokens(html, false), expect, "{html}");
    }
}

#[test]
fn every_token_moves_on() {
    for unit in ["<", "<a", "<a b", "</", "<!--", "&", "<!", "<a='", "x<", "]]>", "\0", "é<é"] {
        let html = unit.repeat(1000);
        let mut tokens = Tokens::new(&html);
        let mut at = 0;
        while tokens.next(true).is_some() {
            assert!(tokens.position() > at, "{unit}");
            at = tokens.position();
        }
        assert_eq!(tokens.position(), html.len(), "{unit}");
    }
}
