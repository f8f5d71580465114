//! Layer `namespaces`: no network, no shared memory of others, an empty root folder and a host name that says nothing.
//! The zygote enters them once, before its first fork, and all cells inherit them; a system that does not permit them
//! leaves the zygote where it is, and cells report the layer as missing.
//!
//! The other layers are put in force in each cell by itself and do not live here.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Lock;
use crate::sys::check;

/// What machines are called in there.
const HOST: &CStr = c"cell";

/// Where the new root is put together; `/proc` is where the kernel has told who we are, so it exists.
const STAGE: &CStr = c"/proc";

/// One kind of namespace.
struct Kind {
    /// Its name below `/proc/self/ns`.
    name: &'static str,
    /// What `unshare` calls it.
    flag: libc::c_int,
}

const MOUNT: Kind = Kind { name: "mnt", flag: libc::CLONE_NEWNS };
const IPC: Kind = Kind { name: "ipc", flag: libc::CLONE_NEWIPC };
const HOST_NAME: Kind = Kind { name: "uts", flag: libc::CLONE_NEWUTS };
const NETWORK: Kind = Kind { name: "net", flag: libc::CLONE_NEWNET };
const USER: Kind = Kind { name: "user", flag: libc::CLONE_NEWUSER };

/// Moves this process, which must be one thread and have read all files it needs, into namespaces of its own; whether
/// all of them are in force. With `network` it stays in the machine's network, with `files` among its files: then it is for
/// cells that were granted folders, and what keeps the other files from them is Landlock. Else there are no files but
/// `copies`, by their paths.
pub(crate) fn enter(network: bool, files: bool, copies: &[Copied]) -> bool {
    leave(network).and_then(|()| if files { Ok(()) } else { empty_root(copies) }).is_ok()
}

/// A file of the system that is there once more in the new root: its absolute path, and what is in it.
pub(crate) type Copied = (String, Vec<u8>);

pub(super) fn apply(lock: &Lock) -> io::Result<()> {
    // A cell has no `/proc` to look at: the zygote has looked, and what it found the fork has inherited.
    if lock.namespaces { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// Leaves the machine's namespaces, and looks whether it is in others now.
fn leave(network: bool) -> io::Result<()> {
    let mut kinds = vec![MOUNT, IPC, HOST_NAME];
    if !network {
        kinds.push(NETWORK);
    }
    // SAFETY: both take nothing.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // Root needs none, and in one it could not become `nobody`.
    let own_users = user != 0;
    if own_users {
        kinds.push(USER);
    }
    let before = identities(&kinds)?;
    let flags = kinds.iter().fold(0, |flags, kind| flags | kind.flag);
    // SAFETY: takes a number.
    check(unsafe { libc::unshare(flags) })?;
    if own_users {
        // The process keeps its ids, and no other exists in there.
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    // Some services may have a name of their own but not choose it (`ProtectHostname=` of systemd): no reason to do without
    // the rest.
    // SAFETY: the pointer and the length are those of a constant.
    let _named = unsafe { libc::sethostname(HOST.as_ptr(), HOST.to_bytes().len()) };
    let after = identities(&kinds)?;
    if before.iter().zip(&after).any(|(before, after)| before == after) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

/// What the kernel calls the namespaces that this process is in.
fn identities(kinds: &[Kind]) -> io::Result<Vec<PathBuf>> {
    kinds.iter().map(|kind| std::fs::read_link(format!("/proc/self/ns/{}", kind.name))).collect()
}

/// Puts the copies into the folder that will be the root, for everyone to read.
fn fill(copies: &[Copied]) -> io::Result<()> {
    let stage = Path::new("/proc");
    for (path, content) in copies {
        let inside = Path::new(path).strip_prefix("/").map_err(io::Error::other)?;
        let place = stage.join(inside);
        let folders: Vec<&Path> = place.ancestors().skip(1).take_while(|folder| *folder != stage).collect();
        for folder in folders.into_iter().rev() {
            if !folder.exists() {
                std::fs::create_dir(folder)?;
                std::fs::set_permissions(folder, Permissions::from_mode(0o555))?;
            }
        }
        std::fs::write(&place, content)?;
        std::fs::set_permissions(&place, Permissions::from_mode(0o444))?;
    }
    Ok(())
}

/// Makes a folder that cannot be written and has nothing but the copies in it the root, lets go of all other file systems,
/// and looks whether it is so.
fn empty_root(copies: &[Copied]) -> io::Result<()> {
    const NONE: &CStr = c"none";
    const HERE: &CStr = c".";
    let closed = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let (writable, options) = match copies {
        [] => (closed, c"mode=555,size=4k,nr_inodes=1"),
        _ => (closed & !libc::MS_RDONLY, c"mode=555,size=8m,nr_inodes=64"),
    };
    let nothing = std::ptr::null();
    // SAFETY: the pointers are to constants, or to nothing where nothing is read.
    unsafe {
        // What is mounted here from now on is mounted for nobody else.
        let private = libc::MS_REC | libc::MS_PRIVATE;
        check(libc::mount(NONE.as_ptr(), c"/".as_ptr(), nothing, private, nothing.cast()))?;
        let tmpfs = c"tmpfs".as_ptr();
        check(libc::mount(NONE.as_ptr(), STAGE.as_ptr(), tmpfs, writable, options.as_ptr().cast()))?;
        if !copies.is_empty() {
            fill(copies)?;
            let again = libc::MS_REMOUNT | closed;
            check(libc::mount(NONE.as_ptr(), STAGE.as_ptr(), tmpfs, again, options.as_ptr().cast()))?;
        }
        check(libc::chdir(STAGE.as_ptr()))?;
        // The old root comes to lie on the new one, and is taken off: no folder is needed to put it in.
        let moved = libc::syscall(libc::SYS_pivot_root, HERE.as_ptr(), HERE.as_ptr());
        check(libc::c_int::try_from(moved).map_err(io::Error::other)?)?;
        check(libc::umount2(HERE.as_ptr(), libc::MNT_DETACH))?;
        check(libc::chdir(c"/".as_ptr()))?;
    }
    let there = std::fs::read_dir("/")?.map(|entry| entry.map(|entry| entry.file_name()));
    let there = there.collect::<io::Result<BTreeSet<_>>>()?;
    let of_copy = |(path, _): &Copied| Some(path.split('/').nth(1)?.into());
    if there == copies.iter().filter_map(of_copy).collect() {
        Ok(())
    } else {
        Err(io::ErrorKind::DirectoryNotEmpty.into())
    }
}
