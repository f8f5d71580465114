//! What of a folder is read, and how files are written while others write them too.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::write::{Order, Outcome, carry_out, clear_drafts};
use super::*;

fn everything(root: &Path) -> Vec<Files> {
    read(root, &Known::default(), false).unwrap()
}

#[test]
fn a_project_per_folder_and_nothing_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.py"), "secret").unwrap();
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    std::fs::create_dir(path("blog")).unwrap();
    std::fs::write(path("a.py"), "x = 1").unwrap();
    std::fs::write(path("blog/a.py"), "x = 2").unwrap();
    std::fs::write(path("notes.txt"), "no script").unwrap();
    std::fs::write(path("large.py"), vec![b'#'; LARGEST_BODY + 1]).unwrap();
    std::fs::write(path("binary.py"), [0xff, 0xfe]).unwrap();
    std::fs::write(path("twice.py"), "x").unwrap();
    std::fs::hard_link(path("twice.py"), path("again.py")).unwrap();
    symlink(outside.path().join("secret.py"), path("link.py")).unwrap();
    symlink(outside.path(), path("linked")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe.py"), Mode::RUSR).unwrap();
    let all = everything(root.path());
    let scripts: Vec<_> = all
        .iter()
        .flat_map(|files| files.seen.iter().map(|seen| (files.project.as_str(), seen.text.as_deref())))
        .collect();
    assert_eq!(scripts, [("default", Some("x = 1")), ("blog", Some("x = 2"))]);
    let errors: Vec<_> =
        all.iter().flat_map(|files| &files.errors).map(|error| error.file.as_str()).collect();
    assert_eq!(errors, ["again.py", "binary.py", "large.py", "link.py", "pipe.py", "twice.py", ""]);
    let linked = all.iter().find(|files| files.project == "linked").unwrap();
    assert!(!linked.read, "a folder that is a link now has not lost its files");
}

#[test]
fn a_known_text_is_left_out_and_a_trusted_stamp_saves_the_reading() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("a.py"), "x = 1").unwrap();
    let seen = everything(root.path()).remove(0).seen.remove(0);
    assert_eq!(seen.stamp, None, "a file that was just written can still change within the clock's tick");
    let mut known = Known::default();
    let stamp = stamp_of(&statat(rustix::fs::CWD, root.path().join("a.py"), AtFlags::empty()).unwrap());
    let entry = KnownFile { hash: seen.hash.clone(), stamp: None };
    known.entry("default".into()).or_default().insert("a.py".into(), entry);
    assert_eq!(read(root.path(), &known, true).unwrap()[0].seen[0].text, None);
    let entry = KnownFile { hash: "believed".into(), stamp: Some(stamp) };
    known.entry("default".into()).or_default().insert("a.py".into(), entry);
    assert_eq!(read(root.path(), &known, true).unwrap()[0].seen[0].hash, "believed");
    assert_eq!(read(root.path(), &known, false).unwrap()[0].seen[0].hash, seen.hash);
    std::fs::write(root.path().join("a.py"), "x = 22").unwrap();
    assert_eq!(read(root.path(), &known, true).unwrap()[0].seen[0].text.as_deref(), Some("x = 22"));
}

#[test]
fn only_a_change_long_ago_makes_a_stamp_worth_trusting() {
    let stamp =
        |seconds| Stamp { device: 1, inode: 1, size: 1, modified: (0, 0), changed: (seconds, 999_999_999) };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    assert!(is_settled(&stamp(97), now));
    assert!(!is_settled(&stamp(98), now) && !is_settled(&stamp(100), now) && !is_settled(&stamp(500), now));
}

fn order(to: &str, expected: Option<&str>, text: Option<&str>) -> Order {
    let expected = expected.map(|text| hash(text.as_bytes()));
    Order { project: "default".into(), from: None, to: to.into(), expected, text: text.map(str::to_owned) }
}

fn names(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_replaced_only_over_the_text_that_one_knows() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    let one = |order: Order| carry_out(root.path(), &[order]).remove(0);
    assert_eq!(one(order("a.py", None, Some("1"))), Outcome::Done);
    assert_eq!(one(order("a.py", None, Some("2"))), Outcome::Changed);
    std::fs::set_permissions(path("a.py"), std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(one(order("a.py", Some("0"), Some("2"))), Outcome::Changed);
    assert_eq!(std::fs::read_to_string(path("a.py")).unwrap(), "1");
    assert_eq!(one(order("a.py", Some("1"), Some("2"))), Outcome::Done);
    assert_eq!(std::fs::read_to_string(path("a.py")).unwrap(), "2");
    assert_eq!(std::fs::metadata(path("a.py")).unwrap().permissions().mode() & 0o777, 0o600);

    assert_eq!(
        one(Order { from: Some("a.py".into()), ..order("b.py", Some("2"), Some("3")) }),
        Outcome::Done
    );
    std::fs::write(path("c.py"), "c").unwrap();
    assert_eq!(
        one(Order { from: Some("b.py".into()), ..order("c.py", Some("3"), Some("4")) }),
        Outcome::Changed
    );
    assert_eq!(one(order("b.py", Some("2"), None)), Outcome::Changed);
    assert_eq!(names(root.path()), ["b.py", "c.py"]);
    assert_eq!(one(order("b.py", Some("3"), None)), Outcome::Done);
    assert_eq!(one(order("b.py", Some("3"), None)), Outcome::Done, "a file that has gone is removed");
    assert_eq!(one(Order { project: "blog".into(), ..order("d.py", None, Some("d")) }), Outcome::Done);
    assert_eq!(names(root.path()), ["blog", "c.py"]);
}

#[test]
fn nothing_outside_is_written_through_links_and_names() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("a.py"), "theirs").unwrap();
    let root = tempfile::tempdir().unwrap();
    symlink(outside.path().join("a.py"), root.path().join("a.py")).unwrap();
    symlink(outside.path(), root.path().join("blog")).unwrap();
    let one = |order: Order| carry_out(root.path(), &[order]).remove(0);
    assert_eq!(one(order("a.py", Some("theirs"), Some("ours"))), Outcome::Changed);
    assert_eq!(one(order("a.py", Some("theirs"), None)), Outcome::Changed);
    assert!(std::fs::symlink_metadata(root.path().join("a.py")).unwrap().is_symlink());
    let of_blog = |order: Order| one(Order { project: "blog".into(), ..order });
    assert!(matches!(of_blog(order("new.py", None, Some("ours"))), Outcome::Failed(_)));
    for name in ["../x.py", "/tmp/x.py", "blog/x.py", ".py", ".x.py", "x.txt", "x\0.py"] {
        assert!(matches!(one(order(name, None, Some("ours"))), Outcome::Failed(_)), "{name:?}");
    }
    for project in ["..", ".", "", "a/b", "Default"] {
        let order = Order { project: project.into(), ..order("x.py", None, Some("ours")) };
        assert!(matches!(one(order), Outcome::Failed(_)), "{project}");
    }
    assert_eq!(std::fs::read_to_string(outside.path().join("a.py")).unwrap(), "theirs");
    assert_eq!(
        (names(outside.path()), names(root.path())),
        (vec!["a.py".to_owned()], vec!["a.py".into(), "blog".into()])
    );
}

#[test]
fn many_files_are_written_like_few() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("n7.py"), "mine").unwrap();
    let orders: Vec<Order> = (0..40).map(|n| order(&format!("n{n}.py"), None, Some("x"))).collect();
    let outcomes = carry_out(root.path(), &orders);
    let changed: Vec<usize> = (0..40).filter(|n| outcomes[*n] == Outcome::Changed).collect();
    assert_eq!((changed, names(root.path()).len()), (vec![7], 40));
    assert_eq!(std::fs::read_to_string(root.path().join("n7.py")).unwrap(), "mine");
}

/// An editor saves by renaming, 2,000 times, while we try to replace what was read last. After every few saves it looks whether
/// the last one has stayed, or was replaced by one who knew it.
fn saves_at_the_same_moment(save: impl Fn(u32) -> Vec<u8> + Sync) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.py");
    std::fs::write(&path, save(0)).unwrap();
    let (done, tries) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let (path, done, tries, folder, save) = (&path, &done, &tries, root.path(), &save);
        let stays = move |n| {
            // One that has begun meanwhile, and one that begins after the save.
            let enough = tries.load(Ordering::SeqCst) + 2;
            while tries.load(Ordering::SeqCst) < enough {
                std::thread::yield_now();
            }
            let there = std::fs::read(path).unwrap();
            there == b"ours" || there == save(n)
        };
        let editor = scope.spawn(move || {
            let lost = (1..=2_000).find(|n| {
                let draft = folder.join(".editor");
                std::fs::write(&draft, save(*n)).unwrap();
                std::fs::rename(&draft, path).unwrap();
                n.is_multiple_of(5) && !stays(*n)
            });
            done.store(true, Ordering::SeqCst);
            lost
        });
        let mut failed = None;
        while !done.load(Ordering::SeqCst) {
            let known = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            let outcome = carry_out(folder, &[order("a.py", Some(&known), Some("ours"))]).remove(0);
            failed = failed.or(Some(outcome).filter(|outcome| matches!(outcome, Outcome::Failed(_))));
            tries.fetch_add(1, Ordering::SeqCst);
        }
        assert_eq!((editor.join().unwrap(), failed), (None, None), "the save that is gone, and what failed");
    });
    assert_eq!(names(root.path()), ["a.py"]);
}

#[test]
fn a_save_at_the_same_moment_is_never_lost() {
    saves_at_the_same_moment(|n| format!("save {n}").into_bytes());
}

#[test]
fn a_save_of_what_is_no_text_is_never_lost_either() {
    saves_at_the_same_moment(|n| [b"\xff", n.to_string().as_bytes()].concat());
}

#[test]
fn what_a_crash_left_is_cleared_unless_nobody_else_has_it() {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in [(".callboard-1", "known"), (".callboard-2", "unknown"), (".hidden", "other")] {
        std::fs::write(root.path().join(name), text).unwrap();
    }
    clear_drafts(root.path(), "default", &|text| text == "known").unwrap();
    assert_eq!(names(root.path()), [".hidden", "recovered_1.py"]);
    assert_eq!(std::fs::read_to_string(root.path().join("recovered_1.py")).unwrap(), "unknown");
}
