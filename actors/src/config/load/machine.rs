//! What the machine adds to the settings that nobody named: the data folder, and where programs and the
//! cell's module are. Nothing here is an error: what is missing is reported by the part that needs it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Config, Loaded, Origin};

/// What is looked at.
pub(super) struct Surroundings {
    /// The folders of programs, as `PATH` lists them.
    pub(super) search_path: Option<OsString>,
    /// Where this person's applications keep their data.
    pub(super) data: Option<PathBuf>,
    /// This program.
    pub(super) program: Option<PathBuf>,
}

impl Surroundings {
    /// This machine.
    pub(super) fn here() -> Self {
        let home = || std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let named = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|data| data.is_absolute());
        let usual = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
        Self {
            search_path: std::env::var_os("PATH"),
            data: named.or_else(|| Some(home()?.join(usual))),
            program: std::env::current_exe().ok(),
        }
    }

    fn find(&self, program: &Path) -> Option<PathBuf> {
        let folders = self.search_path.as_ref()?;
        std::env::split_paths(folders)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(program))
            .find(|path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok())
    }

    /// Beside this program, as a build leaves it, or where an installation puts it.
    fn extension(&self) -> Option<PathBuf> {
        use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
        let file = format!("{DLL_PREFIX}callboard_cell{DLL_SUFFIX}");
        let folder = self.program.as_ref()?.parent()?;
        let installed = folder.parent().map(|above| above.join("lib/callboard").join(&file));
        [Some(folder.join(&file)), installed].into_iter().flatten().find(|path| path.is_file())
    }
}

/// Fills what follows from the machine and from other settings; what of it is the machine's.
fn follow(config: &mut Config) -> Option<&'static str> {
    if config.scripts.folder.is_none() {
        config.scripts.folder = config.node.data.as_ref().map(|data| data.join("scripts"));
    }
    if config.worker.places.is_some() {
        return None;
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    config.worker.places = u32::try_from(2 * cores).ok();
    Some("worker.places")
}

/// Fills what nobody named and makes all paths absolute: children run in another folder.
pub(super) fn complete(loaded: &mut Loaded, here: &Surroundings) {
    let config = &mut loaded.config;
    let mut found: Vec<&str> = Vec::new();
    if config.node.data.is_none() {
        config.node.data = here.data.as_ref().map(|data| data.join("callboard"));
        found.push("node.data");
    }
    if config.python.extension.is_none() {
        config.python.extension = here.extension();
        found.push("python.extension");
    }
    for (key, path, usual) in [
        ("python.path", &mut config.python.path, "python3"),
        ("nats.server", &mut config.nats.server, "nats-server"),
    ] {
        match path {
            None => {
                *path = here.find(Path::new(usual));
                found.push(key);
            }
            Some(named) if named.components().count() == 1 => *path = here.find(named).or(path.take()),
            Some(_) => {}
        }
    }
    found.extend(follow(config));
    for path in [
        &mut config.node.data,
        &mut config.python.path,
        &mut config.python.extension,
        &mut config.nats.server,
        &mut config.nats.credentials,
        &mut config.nats.ca,
        &mut config.scripts.folder,
    ] {
        if let Some(relative) = path.as_ref().filter(|path| path.is_relative()) {
            *path = std::path::absolute(relative).ok().or(path.take());
        }
    }
    for service in &mut config.service {
        if let Some(path) = here.search_path.as_ref().and_then(|path| path.to_str()) {
            service.env.entry("PATH".to_owned()).or_insert_with(|| path.to_owned());
        }
        if let Ok(folder) = std::path::absolute(&service.folder) {
            service.folder = folder;
        }
        if let Some(program) = service.command.first_mut()
            && Path::new(program).components().count() > 1
            && let Some(path) =
                std::path::absolute(&program).ok().and_then(|path| path.into_os_string().into_string().ok())
        {
            *program = path;
        }
    }
    for key in found {
        loaded.origins.insert(key.to_owned(), Origin::Machine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_search_path_and_the_module_beside_the_program() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, mode) in [("python3", 0o755), ("python3.12", 0o755), ("nats-server", 0o644)] {
            std::fs::write(at(name), "").unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let module =
            at(&format!("{}callboard_cell{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
        std::fs::write(&module, "").unwrap();
        let here = Surroundings {
            search_path: Some(folder.path().into()),
            data: Some("/data".into()),
            program: Some(at("callboard")),
        };
        let mut loaded = super::super::merge(None, &[], &[]).unwrap();
        complete(&mut loaded, &here);
        assert_eq!(loaded.config.python.path, Some(at("python3")));
        assert_eq!(loaded.config.python.extension, Some(module));
        assert_eq!(loaded.config.nats.server, None, "a file that cannot be executed is no program");
        assert_eq!(loaded.config.node.data, Some("/data/callboard".into()));
        assert_eq!(loaded.origin("python.path"), Origin::Machine);
        assert_eq!(loaded.config.scripts.folder, Some("/data/callboard/scripts".into()));
        assert_eq!(loaded.origin("scripts.folder"), Origin::Default);
        assert!(loaded.config.worker.places.is_some_and(|places| places >= 2));

        let named = [("CALLBOARD_PYTHON".to_owned(), "python3.12".to_owned())];
        let mut loaded = super::super::merge(None, &named, &[]).unwrap();
        complete(&mut loaded, &here);
        assert_eq!(loaded.config.python.path, Some(at("python3.12")));
        assert_eq!(loaded.origin("python.path"), Origin::Variable("CALLBOARD_PYTHON".to_owned()));
    }
}
