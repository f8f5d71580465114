//! One script in its cell: compiled into a module once, then called. What a call's input and result must look like
//! lives in `contract`, how its failures are told in `traceback`, when it is called in `cell`.

use std::time::Instant;

use protocol::Format;
use protocol::abi::{Kind, LARGEST_OUTPUT, LONGEST_NOTICE, MOST_NOTICES};
use protocol::frame::cell::{Call, Function, Load, Reason};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyModule, PyString, PyTuple, PyType};

use crate::codec::{self, Problem};
use crate::contract;
use crate::page::Name;
use crate::traceback::{self, Account, Origin};

/// Largest result, in bytes: a frame holds it, what was printed, and notices.
const LARGEST_RESULT: usize =
    protocol::frame::LARGEST - 3 * LARGEST_OUTPUT - MOST_NOTICES * 4 * LONGEST_NOTICE;

/// `co_flags` of functions that return a coroutine.
const COROUTINE: u32 = 0x80;

/// `co_flags` of functions that return an asynchronous generator.
const ASYNC_GENERATOR: u32 = 0x200;

/// Why a call has no result.
pub(crate) enum Failure {
    /// The input cannot be read.
    Refused(Problem),
    /// The script raised.
    Raised(PyErr),
    /// There is no such function in the script.
    Missing(String),
    /// The result breaks its contract; the line at which the function begins.
    Invalid(Problem, Option<u32>),
    /// The node asks for what this kind of script has not.
    Malformed,
}

/// A script that was loaded.
pub(crate) struct Script<'py> {
    kind: Kind,
    module: Bound<'py, PyModule>,
    entrypoint: Bound<'py, PyAny>,
    /// Whether the entrypoint can be called with an input.
    takes_input: bool,
    many: Option<Bound<'py, PyAny>>,
    /// The type of what an asynchronous function returns.
    coroutine: Bound<'py, PyAny>,
    /// How the script's own frames are known.
    pub(crate) origin: Origin,
}

/// A call whose input was read.
pub(crate) struct Prepared<'py> {
    function: Bound<'py, PyAny>,
    arguments: Vec<Bound<'py, PyAny>>,
    result: Expected,
    format: Format,
}

/// What a result must be.
enum Expected {
    /// A macro's result.
    Result,
    /// As many of them.
    Results(usize),
    /// A post; none means the one that was given, as the transform has changed it.
    Post,
    /// Anything that can be written.
    Any,
}

/// Compiles a text like a file of the script: `mode` as `compile` has it, the flags those of `ast`.
pub(crate) fn compile<'py>(
    py: Python<'py>,
    body: &str,
    file: &str,
    flags: u32,
) -> PyResult<Bound<'py, PyAny>> {
    py.import("builtins")?.getattr("compile")?.call1((body, file, "exec", flags, true))
}

impl<'py> Script<'py> {
    /// Compiles the script, runs its top level and finds its functions. `starved` is called when it ran out of memory,
    /// before anything is told about it; `refused` is where the lock notes what it refused.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn load(
        py: Python<'py>,
        load: &Load,
        refused: &Name,
        starved: impl FnOnce(),
    ) -> Result<Self, Account> {
        let mut origin = Origin { file: format!("{}.py", load.slug), module: load.slug.clone() };
        let code = compile(py, &load.body, &origin.file, 0)
            .map_err(|error| traceback::uncompiled(py, &error, &origin))?;
        let module = match execute(py, &mut origin, &code) {
            Ok(module) => module,
            Err(error) => {
                if error.is_instance_of::<PyMemoryError>(py) {
                    starved();
                }
                return Err(traceback::raised(py, &error, &origin, refused));
            }
        };
        let entrypoint = found(&module, &load.entrypoint)?;
        // What is not asked of every kind is not looked at: that costs as much as the rest of the loading.
        let many = (load.kind == Kind::Macro).then(|| found(&module, "render_many").ok()).flatten();
        let takes_input = load.kind != Kind::Utility || takes_input(&entrypoint);
        let coroutine = py.import("types").and_then(|types| types.getattr("CoroutineType"));
        let coroutine = coroutine.map_err(|error| traceback::raised(py, &error, &origin, refused))?;
        Ok(Self { kind: load.kind, module, entrypoint, takes_input, many, coroutine, origin })
    }

    /// Whether one of its functions that callers know is asynchronous.
    pub(crate) fn asynchronous(&self) -> bool {
        let functions = [Some(&self.entrypoint), self.many.as_ref()];
        functions.into_iter().flatten().any(|function| flags(function) & COROUTINE != 0)
    }

    /// Whether it has a `render_many`.
    pub(crate) const fn many(&self) -> bool {
        self.many.is_some()
    }

    /// Reads the input of a call. Nothing of the script runs.
    ///
    /// # Errors
    /// Why it cannot be called.
    pub(crate) fn prepare(&self, py: Python<'py>, call: &Call<'_>) -> Result<Prepared<'py>, Failure> {
        let format = call.format;
        let read = |root: &str| codec::read(py, format, call.input, root).map_err(Failure::Refused);
        let (function, arguments, result) = match (call.function, self.kind, &self.many) {
            (Function::Render, Kind::Macro, _) => {
                let input = read("payload.context")?;
                contract::context(&input, "payload.context").map_err(Failure::Refused)?;
                (self.entrypoint.clone(), vec![input], Expected::Result)
            }
            (Function::RenderMany, Kind::Macro, Some(many)) => {
                let input = read("payload.contexts")?;
                let count = contract::contexts(&input, "payload.contexts").map_err(Failure::Refused)?;
                (many.clone(), vec![input], Expected::Results(count))
            }
            (Function::Transform, Kind::Transform, _) => {
                let (post, context) =
                    contract::to_transform(&read("payload")?, "payload").map_err(Failure::Refused)?;
                (self.entrypoint.clone(), vec![post, context], Expected::Post)
            }
            (Function::Main, Kind::Utility, _) => {
                let input = read("payload.input")?;
                let (function, takes_input) = match call.entrypoint {
                    Some(name) => {
                        let function = self.named(name)?;
                        let takes_input = takes_input(&function);
                        (function, takes_input)
                    }
                    None => (self.entrypoint.clone(), self.takes_input),
                };
                (function, takes_input.then_some(input).into_iter().collect(), Expected::Any)
            }
            _ => return Err(Failure::Malformed),
        };
        Ok(Prepared { function, arguments, result, format })
    }

    /// Runs one call and writes its result into `value`; how long the script ran, in µs.
    ///
    /// # Errors
    /// Why there is no result.
    pub(crate) fn answer(&self, call: Prepared<'py>, value: &mut Vec<u8>) -> Result<u64, Failure> {
        let start = Instant::now();
        let function = &call.function;
        let mut result = self.run(function, &call.arguments).map_err(Failure::Raised)?;
        let run = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        if let (Expected::Post, true, [post, ..]) =
            (&call.result, result.is_none(), call.arguments.as_slice())
        {
            result = post.clone();
        }
        match call.result {
            Expected::Result => contract::result(&result, "result"),
            Expected::Results(count) => contract::results(&result, count, "result"),
            Expected::Post => contract::post(&result, "result"),
            Expected::Any => Ok(()),
        }
        .and_then(|()| codec::write(call.format, &result, "result", LARGEST_RESULT, value))
        .map_err(|problem| Failure::Invalid(problem, line_of(function)))?;
        Ok(run)
    }

    /// Calls a function; an asynchronous one is run to its end.
    fn run(
        &self,
        function: &Bound<'py, PyAny>,
        arguments: &[Bound<'py, PyAny>],
    ) -> PyResult<Bound<'py, PyAny>> {
        let result = match arguments {
            [] => function.call0(),
            [input] => function.call1((input,)),
            several => function.call1(PyTuple::new(function.py(), several)?),
        }?;
        if result.get_type().is(&self.coroutine) {
            return function.py().import("callboard._loop")?.getattr("run")?.call1((result,));
        }
        Ok(result)
    }

    /// A function that a call names: one of the script itself, and not one that its author hides.
    fn named(&self, name: &str) -> Result<Bound<'py, PyAny>, Failure> {
        let missing = |text: &str| Failure::Missing(format!("`{name}` {text}"));
        if name.starts_with('_') {
            return Err(missing("begins with an underscore and cannot be called"));
        }
        let function = found(&self.module, name).map_err(|account| Failure::Missing(account.exception))?;
        let home = function.getattr("__module__").ok();
        let own = home.is_some_and(|home| home.eq(&self.origin.module).unwrap_or(false));
        if own && !function.is_instance_of::<PyType>() {
            Ok(function)
        } else {
            Err(missing("is no function of this script"))
        }
    }
}

/// Runs the top level of a script in a new module.
///
/// The module has the script's name, unless the standard library has it too: that one others may have to import.
fn execute<'py>(
    py: Python<'py>,
    origin: &mut Origin,
    code: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyModule>> {
    let sys = py.import("sys")?;
    let modules = sys.getattr("modules")?;
    if modules.contains(&origin.module)? || sys.getattr("stdlib_module_names")?.contains(&origin.module)? {
        origin.module.push_str("_script");
    }
    let module = PyModule::new(py, &origin.module)?;
    module.setattr("__file__", &origin.file)?;
    let builtins = py.import("builtins")?;
    module.setattr("__builtins__", &builtins)?;
    modules.set_item(&origin.module, &module)?;
    builtins.getattr("exec")?.call1((code, module.dict()))?;
    Ok(module)
}

/// A callable of the script.
fn found<'py>(module: &Bound<'py, PyModule>, name: &str) -> Result<Bound<'py, PyAny>, Account> {
    let missing = |text: &str| Account::plain(Reason::EntrypointMissing, format!("`{name}` {text}"));
    let name = PyString::new(module.py(), name);
    let function = match module.dict().get_item(&name) {
        Ok(Some(function)) => function,
        _ => return Err(missing("is not defined")),
    };
    if !function.is_callable() {
        return Err(missing("is no function"));
    }
    if flags(&function) & ASYNC_GENERATOR != 0 {
        return Err(missing("is an asynchronous generator: it has no result to return"));
    }
    Ok(function)
}

/// The line at which a function begins.
fn line_of(function: &Bound<'_, PyAny>) -> Option<u32> {
    function.getattr("__code__").and_then(|code| code.getattr("co_firstlineno")?.extract()).ok()
}

/// What the compiler says of a function; nothing of what is none.
fn flags(function: &Bound<'_, PyAny>) -> u32 {
    function.getattr("__code__").and_then(|code| code.getattr("co_flags")?.extract()).unwrap_or(0)
}

/// Whether a function has a parameter that one positional argument can go to; if it does not tell, it has.
fn takes_input(function: &Bound<'_, PyAny>) -> bool {
    has_positional(function).unwrap_or(true)
}

fn has_positional(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    let inspect = function.py().import("inspect")?;
    let parameters = inspect.getattr("signature")?.call1((function,))?.getattr("parameters")?;
    let positional = ["POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD", "VAR_POSITIONAL"];
    for parameter in parameters.call_method0("values")?.try_iter()? {
        let kind: String = parameter?.getattr("kind")?.getattr("name")?.extract()?;
        if positional.contains(&kind.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}
