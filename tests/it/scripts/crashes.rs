//! Killing what writes, and looking afterwards for what it had answered for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use harness::broker::Broker;
use harness::client::Client;
use harness::node::{Node, Options};
use harness::wait;

/// Clients that each have one change under way.
const WRITERS: usize = 4;

/// A number below `end`.
pub(crate) fn random(end: u64) -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 % end.max(1)
}

/// What was answered for: the last version of each script and its body, or that it was deleted.
type Answered = BTreeMap<String, Option<(u64, String)>>;

/// What happened in the rounds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    /// Nodes that were killed.
    pub(crate) kills: usize,
    /// Changes that were answered for.
    pub(crate) answered: usize,
    /// Changes that were under way when the node was killed.
    pub(crate) torn: usize,
}

/// Creates, updates, deletes and edits scripts through a node that is killed at random, so often; after each kill every change
/// that was answered for must be there.
///
/// # Panics
/// One is not.
pub(crate) async fn rounds(kills: usize) -> Count {
    let broker = Broker::start();
    let data = Arc::new(TempDir::with_prefix("callboard-crash-").expect("a temporary folder"));
    let options = Options::new().roles("scripts").in_data(&data);
    let answered: Rc<RefCell<Answered>> = Rc::default();
    let under_way: Rc<RefCell<Vec<String>>> = Rc::default();
    let mut count = Count::default();
    for round in 0..kills {
        let node = Node::start(&broker.url(), &options);
        let client = Client::connect(&broker.url()).await;
        let torn = under_way.take();
        check(&client, &answered, &torn).await;
        let (told, goal) = (Cell::new(0), 1 + usize::try_from(random(40)).unwrap_or(1));
        let writers = (0..WRITERS).map(|writer| {
            let (client, answered, under_way, told) =
                (client.clone(), Rc::clone(&answered), Rc::clone(&under_way), &told);
            let folder = data.path().join("scripts");
            async move {
                for n in 0.. {
                    let work =
                        Work { client: &client, answered: &answered, under_way: &under_way, folder: &folder };
                    work.one(writer, round, n).await;
                    told.set(told.get() + 1);
                }
            }
        });
        let enough =
            wait::eventually("changes to be answered", std::time::Duration::from_secs(60), || async {
                (told.get() >= goal).then_some(())
            });
        tokio::select! {
            () = enough => {}
            _ = futures_util::future::join_all(writers) => {}
        }
        count.answered += told.get();
        count.torn += under_way.borrow().len();
        let ended = node.end(Signal::KILL);
        assert_eq!(ended.code, None, "a node that was killed: {}", ended.stderr);
        count.kills += 1;
    }
    let node = Node::start(&broker.url(), &options);
    check(&Client::connect(&broker.url()).await, &answered, &under_way.take()).await;
    let aside = std::fs::read_dir(data.path()).expect("the data folder").filter_map(Result::ok);
    let damaged = aside.filter(|entry| entry.file_name().to_string_lossy().contains("damaged")).count();
    assert_eq!(damaged, 0, "a store was set aside");
    assert_eq!(node.stop().code, Some(0));
    count
}

/// One client's next change.
struct Work<'a> {
    client: &'a Client,
    answered: &'a RefCell<Answered>,
    /// Scripts whose change was not answered yet.
    under_way: &'a RefCell<Vec<String>>,
    folder: &'a Path,
}

impl Work<'_> {
    async fn one(&self, writer: usize, round: usize, n: usize) {
        let body = format!(
            "x = '{writer} {round} {n} {}'\n",
            "y".repeat(usize::try_from(random(3_000)).unwrap_or(0))
        );
        let own = format!("w{writer}_");
        let slug = {
            let answered = self.answered.borrow();
            let living: Vec<&String> = answered
                .iter()
                .filter(|(slug, kept)| slug.starts_with(&own) && kept.is_some())
                .map(|(slug, _)| slug)
                .collect();
            living.get(usize::try_from(random(living.len() as u64)).unwrap_or(0)).map(|slug| (*slug).clone())
        };
        match (random(10), slug) {
            (0..=5, Some(slug)) => self.update(&slug, body).await,
            (6, Some(slug)) => self.delete(&slug).await,
            (7 | 8, Some(slug)) => self.edit(&slug, body).await,
            _ => self.create(format!("{own}{round}_{n}"), body).await,
        }
    }

    async fn ask(&self, slug: &str, channel: &str, payload: Value) -> Value {
        self.under_way.borrow_mut().push(slug.to_owned());
        let answer = self.client.call(channel, &payload).await;
        self.under_way.borrow_mut().retain(|known| known != slug);
        answer.data().clone()
    }

    fn note(&self, slug: &str, record: &Value, body: String) {
        let version = record["version"].as_u64().expect("a version");
        self.answered.borrow_mut().insert(slug.to_owned(), Some((version, body)));
    }

    async fn create(&self, slug: String, body: String) {
        let payload = json!({"slug": slug, "body": body, "enabled": false});
        let data = self.ask(&slug, "script.create", payload).await;
        self.note(&slug, &data["record"], body);
    }

    async fn update(&self, slug: &str, body: String) {
        let id = self.id(slug).await;
        let data = self.ask(slug, "script.update", json!({"id": id, "changes": {"body": body}})).await;
        self.note(slug, &data["record"], body);
    }

    async fn delete(&self, slug: &str) {
        let id = self.id(slug).await;
        self.ask(slug, "script.delete", json!({"id": id})).await;
        self.answered.borrow_mut().insert(slug.to_owned(), None);
    }

    /// Saves the file as an editor does, and has it compared; the next version is the one with this body.
    async fn edit(&self, slug: &str, body: String) {
        self.under_way.borrow_mut().push(slug.to_owned());
        let path = self.folder.join(format!("{slug}.py"));
        let Ok(text) = std::fs::read_to_string(&path) else {
            // A deletion that was under way when the node was killed has taken the file and switched the script off.
            self.under_way.borrow_mut().retain(|known| known != slug);
            return self.update(slug, body).await;
        };
        let head = text.split_inclusive("\n---\n\"\"\"\n").next().expect("metadata");
        let draft = self.folder.join(format!(".{slug}.draft"));
        std::fs::write(&draft, format!("{head}{body}")).expect("a draft");
        std::fs::rename(draft, path).expect("a save");
        self.client.call("script.sync", &json!({})).await.ok();
        let got = self.client.call("script.get", &json!({"slug": slug})).await.data().clone();
        assert_eq!(got["body"], body, "a file that was compared is current");
        self.under_way.borrow_mut().retain(|known| known != slug);
        self.note(slug, &got["record"], body);
    }

    async fn id(&self, slug: &str) -> Value {
        self.client.call("script.get", &json!({"slug": slug})).await.data()["record"]["id"].clone()
    }
}

/// Every change that was answered for is there; a script with one under way may have moved on, and is known by that from now on.
async fn check(client: &Client, answered: &RefCell<Answered>, under_way: &[String]) {
    let all = answered.borrow().clone();
    for (slug, kept) in &all {
        let moved_on = under_way.contains(slug);
        let current = client.call("script.get", &json!({"slug": slug})).await;
        let Some((version, body)) = kept else {
            assert_eq!(current.code(), "SCRIPT_NOT_FOUND", "a deleted script is back: {slug}");
            continue;
        };
        if moved_on && current.code() == "SCRIPT_NOT_FOUND" {
            answered.borrow_mut().insert(slug.clone(), None);
            continue;
        }
        let found = current.data()["record"]["version"].as_u64().expect("a version");
        let right = found == *version || (moved_on && found > *version);
        assert!(right, "{slug}: version {found}, {version} was answered for");
        let old = client.call("script.get", &json!({"slug": slug, "version": version})).await;
        assert_eq!(old.data()["body"], *body, "{slug}: another body than was answered for");
        let now = current.data()["body"].as_str().expect("a body").to_owned();
        answered.borrow_mut().insert(slug.clone(), Some((found, now)));
    }
}
