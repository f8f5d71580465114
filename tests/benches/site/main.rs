//! `make bench`: a site of 500 posts. Pages a second and how long each macro takes through `content.render`, beside one
//! `macro.render` for each macro of the same posts, in one run on one node.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use harness::client::Client;
use harness::node::Options;
use harness::site::{self, Post};
use harness::stage::Stage;

/// Posts of the site.
const POSTS: usize = 500;
/// Rounds of each way, in turn.
const ROUNDS: usize = 3;
/// Requests that are under way at once.
const AT_ONCE: usize = 8;

/// What one way has shown.
#[derive(Default)]
struct Seen {
    /// Pages a second, of each round.
    rates: Vec<f64>,
    /// From request to reply.
    pages: Vec<Duration>,
    /// By script: for pages as the node says, else from request to reply.
    macros: BTreeMap<String, Vec<Duration>>,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let stage = Stage::with(Options::new()).await;
    let posts: Vec<Post> = (0..POSTS).map(site::post).collect();
    let placed: usize = posts.iter().map(|post| post.macros.len()).sum();
    let bytes: usize = posts.iter().map(|post| post.page().to_string().len()).sum();
    println!("{POSTS} posts with {placed} macros, {} bytes a request", bytes / POSTS);
    let (mut pages, mut alone) = (Seen::default(), Seen::default());
    // Cells and caches become warm.
    round(&mut Seen::default(), &posts[..50], async |post| page(&stage.client, post).await).await;
    for _ in 0..ROUNDS {
        round(&mut pages, &posts, async |post| page(&stage.client, post).await).await;
        round(&mut alone, &posts, async |post| one_by_one(&stage.client, post).await).await;
    }
    pages.print("content.render");
    alone.print("macro.render for each (without the Markdown around them)");
    assert_eq!(stage.node.stop().code, Some(0));
}

async fn round(seen: &mut Seen, posts: &[Post], one: impl AsyncFn(&Post) -> Vec<(String, Duration)>) {
    let begin = Instant::now();
    let timed = stream::iter(posts).map(|post| async {
        let begin = Instant::now();
        (one(post).await, begin.elapsed())
    });
    let all: Vec<_> = timed.buffer_unordered(AT_ONCE).collect().await;
    seen.rates.push(posts.len() as f64 / begin.elapsed().as_secs_f64());
    for (macros, took) in all {
        seen.pages.push(took);
        for (script, took) in macros {
            seen.macros.entry(script).or_default().push(took);
        }
    }
}

async fn page(client: &Client, post: &Post) -> Vec<(String, Duration)> {
    let answer = client.call("content.render", &post.page()).await;
    let macros = answer.data()["macros"].as_array().expect("macros");
    assert_eq!(macros.len(), post.macros.len(), "{}", answer.body);
    let one = |one: &serde_json::Value| {
        assert_eq!(one["status"], "ok", "{one}");
        let took = Duration::from_secs_f64(one["durationMs"].as_f64().expect("a time") / 1e3);
        (one["script"].as_str().expect("a script").to_owned(), took)
    };
    macros.iter().map(one).collect()
}

async fn one_by_one(client: &Client, post: &Post) -> Vec<(String, Duration)> {
    let mut times = Vec::new();
    for placed in &post.macros {
        let answer = client.call("macro.render", &post.alone(placed)).await;
        answer.ok();
        times.push((placed.script.to_owned(), answer.took));
    }
    times
}

impl Seen {
    fn print(&self, name: &str) {
        let best = self.rates.iter().copied().fold(0.0, f64::max);
        let rates: Vec<String> = self.rates.iter().map(|rate| format!("{rate:.0}")).collect();
        println!(
            "\n{name}: {best:.0} pages a second with {AT_ONCE} outstanding (rounds: {})",
            rates.join(", ")
        );
        println!("  a page: {}", percentiles(&self.pages));
        for (script, times) in &self.macros {
            println!("  {script}: {} of {}", percentiles(times), times.len());
        }
    }
}

fn percentiles(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    format!("p50 {:.2} ms, p95 {:.2} ms", at(0.5), at(0.95))
}
