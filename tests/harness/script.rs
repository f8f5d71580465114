//! Texts of script files for tests: a metadata docstring in front of a body.

/// A macro.
#[must_use]
pub fn render(slug: &str, body: &str) -> String {
    file(slug, "macro", "render", body)
}

/// A utility.
#[must_use]
pub fn main(slug: &str, body: &str) -> String {
    file(slug, "utility", "main", body)
}

/// A script file. Lines of `body` count from 1, as an editor that leaves the docstring out shows them.
#[must_use]
pub fn file(slug: &str, kind: &str, entrypoint: &str, body: &str) -> String {
    let id = uuid::Uuid::now_v7();
    format!(
        "\"\"\"\n---\nid: \"{id}\"\nslug: \"{slug}\"\ntitle: \"{slug}\"\nkind: {kind}\nentrypoint: {entrypoint}\n\
         enabled: true\nversion: 1\n---\n\"\"\"\n{body}"
    )
}

/// The same script, asking for capabilities: `"llm"`, or several in one text divided by commas.
#[must_use]
pub fn asking(capabilities: &str, file: &str) -> String {
    file.replacen("\nversion: 1\n", &format!("\nversion: 1\ncapabilities: [{capabilities}]\n"), 1)
}

/// A macro's context with these parameters and nothing else that it could depend on.
#[must_use]
pub fn context(params: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({"env": {"isPreview": false}, "params": params})
}
