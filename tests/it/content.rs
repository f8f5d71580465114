//! `content.render`: pages with macros in them.

use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::{Value, json};

/// A page as an application sends it.
fn page(content: &str) -> Value {
    json!({
        "content": content, "format": "markdown", "env": {"isPreview": false, "mainLanguage": "en"},
        "data": {
            "media": [{"src": "/media/1.jpg", "title": "Harbour", "createdAt": "2024-07-01T12:00:00Z", "postId": "p1"}],
            "tags": [{"name": "sea", "count": 3}, {"name": "sky", "count": 1}],
        },
    })
}

fn page_with(content: &str, more: &Value) -> Value {
    let mut page = page(content);
    for (key, value) in more.as_object().expect("further fields") {
        page[key] = value.clone();
    }
    page
}

async fn rendered(stage: &Stage, page: &Value) -> (String, Vec<Value>) {
    let answer = stage.client.call("content.render", page).await;
    let data = answer.data();
    (data["html"].as_str().expect("html").to_owned(), data["macros"].as_array().expect("macros").clone())
}

/// A macro that shows its parameters as JSON.
const SHOW: &str = "
import html, json

def render(context):
    return {'html': '<code>' + html.escape(json.dumps(context.get('params', {}), sort_keys=True), quote=False) + '</code>'}
";
const FAIL: &str = "def render(context):\n    raise ValueError('CANARY-9c1d')\n";
const FOREVER: &str = "def render(context):\n    while True:\n        pass\n";

fn options() -> Options {
    Options::new()
        .script("show.py", script::render("show", SHOW))
        .script("fail.py", script::render("fail", FAIL))
        .script("forever.py", script::render("forever", FOREVER))
}

#[tokio::test]
async fn a_page_is_rendered_with_all_default_macros_in_their_places() {
    let stage = Stage::open().await;
    let content = "# Größe\n\nBefore [[youtube id=\"dQw4w9WgXcQ\"]] between [[Vimeo id=76979871]] after.\n\n\
                   [[gallery columns=2]]\n\n[[photo_album year=2024]]\n\n[[tag_cloud width=640 height=320]]\n\n\
                   | a | b |\n|---|---|\n| 1 | 2 |\n\n`[[youtube id=\"inline\"]]`\n\n```\n[[youtube id=\"fenced\"]]\n```\n\n\
                   \\[[youtube id=\"escaped\"]]\n";
    let (html, macros) = rendered(&stage, &page(content)).await;
    let scripts: Vec<&str> = macros.iter().filter_map(|one| one["script"].as_str()).collect();
    assert_eq!(scripts, ["youtube", "vimeo", "gallery", "photo_archive", "tag_cloud"]);
    for one in &macros {
        assert_eq!(one["status"], "ok", "{one}");
        assert!(one["version"].as_u64() >= Some(1) && one["durationMs"].as_f64() >= Some(0.0), "{one}");
    }
    assert_eq!(macros[1]["name"], "Vimeo");
    let places = [
        "Größe</h1>",
        "Before",
        "youtube.com/embed/dQw4w9WgXcQ",
        "between",
        "player.vimeo.com/video/76979871",
        "after",
        "gallery-cols-2",
        "photo-archive",
        "macro-tag-cloud",
        "<table>",
        "inline",
        "fenced",
        "escaped",
    ];
    let mut rest = html.as_str();
    for place in places {
        let (_, after) =
            rest.split_once(place).unwrap_or_else(|| panic!("no `{place}` in its place in {html}"));
        rest = after;
    }
    for untouched in ["inline", "fenced", "escaped"] {
        assert!(!html.contains(&format!("embed/{untouched}")), "{untouched} ran: {html}");
    }
    stage.close();
}

#[tokio::test]
async fn parameters_are_typed_as_they_are_written() {
    let stage = Stage::with(options()).await;
    let written = r#"[[show a=1 b="1" c=-2.50 d=true e=007 f=1e3 g=+1 h='x "y" \'z\'' flag a=2 j="\\ \" ä" k=-0 l=9007199254740993]]"#;
    let (html, _) = rendered(&stage, &page(written)).await;
    let (_, shown) = html.split_once("<code>").expect("code");
    let text = shown
        .split_once("</code>")
        .expect("code")
        .0
        .replace("&amp;", "&")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    let params: Value =
        serde_json::from_str(&text.replace("&quot;", "\"").replace("&#39;", "'")).expect("JSON");
    let expected = json!({
        "a": 2, "b": "1", "c": -2.5, "d": true, "e": "007", "f": "1e3", "g": "+1", "h": "x \"y\" 'z'", "flag": true,
        "j": "\\ \" ä", "k": 0, "l": 9_007_199_254_740_993_u64,
    });
    assert_eq!(params, expected);
    stage.close();
}

#[tokio::test]
async fn an_unknown_macro_stands_as_it_was_written() {
    let stage = Stage::with(options()).await;
    let (html, macros) = rendered(&stage, &page("one [[nonsense a=\"<b>\"]] two [[show]]")).await;
    assert!(html.contains("[[nonsense"), "{html}");
    assert_eq!(macros[0]["status"], "unknown");
    assert_eq!(macros[0]["warnings"].as_array().map(Vec::len), Some(1), "{}", macros[0]);
    assert_eq!(macros[1]["status"], "ok");
    stage.close();
}

#[tokio::test]
async fn a_failed_macro_shows_what_on_error_asks_for_and_spoils_nothing_else() {
    let stage = Stage::with(options()).await;
    let content = "a [[show x=1]] b [[fail]] c [[show x=2]] d";
    for (more, marked) in [
        (json!({}), false),
        (json!({"env": {"isPreview": true}}), true),
        (json!({"onError": "marker"}), true),
        (json!({"onError": "empty", "env": {"isPreview": true}}), false),
    ] {
        let (html, macros) = rendered(&stage, &page_with(content, &more)).await;
        let states: Vec<&str> = macros.iter().filter_map(|one| one["status"].as_str()).collect();
        assert_eq!(states, ["ok", "error", "ok"], "{more}");
        assert_eq!(html.contains("<span class=\"macro-error\""), marked, "{more}: {html}");
        assert_eq!(html.matches("<code>").count(), 2, "{html}");
        assert!(!html.contains("CANARY"), "{html}");
        assert!(!macros[1]["warnings"].as_array().expect("warnings").is_empty(), "{}", macros[1]);
    }
    let answer = stage.client.call("content.render", &page_with(content, &json!({"onError": "fail"}))).await;
    assert_eq!((answer.code(), &answer.details()["script"]), ("PY_ACTION_FAILED", &json!("fail")));
    stage.close();
}

#[tokio::test]
async fn a_macro_that_never_ends_costs_its_own_place_only() {
    let stage = Stage::with(options()).await;
    let content = "a [[forever]] b [[show x=1]] c [[youtube id=\"dQw4w9WgXcQ\"]] d";
    let more = json!({"timeoutMs": 2500});
    let answer = stage
        .client
        .call_whole("content.render", &page_with(content, &json!({"onError": "marker"})), &more)
        .await;
    let states: Vec<&str> = answer.data()["macros"]
        .as_array()
        .expect("macros")
        .iter()
        .filter_map(|one| one["status"].as_str())
        .collect();
    assert_eq!(states, ["timeout", "ok", "ok"], "{}", answer.body);
    assert!(answer.took < std::time::Duration::from_millis(2_600), "took {:?}", answer.took);
    stage.close();
}

#[tokio::test]
async fn neither_author_nor_macro_can_break_out_of_their_place() {
    let open = "def render(context):\n    return {'html': '<div><b><!-- <table><td>'}\n";
    let stage = Stage::with(options().script("open.py", script::render("open", open))).await;
    for format in ["markdown", "html"] {
        let content = "<script>x()</script><p onclick=\"x()\">before [[open]] <em>after</em></p>\n\n\
                       <a href=\"javascript:x()\" title=\"[[show]]\">link</a>\n\n<!-- [[show hidden=1]] -->\n\nlast";
        let (html, macros) = rendered(&stage, &page_with(content, &json!({"format": format}))).await;
        for cut in ["<script", "onclick", "javascript:", "<!--"] {
            assert!(!html.contains(cut), "{format}: `{cut}` in {html}");
        }
        assert_eq!(html.matches("<div").count(), html.matches("</div>").count(), "{format}: {html}");
        assert_eq!(html.matches("<b>").count(), html.matches("</b>").count(), "{format}: {html}");
        let after = html.find("<em>after</em>").unwrap_or_else(|| panic!("{format}: {html}"));
        assert!(html[..after].contains("</div>"), "{format}: the macro's element stays open: {html}");
        assert!(html.contains("last"), "{format}: {html}");
        assert_eq!(macros[0]["status"], "ok", "{}", macros[0]);
        assert!(html.contains("title=\"[[show]]\"") && macros.len() == 1, "{format}: {macros:?} in {html}");
    }
    let (html, macros) =
        rendered(&stage, &page("[a](/b \"[[show x=1]]\") ![[[show x=2]]](/c.png) [[show x=3]]")).await;
    let states: Vec<&str> = macros.iter().filter_map(|one| one["status"].as_str()).collect();
    assert_eq!(states, ["misplaced", "misplaced", "ok"], "{html}");
    assert_eq!(html.matches("<code>").count(), 1, "{html}");
    stage.close();
}

#[tokio::test]
async fn a_page_with_a_thousand_macros_is_one_batch_a_script() {
    let stage = Stage::with(options()).await;
    let content: String =
        (0..500).map(|n| format!("[[show n={n}]] [[youtube id=\"dQw4w9WgXcQ\"]]\n\n")).collect();
    let (html, macros) = rendered(&stage, &page(&content)).await;
    assert_eq!(macros.len(), 1_000);
    assert_eq!(html.matches("<iframe").count(), 500);
    assert!(
        html.contains("{\"n\": 499}") || html.contains("{&quot;n&quot;: 499}"),
        "the last macro is missing"
    );
    stage.close();
}

#[tokio::test]
async fn a_page_that_breaks_a_rule_is_refused_with_its_path() {
    let stage = Stage::with(options()).await;
    for (what, more, path) in [
        ("too long", json!({"content": "x".repeat((1 << 20) + 1)}), "payload.content"),
        ("no such format", json!({"format": "rst"}), "payload.format"),
        ("no such mode", json!({"onError": "explode"}), "payload.onError"),
        ("a wrong environment", json!({"env": {}}), "payload.env"),
        ("data that are a list", json!({"data": [1]}), "payload.data"),
        ("an unknown key", json!({"more": 1}), "payload.more"),
    ] {
        let answer = stage.client.call("content.render", &page_with("[[show]]", &more)).await;
        assert_eq!(answer.complaint(), ("REQUEST_INVALID", path), "{what}: {}", answer.body);
    }
    stage.close();
}
