//! What a macro may answer, and what becomes of its HTML.

use harness::node::Options;
use harness::script;
use harness::stage::Stage;
use serde_json::{Value, json};

const SHAPES: &str = "
import datetime, decimal, enum, dataclasses, uuid

class Colour(enum.Enum):
    RED = 'red'

@dataclasses.dataclass
class Point:
    x: int
    y: float

class Odd:
    pass

loop = []
loop.append(loop)

CASES = {
    'text': 'x',
    'none': None,
    'list': [],
    'no html': {},
    'html is a number': {'html': 5},
    'unknown key': {'html': 'x', 'more': 1},
    'nan': {'html': 'x', 'data': {'n': float('nan')}},
    'infinity': {'html': 'x', 'data': {'n': [1, float('-inf')]}},
    'bytes': {'html': 'x', 'data': {'items': [1, 2, 3, b'x']}},
    'number as key': {'html': 'x', 'data': {'a': {1: 2}}},
    'set': {'html': 'x', 'data': {'s': {1}}},
    'object': {'html': 'x', 'data': {'o': Odd()}},
    'data is a list': {'html': 'x', 'data': []},
    'warnings is a text': {'html': 'x', 'warnings': 'no'},
    'warning is a number': {'html': 'x', 'warnings': ['a', 1]},
    'loop': {'html': 'x', 'data': {'l': loop}},
    'half a character': {'html': '\\ud800'},
    'rich': {'html': '', 'warnings': [], 'data': {
        'colour': Colour.RED, 'point': Point(1, 2.5), 'tuple': (1, 2), 'decimal': decimal.Decimal('1.10'),
        'id': uuid.UUID(int=1), 'time': datetime.datetime(2024, 2, 29, 12, 0, tzinfo=datetime.timezone.utc),
        'true': True, 'one': 1, 'float': 1.0}},
    'big': {'html': '', 'data': {'n': 10 ** 40, 'm': -(2 ** 64)}},
}

def render(context):
    return CASES[context['params']['case']]
";

#[tokio::test]
async fn each_answer_that_breaks_the_contract_is_named_by_its_path() {
    let stage = Stage::with(Options::new().script("shapes.py", script::render("shapes", SHAPES))).await;
    for (case, path) in [
        ("text", "result"),
        ("none", "result"),
        ("list", "result"),
        ("no html", "result"),
        ("html is a number", "result.html"),
        ("unknown key", "result.more"),
        ("nan", "result.data.n"),
        ("infinity", "result.data.n[1]"),
        ("bytes", "result.data.items[3]"),
        ("number as key", "result.data.a"),
        ("set", "result.data.s"),
        ("object", "result.data.o"),
        ("data is a list", "result.data"),
        ("warnings is a text", "result.warnings"),
        ("warning is a number", "result.warnings[1]"),
        ("loop", "result.data.l"),
        ("half a character", "result.html"),
    ] {
        let request = json!({"script": "shapes", "context": script::context(&json!({"case": case}))});
        let answer = stage.client.call("macro.render", &request).await;
        let (code, at) = answer.complaint();
        assert_eq!(code, "PY_INVALID_RESPONSE", "{case}: {}", answer.body);
        // Where html is missing the path may name it; a loop is as deep as it is let.
        let fits =
            at == path || case == "no html" && at == "result.html" || case == "loop" && at.starts_with(path);
        assert!(fits, "{case}: expected {path}, got {}", answer.body);
        assert!(!answer.details()["problem"].as_str().unwrap_or_default().is_empty());
    }
    stage.close();
}

#[tokio::test]
async fn values_that_json_lacks_are_written_as_the_table_says() {
    let stage = Stage::with(Options::new().script("shapes.py", script::render("shapes", SHAPES))).await;
    let request = |case| json!({"script": "shapes", "context": script::context(&json!({"case": case}))});
    let rich = stage.client.call("macro.render", &request("rich")).await;
    let expected = json!({
        "colour": "red", "point": {"x": 1, "y": 2.5}, "tuple": [1, 2], "decimal": "1.10",
        "id": "00000000-0000-0000-0000-000000000001", "true": true, "one": 1, "float": 1.0,
    });
    let mut data = rich.data()["data"].clone();
    let time = data.as_object_mut().and_then(|data| data.remove("time")).unwrap_or_default();
    assert_eq!(data, expected);
    let time: jiff::Timestamp = time.as_str().unwrap_or_default().parse().expect("RFC 3339");
    assert_eq!(time.to_string(), "2024-02-29T12:00:00Z");

    let big = stage.client.call("macro.render", &request("big")).await;
    let text = String::from_utf8_lossy(&big.bytes).into_owned();
    for digits in [format!(":1{}", "0".repeat(40)), ":-18446744073709551616".to_owned()] {
        assert!(text.contains(&digits), "no {digits} in {text}");
    }
    stage.close();
}

async fn cleaned(stage: &Stage, html: &str, raw: bool) -> Value {
    let context = script::context(&json!({"html": html}));
    stage.client.call("macro.render", &json!({"script": "same", "context": context, "raw": raw})).await.body
}

async fn same() -> Stage {
    let body = "def render(context):\n    return {'html': context['params']['html']}\n";
    Stage::with(Options::new().script("same.py", script::render("same", body))).await
}

#[tokio::test]
async fn the_html_of_a_macro_is_cleaned_unless_the_caller_says_raw() {
    let stage = same().await;
    for (html, kept, cut) in [
        ("<p onclick=\"x()\">a</p>", "<p>a</p>", "onclick"),
        ("<script>x()</script><p>a</p>", "<p>a</p>", "script"),
        ("<p style=\"color:red\" id=\"a\" class=\"b\" data-c=\"d\">a</p>", "class=\"b\"", "style"),
        ("<a href=\"javascript:x()\">a</a>", "a</a>", "javascript"),
        ("<img src=\"x\" onerror=\"x()\">", "<img src=\"x\"", "onerror"),
        ("<iframe src=\"https://evil.example/embed\"></iframe><b>a</b>", "<b>a</b>", "evil"),
        ("<iframe src=\"http://www.youtube.com/embed/x\"></iframe><b>a</b>", "<b>a</b>", "http:"),
        (
            "<iframe srcdoc=\"<b>x</b>\" src=\"https://www.youtube.com/embed/x\"></iframe>",
            "https://www.youtube.com",
            "srcdoc",
        ),
        ("<svg><script>x()</script></svg><p>a</p>", "<p>a</p>", "script"),
        ("<figure><figcaption>a</figcaption></figure>", "<figcaption>a</figcaption>", "style"),
    ] {
        let body = cleaned(&stage, html, false).await;
        let clean = body["data"]["html"].as_str().unwrap_or_else(|| panic!("{html}: {body}"));
        assert!(clean.contains(kept) && !clean.contains(cut), "{html} became {clean}");
        assert_eq!(cleaned(&stage, html, true).await["data"]["html"], html);
    }
    assert_eq!(cleaned(&stage, "plain > text \"'", false).await["data"]["html"], "plain > text \"'");
    stage.close();
}

#[tokio::test]
async fn html_that_would_cost_the_node_its_memory_is_refused_at_once() {
    let stage = same().await;
    for (what, html, fits) in [
        ("64 KiB of paragraphs", "<p>x</p>".repeat(8 << 10), true),
        ("60 open elements", "<div>".repeat(60), true),
        ("65 open elements", "<div>".repeat(65), false),
        ("eight open formatting elements", "<b><i><u><s><em><small><big><code>".to_owned(), true),
        ("nine open formatting elements", "<b><i><u><s><em><small><big><code><strong>".to_owned(), false),
        ("64 KiB of open b and p", (0..4_000).map(|n| format!("<b class={n}><p>")).collect(), false),
        ("256 KiB of nested div", "<div>".repeat(52_000), false),
        ("257 KiB of paragraphs", "<p>x</p>".repeat(33_000), false),
        ("1.1 MiB of text", "x".repeat(1_150_000), false),
    ] {
        let begin = std::time::Instant::now();
        let body = cleaned(&stage, &html, false).await;
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{what} took {:?}", begin.elapsed());
        if fits {
            assert_eq!(body["ok"], true, "{what}: {}", body["error"]);
        } else {
            assert_eq!(body["error"]["code"], "PY_INVALID_RESPONSE", "{what}");
            assert_eq!(body["error"]["details"]["reason"], "html_limits", "{what}: {}", body["error"]);
        }
    }
    stage.close();
}
