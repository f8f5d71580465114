//! Tests of the cleaning: what must stay, what must go, and that what comes out is read as it is written.

use super::{Cleaner, FRAME_HOSTS, clean, clean_author, limits};
use proptest::prelude::*;
use std::borrow::Cow;

fn check(input: &str, expect: &str) {
    assert_eq!(clean(input, &Cleaner::default()).unwrap(), expect, "{input}");
}

#[test]
fn text_without_markup_passes_as_it_is() {
    let cleaner = Cleaner::default();
    for text in ["", "plain", "a > b \" '", "[[x]] ünïcode\r\n"] {
        assert!(matches!(clean(text, &cleaner), Ok(Cow::Borrowed(same)) if same == text), "{text}");
    }
    let error = clean(&"x".repeat(limits::MACRO.bytes + 1), &cleaner).unwrap_err();
    assert_eq!(error.limit, limits::Limit::Bytes);
}

#[test]
fn what_scripts_write_stays() {
    let figure =
        "<figure class=\"g\"><img src=\"/a.jpg\" alt=\"A\"><figcaption>A &amp; b</figcaption></figure>";
    check(figure, figure);
    check(
        "<div class='x y' data-words='[1]' data-a-b=c>t</div>",
        "<div class=\"x y\" data-words=\"[1]\" data-a-b=\"c\">t</div>",
    );
    check("<p>a<p>b", "<p>a</p><p>b</p>");
    check(
        "<a href=/tag/x/ title=t>x</a>",
        "<a href=\"/tag/x/\" title=\"t\" rel=\"noopener noreferrer\">x</a>",
    );
    check(
        "<table><tr><td align=right>1</table>",
        "<table><tbody><tr><td align=\"right\">1</td></tr></tbody></table>",
    );
}

#[test]
fn frames_of_the_named_hosts_stay_and_no_others() {
    let frame = |src: &str| format!("<iframe src=\"{src}\" width=\"1\" allowfullscreen=\"\"></iframe>");
    for host in FRAME_HOSTS {
        let html = frame(&format!("https://{host}/embed/x?rel=0"));
        check(&html, &html);
    }
    check(&frame("HTTPS://WWW.YouTube.com:443/embed/x"), &frame("https://www.youtube.com/embed/x"));
    check(
        "<iframe src='https://youtube.com/x' title=t loading=lazy referrerpolicy=origin frameborder=0 height=2 \
           allow=autoplay onload=x style=y id=z name=n srcdoc='<p>' sandbox>in <b>side</iframe>",
        "<iframe src=\"https://youtube.com/x\" title=\"t\" loading=\"lazy\" referrerpolicy=\"origin\" \
           frameborder=\"0\" height=\"2\" allow=\"autoplay\"></iframe>",
    );
    for src in [
        "http://www.youtube.com/embed/x",
        "//www.youtube.com/embed/x",
        "/embed/x",
        "www.youtube.com/embed/x",
        "https:www.youtube.com/embed/x",
        "https:/www.youtube.com/embed/x",
        "https:\\\\www.youtube.com/embed/x",
        " https://evil.example/#https://www.youtube.com/",
        "https://www.youtube.com@evil.example/",
        "https://user@www.youtube.com/",
        "https://:pass@www.youtube.com/",
        "https://www.youtube.com.evil.example/",
        "https://evil.example/www.youtube.com/",
        "https://evil.example\\@www.youtube.com/",
        "https://evil.example?www.youtube.com/",
        "https://www.youtube.com:8443/embed/x",
        "https://xwww.youtube.com/embed/x",
        "https://www.youtube.com%2eevil.example/",
        "https://m.youtube.com/embed/x",
        "https://www.youtube.com./embed/x",
        "https://",
        "https://www.youtub",
        "javascript:alert(1)//https://www.youtube.com/",
        "java\tscript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "blob:https://www.youtube.com/x",
        "",
    ] {
        check(&format!("a{}b", frame(src)), "ab");
    }
    check("a<iframe></iframe>b<iframe srcdoc='<script>x</script>'>c</iframe>", "ab");
    let other = Cleaner::new(["media.example"]);
    assert_eq!(clean(&frame("https://www.youtube.com/x"), &other).unwrap(), "");
    assert_eq!(clean(&frame("https://media.example/x"), &other).unwrap(), frame("https://media.example/x"));
}

#[test]
fn scripts_and_handlers_go() {
    for (input, expect) in [
        ("<script>alert(1)</script>x", "x"),
        ("<SCRIPT SRC=//evil.example/x.js></SCRIPT>x", "x"),
        ("<script/x>alert(1)</script\n>x", "x"),
        ("<scr<script>ipt>alert(1)</script>", "ipt&gt;alert(1)"),
        ("<style>@import '//evil.example'</style>x", "x"),
        ("<link rel=stylesheet href=//evil.example>x", "x"),
        ("<meta http-equiv=refresh content='0;url=javascript:alert(1)'>x", "x"),
        ("<base href=//evil.example/>x", "x"),
        ("<img src=x onerror=alert(1)>", "<img src=\"x\">"),
        ("<img src=x ONERROR = 'alert(1)'>", "<img src=\"x\">"),
        ("<img/src=x/onerror=alert(1)>", "<img src=\"x/onerror=alert(1)\">"),
        ("<img src=\"x\"onerror=\"alert(1)\">", "<img src=\"x\">"),
        ("<img src=`x` onerror=alert(1)>", "<img src=\"`x`\">"),
        ("<p onclick=alert(1) onmouseover\n=\nalert(1)>x</p>", "<p>x</p>"),
        ("<details open ontoggle=alert(1)>x</details>", "<details>x</details>"),
        ("<body onload=alert(1)>x", "x"),
        ("<input autofocus onfocus=alert(1)>x", "x"),
        ("<video><source onerror=alert(1)></video>x", "x"),
    ] {
        check(input, expect);
    }
}

#[test]
fn addresses_that_run_go() {
    const LINK: &str = "<a rel=\"noopener noreferrer\">x</a>";
    for (input, expect) in [
        ("<a href=javascript:alert(1)>x</a>", LINK),
        ("<a href='JaVaScRiPt:alert(1)'>x</a>", LINK),
        ("<a href=' javascript:alert(1)'>x</a>", LINK),
        ("<a href='&#1;javascript:alert(1)'>x</a>", LINK),
        ("<a href='java&#10;script:alert(1)'>x</a>", LINK),
        ("<a href='java\tscript:alert(1)'>x</a>", LINK),
        ("<a href='&#106;avascript&colon;alert(1)'>x</a>", LINK),
        ("<a href='&#x6A&#x61&#x76&#x61script:alert(1)'>x</a>", LINK),
        ("<a href='vbscript:msgbox(1)'>x</a>", LINK),
        ("<a href='data:text/html;base64,PHNjcmlwdD4='>x</a>", LINK),
        ("<a href='view-source:javascript:1'>x</a>", LINK),
        ("<a xlink:href='javascript:alert(1)'>x</a>", LINK),
        (
            "<a href=x rel=opener target=_top ping=//evil.example>x</a>",
            "<a href=\"x\" rel=\"noopener noreferrer\">x</a>",
        ),
        ("<img src='javascript:alert(1)'>", "<img>"),
        ("<img src='data:image/svg+xml,<svg onload=alert(1)>'>", "<img>"),
    ] {
        check(input, expect);
    }
}

#[test]
fn attributes_and_elements_that_reach_out_go() {
    for (input, expect) in [] {
        check(input, expect);
    }
}

#[test]
fn text_that_changes_its_meaning_when_read_again_stays_text() {
    for (input, expect) in [
        ("<img src='data:image/svg+xml,<svg onload=alert(1)>'>", "<img>"),
        ("<img srcset='//evil.example 1x' src=x>", "<img src=\"x\">"),
        ("<div style='background:url(javascript:alert(1))'>x</div>", "<div>x</div>"),
        ("<div id=location name=cookie>x</div>", "<div>x</div>"),
        ("<form action=javascript:alert(1)><button formaction=javascript:1>x</button></form>", "x"),
        ("<object data=javascript:alert(1)>x</object><embed src=//evil.example>", "x"),
        ("<iframe srcdoc='<script>alert(1)</script>'></iframe>x", "x"),
        ("<svg onload=alert(1)>x</svg>", "x"),
        ("<svg><script>alert(1)</script></svg>x", "x"),
        ("<svg><a xlink:href=javascript:alert(1)><text>x</text></a></svg>", ""),
        ("<svg><style><img src=x onerror=alert(1)></style></svg>x", "<img src=\"x\">x"),
        ("<svg><iframe><a title='</iframe><img src=x onerror=alert(1)>'>x", ""),
        ("<svg></p><style><a id='</style><img src=1 onerror=alert(1)>'>", "<p></p><img src=\"1\">'&gt;"),
        (
            "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
            "",
        ),
        ("<math><annotation-xml encoding=text/html><style><img src=x onerror=alert(1)></style></math>x", "x"),
        ("<math href=javascript:alert(1)>x</math>", "x"),
        ("<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>", ""),
        (
            "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
            "&lt;p title='<img src=\"x\">'&gt;",
        ),
        (
            "<noembed><img title='</noembed><img src=x onerror=alert(1)>'>",
            "&lt;img title='<img src=\"x\">'&gt;",
        ),
        ("<template><img src=x onerror=alert(1)></template>x", "x"),
        ("<template><script>alert(1)</script><p>a</template>x", "x"),
        (
            "<textarea><img title='</textarea><img src=x onerror=alert(1)>'>",
            "&lt;img title='<img src=\"x\">'&gt;",
        ),
        ("<title><a title='</title><img src=x onerror=alert(1)>'>", "&lt;a title='<img src=\"x\">'&gt;"),
        ("<xmp><p title='</xmp><img src=x onerror=alert(1)>'>", "&lt;p title='<img src=\"x\">'&gt;"),
        ("<select><option><img src=x onerror=alert(1)></select>x", "<img src=\"x\">x"),
    ] {
        check(input, expect);
    }
}

#[test]
fn broken_markup_hides_nothing() {
    for (input, expect) in [
        ("<!--><img src=x onerror=alert(1)>-->", "<img src=\"x\">--&gt;"),
        ("<!--- --!><img src=x onerror=alert(1)>", "<img src=\"x\">"),
        ("<![CDATA[<img src=x onerror=alert(1)>]]>", "]]&gt;"),
        ("<?xml <img src=x onerror=alert(1)>?>", "?&gt;"),
        (
            "<p title=\"</p><script>alert(1)</script>\">x</p>",
            "<p title=\"&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;\">x</p>",
        ),
        ("<p title='\" onclick=alert(1) x=\"'>x</p>", "<p title=\"&quot; onclick=alert(1) x=&quot;\">x</p>"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("<plaintext><script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("<img src=x onerror=alert(1)", ""),
        ("<a\0b href=javascript:1>x", "x"),
        ("</div></body></html>x", "x"),
    ] {
        check(input, expect);
    }
}

#[test]
fn a_result_over_its_limit_is_refused() {
    let html = format!("<p title='{}'>", "\"".repeat(200 * 1024));
    assert_eq!(clean(&html, &Cleaner::default()).unwrap_err().limit, limits::Limit::Result);
}

#[test]
fn an_authors_page_may_be_larger_but_not_deeper() {
    let cleaner = Cleaner::default();
    let page = "<p>paragraph of some length</p>\n".repeat(20_000);
    assert!(clean(&page, &cleaner).is_err());
    assert_eq!(clean_author(&page, &cleaner).unwrap(), page);
    assert!(clean_author(&"<div>".repeat(65), &cleaner).is_err());
}

#[test]
fn a_cleaner_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&Cleaner::default());
}

/// HTML with what cleaning takes out, moves and renames.
fn html() -> impl Strategy<Value = String> {
    let names = "a b i code p div li ul table tr td tfoot caption pre iframe svg math mi template select option form \
                 object button script style title textarea ruby rt h1 h2 figure dd dt font x-y";
    let names: Vec<&str> = names.split_whitespace().collect();
    let attributes =
        ["", " class=x", " href=/a?b&c", " src=https://youtube.com/x", " data-a='<b>'", " title=\"&quot;\""];
    let tag = (proptest::sample::select(names), proptest::sample::select(attributes.to_vec()), any::<bool>());
    let tag = tag.prop_map(
        |(name, attributes, end)| if end { format!("</{name}>") } else { format!("<{name}{attributes}>") },
    );
    let text = [
        "x",
        "\n",
        " ",
        "&amp;",
        "&#13;",
        "&nbsp;",
        "\u{feff}",
        "<!--",
        "-->",
        "<",
        "\"",
        "&lt;b&gt;",
        "\r\n",
        "\0",
    ];
    let piece = prop_oneof![3 => tag, 1 => proptest::sample::select(text.to_vec()).prop_map(str::to_owned)];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn cleaning_twice_is_cleaning_once(html in html()) {
        let cleaner = Cleaner::default();
        if let Ok(once) = clean(&html, &cleaner) {
            let twice = clean(&once, &cleaner);
            prop_assert_eq!(twice.as_deref(), Ok(&*once), "{}", html);
        }
    }

    #[test]
    fn nothing_that_runs_comes_out(html in html()) {
        if let Ok(clean) = clean(&html, &Cleaner::default()) {
            for gone in ["<script", "<style", "<svg", "<math", "<template", "<form", "<object", " id=", " style="] {
                prop_assert!(!clean.contains(gone), "{} in {}", gone, clean);
            }
        }
    }
}
