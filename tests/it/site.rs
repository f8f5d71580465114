//! A whole site through `content.render`: every post has what its own macros show, in its places, and nothing of another; and
//! every golden case of a default script says in a cell what its file says.

use futures_util::StreamExt as _;
use futures_util::stream;
use harness::site;
use harness::stage::Stage;
use serde_json::{Value, json};

/// Posts; the benchmark has more.
const POSTS: usize = 40;

#[tokio::test]
async fn every_post_of_a_site_shows_its_own_macros_in_their_places() {
    let stage = Stage::open().await;
    let posts: Vec<_> = (0..POSTS).map(site::post).collect();
    let checks = stream::iter(&posts).map(|post| async {
        let answer = stage.client.call("content.render", &post.page()).await;
        let html = answer.data()["html"].as_str().expect("html");
        let macros = answer.data()["macros"].as_array().expect("macros");
        let ran: Vec<&str> = macros.iter().filter_map(|one| one["script"].as_str()).collect();
        let placed: Vec<&str> = post.macros.iter().map(|placed| placed.script).collect();
        assert_eq!(ran, placed, "{macros:?}");
        assert!(macros.iter().all(|one| one["status"] == "ok" && one["warnings"] == json!([])), "{macros:?}");
        let shows = post.macros.iter().enumerate().flat_map(|(place, placed)| {
            std::iter::once(format!("Part {place}</h2>")).chain(placed.shows.iter().cloned())
        });
        let mut rest = html;
        for shown in std::iter::once(format!("Post {}</h1>", post.number)).chain(shows) {
            let (_, after) = rest
                .split_once(shown.as_str())
                .unwrap_or_else(|| panic!("no `{shown}` in its place in post {}: {html}", post.number));
            rest = after;
        }
        assert_eq!(html.matches("[[code]]").count(), post.macros.len(), "{html}");
        let others = [post.number + 1, post.number + 7].map(|number| format!("/media/{number}-"));
        assert!(!others.iter().any(|other| html.contains(other.as_str())), "{html}");
    });
    checks.buffer_unordered(8).collect::<Vec<()>>().await;
    stage.close();
}

#[tokio::test]
async fn every_golden_case_says_in_a_cell_what_its_file_says() {
    let stage = Stage::open().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/golden");
    let mut count = 0;
    for slug in ["youtube", "vimeo", "gallery", "photo_archive", "tag_cloud", "word_count"] {
        for file in std::fs::read_dir(folder.join(slug)).expect("golden cases") {
            let path = file.expect("a file").path();
            let case: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
            let (said, cleaned) = match case.get("context") {
                Some(context) => {
                    let payload = |raw| json!({"script": slug, "context": context, "raw": raw});
                    let raw = stage.client.call("macro.render", &payload(true)).await;
                    let cleaned = stage.client.call("macro.render", &payload(false)).await;
                    (raw.data().clone(), cleaned.data()["html"].as_str().map(text_of))
                }
                None => {
                    let payload = json!({"script": slug, "input": case["input"]});
                    (stage.client.call("utility.run", &payload).await.data()["result"].clone(), None)
                }
            };
            assert_eq!(said, case["result"], "{}", path.display());
            // What the cleaning may not take: text, classes and data.
            let written = case["result"]["html"].as_str().map(text_of);
            assert_eq!(cleaned.filter(|_| written.is_some()), written, "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 120, "{count} cases");
    stage.close();
}

/// What of some HTML must outlive its cleaning: its text and how many classes, data and addresses it has. In which order the
/// attributes of an element stand is the cleaner's business.
fn text_of(html: &str) -> (String, [usize; 4]) {
    let mut text = String::new();
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            character if !inside => text.push(character),
            _ => {}
        }
    }
    let text =
        text.replace("&#x27;", "'").replace("&quot;", "\"").replace("&#39;", "'").replace('\u{a0}', "&nbsp;");
    (text, [" class=\"", " data-", " src=\"", " href=\""].map(|attribute| html.matches(attribute).count()))
}
