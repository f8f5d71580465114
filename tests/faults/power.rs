//! Power cuts: a file system of its own is shut down without writing what it still holds, then mounted anew. Needs root and loop
//! devices; a machine that lacks them must say so with `CALLBOARD_LACKS=power-cuts`.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use callboard::store::Store as _;
use callboard::store::embedded::Embedded;
use tempfile::TempDir;

use super::scripts::crashes;

/// Cuts for each of both writers.
const CUTS: usize = 30;

/// A file system in a file.
struct Disk {
    folder: TempDir,
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

impl Disk {
    fn new() -> Result<Self, String> {
        let folder = TempDir::with_prefix("callboard-power-").map_err(|error| error.to_string())?;
        let image = std::fs::File::create(folder.path().join("image")).map_err(|error| error.to_string())?;
        image.set_len(64 << 20).map_err(|error| error.to_string())?;
        std::fs::create_dir(folder.path().join("disk")).map_err(|error| error.to_string())?;
        let disk = Self { folder };
        run("mkfs.ext4", &["-q", &disk.image()])?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> String {
        self.folder.path().join("image").display().to_string()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", &self.image(), &self.path().display().to_string()])
    }

    /// EXT4_IOC_SHUTDOWN without a flush of the journal.
    fn cut(&self) {
        let script = "import fcntl, os, struct, sys\n\
                      fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
        run("python3", &["-c", script, &self.path().display().to_string()])
            .expect("a file system that can be shut down");
    }

    fn again(&self) {
        run("umount", &[&self.path().display().to_string()]).expect("an end of the file system");
        self.mount().expect("a file system that can be mounted anew");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _unmounted = run("umount", &[&self.path().display().to_string()]);
    }
}

/// Starts the writer, cuts the power after so many answers, and gives those that were said before.
fn cut_writer(disk: &Disk, way: &str, folder: &Path, answers: u64) -> Vec<u64> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_store-writer"));
    command.arg(way).arg(folder).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the writer starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let many = usize::try_from(answers).unwrap_or(usize::MAX);
    let said: Vec<u64> =
        lines.by_ref().take(many).map(|line| line.expect("a line").parse().expect("a number")).collect();
    disk.cut();
    child.kill().expect("a writer that can be killed");
    child.wait().expect("its end");
    disk.again();
    said
}

#[test]
fn what_was_answered_for_survives_the_loss_of_power() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => {
            let lacks = std::env::var("CALLBOARD_LACKS").unwrap_or_default();
            assert!(
                lacks.split(',').any(|what| what == "power-cuts"),
                "power cannot be cut here ({why}): run as root with loop devices, or say CALLBOARD_LACKS=power-cuts"
            );
            println!("not done, as CALLBOARD_LACKS says: power cuts ({why})");
            return;
        }
    };
    let (mut answers, mut careful, mut careless) = (0, 0, 0);
    for cut in 0..CUTS {
        let path = disk.path().join("store");
        let said = cut_writer(&disk, "careful", &path, 1 + crashes::random(80));
        let opened = Embedded::open(&path).expect("a store that opens");
        assert_eq!(opened.set_aside, None, "cut {cut}: the store is damaged");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let kept = runtime.block_on(opened.store.scan("n/")).expect("a scan");
        let kept: BTreeSet<String> = kept.into_iter().map(|entry| entry.key).collect();
        answers += said.len();
        careful += said.iter().filter(|n| !kept.contains(&format!("n/{n:020}"))).count();
        drop(opened);

        let path = disk.path().join(format!("careless-{cut}"));
        let said = cut_writer(&disk, "careless", &path, 1 + crashes::random(80));
        let kept = std::panic::catch_unwind(|| sled::open(&path).map(|db| db.len()))
            .ok()
            .and_then(Result::ok)
            .unwrap_or(0);
        careless += said.len().saturating_sub(kept);
        let _room_for_the_next = std::fs::remove_dir_all(&path);
    }
    println!("{CUTS} cuts: of {answers} answers {careful} lost, by the careless writer {careless}");
    assert_eq!(careful, 0);
    assert!(careless > 0, "the control lost nothing: the test cannot tell");
}
