//! What is run: the three macros, their contexts, and a page. The same files are run by the peers.

use harness::script;
use serde_json::{Value, json};

use crate::client::Request;

/// One f-string.
pub(crate) const SIMPLE: &str = include_str!("../fixtures/simple.py");
/// Fifty pictures, 11 KB in and about as much out.
pub(crate) const MEDIUM: &str = include_str!("../fixtures/medium.py");
/// Some milliseconds of Python.
pub(crate) const HEAVY: &str = include_str!("../fixtures/heavy.py");

/// The macros as files in a scripts folder.
pub(crate) fn files() -> [(&'static str, String); 4] {
    let fresh = script::render("fresh", SIMPLE).replacen("version: 1\n", "version: 1\nfresh: true\n", 1);
    [
        ("simple.py", script::render("simple", SIMPLE)),
        ("medium.py", script::render("medium", MEDIUM)),
        ("heavy.py", script::render("heavy", HEAVY)),
        ("fresh.py", fresh),
    ]
}

/// The context of the simple macro.
pub(crate) fn simple() -> Value {
    script::context(&json!({"name": "reader"}))
}

/// The context of the medium macro: a gallery with fifty pictures.
pub(crate) fn medium() -> Value {
    json!({
        "env": {"isPreview": true, "mainLanguage": "de"},
        "params": {"columns": 3},
        "data": {"media": media()},
    })
}

fn media() -> Vec<Value> {
    let one = |number: u64| {
        json!({
            "src": format!("/media/2024/06/picture-{number:04}.jpg"),
            "mime": "image/jpeg",
            "title": format!("Picture number {number}"),
            "alt": null,
            "caption": if number.is_multiple_of(10) { "Ein schöner Tag" } else { "A walk along the river, \"late\" in June" },
            "createdAt": 1_718_000_000 + number * 3_601,
            "postId": format!("post-{}", number % 7),
            "width": 1_920 - number,
            "ratio": 1.5 + number as f64 / 7.0,
            "public": !number.is_multiple_of(3),
        })
    };
    (0..50).map(one).collect()
}

/// The context of the heavy macro.
pub(crate) fn heavy() -> Value {
    let text =
        "the quick brown fox jumps over the lazy dog and runs along the river until evening comes ".repeat(4);
    script::context(&json!({"text": text, "turns": 200}))
}

/// A request for one of the macros.
pub(crate) fn render(script: &str, context: &Value, raw: bool) -> Value {
    match raw {
        true => json!({"script": script, "context": context, "raw": true}),
        false => json!({"script": script, "context": context}),
    }
}

/// `macro.render` of the simple macro with its HTML checked.
pub(crate) fn simple_request() -> Request {
    Request::json("macro.render", &render("simple", &simple(), false))
}

/// A page of twenty macros, five of the default ones.
pub(crate) struct Page {
    /// Its text.
    pub(crate) content: String,
    /// What every macro gets besides its parameters.
    pub(crate) env: Value,
    /// What every macro gets besides its parameters.
    pub(crate) data: Value,
    /// Slug and parameters of each macro, in the order of the text.
    pub(crate) macros: Vec<(&'static str, Value)>,
}

impl Page {
    pub(crate) fn new() -> Self {
        let mut macros = Vec::new();
        for number in 0..4_u64 {
            macros.push(("youtube", json!({"id": format!("dQw4w9WgX{number}Q"), "title": "A film"})));
            macros.push(("vimeo", json!({"id": 76_979_871 + number})));
            macros.push(("gallery", json!({"columns": 2 + number, "caption": "A week in Lisbon"})));
            macros.push(("tag_cloud", json!({"width": 640, "height": 320 + number})));
            macros.push(("photo_archive", json!({"year": 2024, "month": 5 + number})));
        }
        let tags: Vec<Value> = (0..30)
            .map(|number| json!({"name": format!("tag {number}"), "count": 1 + number * 3 % 17}))
            .collect();
        let mut content = String::from("# A page\n");
        for (slug, params) in &macros {
            let words: Vec<String> = params
                .as_object()
                .expect("parameters")
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            content.push_str(
                "\nSome *text* of the author, with a [link](https://example.org/page) and `code`, as long as a \
                 paragraph of a page usually is, which is two lines or three.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n",
            );
            content.push_str(&format!("[[{slug} {}]]\n", words.join(" ")));
        }
        let data = json!({"media": media(), "tags": tags});
        Self { content, env: json!({"isPreview": false, "mainLanguage": "en"}), data, macros }
    }

    /// `content.render` of it.
    pub(crate) fn request(&self) -> Request {
        let payload =
            json!({"content": self.content, "format": "markdown", "env": self.env, "data": self.data});
        Request::json("content.render", &payload)
    }

    /// The context that each macro gets.
    pub(crate) fn contexts(&self) -> Vec<(&'static str, Value)> {
        let context = |(slug, params): &(&'static str, Value)| {
            (*slug, json!({"env": self.env, "params": params, "data": self.data}))
        };
        self.macros.iter().map(context).collect()
    }
}
