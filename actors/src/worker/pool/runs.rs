//! What cells run: scripts, actions, the modules that have actions, and a parser. All that differs between them is here.

use std::rc::Rc;

use protocol::abi::Kind;
use protocol::capability::Capability;
use protocol::frame::cell::{Actions, Load, Loaded};

use crate::worker::action::{Action, Module};
use crate::worker::script::{Key, Script};

/// What a group of cells runs.
#[derive(Debug, Clone)]
pub enum Runs {
    /// A script.
    Script(Rc<Script>),
    /// An action of a module.
    Action(Rc<Action>),
    /// A module that is asked which actions it has.
    Module(Rc<Module>),
    /// A parser over texts. Such a cell serves once: what it reads is from anyone.
    Compiler,
}

impl Runs {
    /// What tells groups apart: all that their cells depend on, so that what has changed gets new cells.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Script(script) => script.key,
            Self::Action(action) => action.key,
            Self::Module(module) => module.key,
            Self::Compiler => Key::COMPILER,
        }
    }

    /// What its cells may do beyond their own memory.
    #[must_use]
    pub fn capabilities(&self) -> &[Capability] {
        match self {
            Self::Script(script) => &script.granted.capabilities,
            Self::Action(action) => &action.granted.capabilities,
            Self::Module(_) | Self::Compiler => &[],
        }
    }

    /// Whether a cell runs one call only.
    pub(super) fn serves_once(&self) -> bool {
        match self {
            Self::Script(script) => script.record.fresh,
            Self::Action(_) => false,
            Self::Module(_) | Self::Compiler => true,
        }
    }

    /// Whether cells are loaded ahead for it.
    pub(super) fn keeps_spares(&self) -> bool {
        matches!(self, Self::Script(script) if script.record.fresh)
    }

    /// Whose it is; what belongs to the node is nobody's.
    pub(super) fn project(&self) -> &str {
        match self {
            Self::Script(script) => &script.record.project,
            Self::Action(_) | Self::Module(_) | Self::Compiler => "",
        }
    }

    /// What its code is called in tracebacks, and in the log.
    pub(super) fn slug(&self) -> Option<&str> {
        match self {
            Self::Script(script) => Some(&script.record.slug),
            Self::Action(action) => Some(&action.module.slug),
            Self::Module(module) => Some(&module.slug),
            Self::Compiler => None,
        }
    }

    /// Project, name and version, as the status shows them.
    pub(super) fn shown(&self) -> (String, String, u64) {
        match self {
            Self::Script(script) => {
                (script.record.project.clone(), script.record.slug.clone(), script.record.version)
            }
            Self::Action(action) => (String::new(), action.spec.name.to_owned(), 0),
            Self::Module(module) => (String::new(), module.slug.clone(), 0),
            Self::Compiler => (String::new(), "compiler".to_owned(), 0),
        }
    }

    /// What a new cell is given; a parser is given nothing.
    pub(super) fn load(&self) -> Option<Load> {
        let module = |module: &Module, actions| Load {
            project: String::new(),
            slug: module.slug.clone(),
            kind: Kind::Utility,
            entrypoint: String::new(),
            body: module.body.clone(),
            actions: Some(actions),
            capabilities: self.capabilities().to_vec(),
        };
        match self {
            Self::Script(script) => Some(Load {
                project: script.record.project.clone(),
                slug: script.record.slug.clone(),
                kind: script.record.kind,
                entrypoint: script.record.entrypoint.clone(),
                body: script.body.clone(),
                actions: None,
                capabilities: self.capabilities().to_vec(),
            }),
            Self::Action(action) => Some(module(&action.module, Actions::Serve(action.spec.name.to_owned()))),
            Self::Module(told) => Some(module(told, Actions::Tell)),
            Self::Compiler => None,
        }
    }

    /// Keeps what a cell says of itself once it has loaded this. Whether its calls must stand alone in its pipe.
    pub(super) fn loaded(&self, loaded: Loaded) -> bool {
        let Loaded { many, asynchronous, actions } = loaded;
        match self {
            Self::Script(script) => script.many.set(Some(many)),
            Self::Module(module) => {
                module.declared.replace(actions);
            }
            Self::Action(_) | Self::Compiler => {}
        }
        asynchronous || self.capabilities().contains(&Capability::Llm)
    }
}
