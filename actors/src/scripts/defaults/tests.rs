//! What a project is given, and that nothing is taken from it.

use std::rc::Rc;

use super::*;
use crate::scripts::library::scan::Look;
use crate::store::memory::Memory;
use crate::store::objects::Objects;

const P: &str = "default";

struct Place {
    folder: tempfile::TempDir,
    library: Library,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("scripts");
        std::fs::create_dir(&root).unwrap();
        let objects = Objects::open(&folder.path().join("objects")).unwrap();
        let library = Library::open(Rc::new(Memory::default()), objects, &root).await.unwrap();
        Self { folder, library }
    }

    fn path(&self, slug: &str) -> std::path::PathBuf {
        self.folder.path().join("scripts").join(format!("{slug}.py"))
    }

    async fn start(&self, bundle: &[Default]) {
        read_old_note(&self.library).await.unwrap();
        self.library.sync(Look::Full).await.unwrap();
        ensure_of(&self.library, P, bundle).await.unwrap();
    }

    async fn standing(&self, default: &Default) -> (Stands, bool) {
        let standing = standing(&self.library, P, default).await;
        (standing.state, standing.newer)
    }
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

/// A default with texts that it had one after the other.
fn of(slug: &'static str, n: u128, bodies: &[&str]) -> Vec<Default> {
    let id = protocol::Id::from(uuid::Uuid::from_u128(n));
    let texts: Vec<&'static str> =
        bodies.iter().map(|body| leak(format!("\"\"\"\n---\nid: \"{id}\"\n---\n\"\"\"\n{body}"))).collect();
    let hashes: Vec<&'static str> = texts.iter().map(|text| leak(hash(text.as_bytes()))).collect();
    let shipped = |upto: usize| &*Box::leak(hashes[..=upto].to_vec().into_boxed_slice());
    texts.iter().enumerate().map(|(n, text)| Default { slug, text, shipped: shipped(n) }).collect()
}

#[test]
fn the_bundle_knows_the_hash_of_each_text_it_has_and_had() {
    for default in BUNDLE {
        assert_eq!(
            default.newest(),
            hash(default.text.as_bytes()),
            "{}: add the new hash, and one to VERSION",
            default.slug
        );
        assert!(default.id().is_some(), "{}", default.slug);
    }
    assert!(BUNDLE.windows(2).all(|pair| pair[0].slug < pair[1].slug));
    let ids: std::collections::HashSet<_> = BUNDLE.iter().map(Default::id).collect();
    assert_eq!(ids.len(), BUNDLE.len());
}

#[tokio::test]
async fn a_folder_is_given_all_once_and_a_deleted_one_stays_deleted() {
    let place = Place::new().await;
    place.start(&BUNDLE).await;
    for default in BUNDLE {
        assert_eq!(std::fs::read_to_string(place.path(default.slug)).unwrap(), default.text);
        assert_eq!(place.standing(&default).await, (Stands::Current, false));
        let index = place.library.index.borrow();
        assert_eq!(index.find(P, default.slug).unwrap().script.record.origin, "default@1");
    }
    std::fs::remove_file(place.path("vimeo")).unwrap();
    std::fs::write(place.path("youtube"), "mine").unwrap();
    place.start(&BUNDLE).await;
    assert!(!place.path("vimeo").exists());
    let vimeo = BUNDLE.iter().find(|default| default.slug == "vimeo").unwrap();
    assert_eq!(place.standing(vimeo).await, (Stands::Deleted, false));
    let youtube = BUNDLE.iter().find(|default| default.slug == "youtube").unwrap();
    assert_eq!(place.standing(youtube).await, (Stands::Changed, false));
    assert!(std::fs::read_to_string(place.path("youtube")).unwrap().ends_with("mine"));
}

#[tokio::test]
async fn an_untouched_default_becomes_the_newer_one_and_a_changed_one_is_reported() {
    let place = Place::new().await;
    let (a, b) = (of("a", 1, &["one", "two"]), of("b", 2, &["one", "two"]));
    place.start(&[a[0], b[0]]).await;
    let text = std::fs::read_to_string(place.path("b")).unwrap();
    std::fs::write(place.path("b"), format!("{text}\nmine")).unwrap();
    place.start(&[a[1], b[1]]).await;
    assert_eq!(std::fs::read_to_string(place.path("a")).unwrap(), a[1].text);
    assert_eq!(std::fs::read_to_string(place.path("b")).unwrap(), format!("{text}\nmine"));
    assert_eq!(
        (place.standing(&a[1]).await, place.standing(&b[1]).await),
        ((Stands::Current, false), (Stands::Changed, true))
    );
    // What both sides began from is still known, for a merge of three.
    let of_b = standing(&place.library, P, &b[1]).await;
    assert_eq!((of_b.given.as_deref(), of_b.newest.as_deref()), (Some("one"), Some("two")));
    let held = place.library.index.borrow().find(P, "a").cloned().unwrap();
    assert_eq!(held.script.record.version, 2);
    assert_eq!(place.library.versions(P, held.script.record.id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_users_script_of_the_same_name_stays() {
    let place = Place::new().await;
    let a = of("a", 1, &["one"]);
    std::fs::write(place.path("a"), "mine").unwrap();
    place.start(&a).await;
    assert!(std::fs::read_to_string(place.path("a")).unwrap().ends_with("mine"));
    assert_eq!(place.standing(&a[0]).await, (Stands::Hidden, false));
}

#[tokio::test]
async fn the_note_of_an_earlier_version_is_taken_over_once() {
    let place = Place::new().await;
    let a = of("vimeo", 1, &["one", "two"]);
    std::fs::write(place.path("vimeo"), a[0].text).unwrap();
    let note = place.folder.path().join("scripts").join(OLD_NOTE);
    let gone = of("youtube", 2, &["one"]);
    std::fs::write(
        &note,
        format!(r#"{{"vimeo.py":"{}","youtube.py":"{}"}}"#, a[0].newest(), gone[0].newest()),
    )
    .unwrap();
    place.start(&[a[1], gone[0]]).await;
    assert!(!note.exists());
    assert_eq!(
        std::fs::read_to_string(place.path("vimeo")).unwrap(),
        a[1].text,
        "an untouched one is updated"
    );
    assert!(!place.path("youtube").exists(), "one that was deleted stays deleted");
}
