//! Bodies of the frames between the node and one cell.

use serde::{Deserialize, Serialize};

use crate::abi::Kind;
use crate::capability::Capability;
use crate::format::Format;

/// `Load`: the one script of this cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    /// Whose script it is.
    pub project: String,
    /// Its name; tracebacks show `<slug>.py`.
    pub slug: String,
    /// What it is for.
    pub kind: Kind,
    /// The function to call.
    pub entrypoint: String,
    /// The source without its metadata docstring; line 1 is the editor's line 1.
    pub body: String,
    /// What its calls may ask of the node; what they may touch is the lock's business.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
}

/// `Loaded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Loaded {
    /// Whether the script has a `render_many`.
    pub many: bool,
    /// Whether one of its functions is asynchronous: no call should stand behind another in its cell's pipe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asynchronous: bool,
}

/// Which function of the script a call means, and how its input and output are shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Function {
    /// The entrypoint of a macro: a context in, a macro result out.
    Render,
    /// `render_many`: a list of contexts in, as many macro results out.
    RenderMany,
    /// The entrypoint of a transform: `{post, context}` in, a post out.
    Transform,
    /// The entrypoint of a utility, or another function of it: any value in, any value out.
    Main,
}

/// `Call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call<'a> {
    /// What to call.
    pub function: Function,
    /// A named function of a utility instead of its entrypoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<&'a str>,
    /// Encoding of `input`, and of the output.
    pub format: Format,
    /// `CLOCK_MONOTONIC`, in ns; a call that has not begun by then is skipped.
    pub deadline: u64,
    /// One encoded value.
    #[serde(borrow)]
    pub input: &'a serde_bytes::Bytes,
}

/// `Compile`: a text to be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compile {
    /// The source without its metadata docstring.
    pub body: String,
}

/// `Compiled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compiled {
    /// What is wrong; CPython stops at the first problem.
    pub problems: Vec<crate::actions::script_compile::SyntaxProblem>,
    /// The top-level functions that can be entrypoints.
    pub functions: Vec<String>,
}

/// How many things an `Attempt` tries.
pub const ATTEMPTS: usize = 6;

/// `Attempted`: what was tried, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempted {
    /// What the lock refused.
    pub refused: Vec<String>,
    /// What it did not; of a locked cell, nothing.
    pub allowed: Vec<String>,
}

/// `Hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hello {
    /// The cell's [`super::VERSION`].
    pub protocol: u32,
    /// The cell's [`crate::abi::VERSION`].
    pub abi: u32,
    /// The interpreter's version, such as `3.11.7`.
    pub python: String,
    /// The layers of the lock that are in force.
    pub layers: Vec<String>,
}

/// The layers of the lock that a cell must have before it is given a script. `landlock` is not among them: kernels
/// before 5.13 lack it, and `seccomp` refuses to open files as well. Neither is `namespaces`, which many systems do
/// not permit to users and containers.
pub const REQUIRED_LAYERS: [&str; 8] = [
    "session",
    "descriptors",
    "no_root",
    "not_dumpable",
    "dies_with_zygote",
    "no_new_privileges",
    "limits",
    "seccomp",
];

impl Hello {
    /// Required layers that are not in force.
    #[must_use]
    pub fn missing_layers(&self) -> Vec<&'static str> {
        REQUIRED_LAYERS.into_iter().filter(|layer| !self.layers.iter().any(|found| found == layer)).collect()
    }
}

/// What the call printed, each stream up to [`crate::abi::LARGEST_OUTPUT`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Output {
    /// Standard output.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Standard error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// Whether something was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Output {
    /// Whether nothing was printed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty() && !self.truncated
    }

    /// Both streams in one text for `details.output`, `None` if nothing was printed.
    #[must_use]
    pub fn text(self) -> Option<String> {
        (!self.is_empty()).then(|| self.stdout + &self.stderr)
    }
}

/// `Return`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Return<'a> {
    /// One encoded value, in the call's format.
    #[serde(borrow)]
    pub value: &'a serde_bytes::Bytes,
    /// What was printed.
    #[serde(default, skip_serializing_if = "Output::is_empty")]
    pub output: Output,
    /// How long the entrypoint ran, in µs.
    pub run: u64,
    /// What the script tells the author of what it works on; see [`crate::abi::MOST_NOTICES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// Why a script did not run to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It does not parse.
    Syntax,
    /// It has no such function, or it is no function.
    EntrypointMissing,
    /// It raised.
    Raised,
    /// It raised for want of memory; the cell is not used again.
    Memory,
    /// It used what it was not granted.
    CapabilityNotGranted,
}

impl Reason {
    /// The word in `details.reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::EntrypointMissing => "entrypoint_missing",
            Self::Raised => "raised",
            Self::Memory => "memory",
            Self::CapabilityNotGranted => "capability_not_granted",
        }
    }
}

/// `Raised`, in answer to `Load` or `Call`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Raised {
    /// Why.
    pub reason: Reason,
    /// Type, text and the script's own frames, at most 8 KiB.
    pub exception: String,
    /// The innermost line in the script's body, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What the cell's lock refused to the script, where that is why it raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What was printed.
    #[serde(default, skip_serializing_if = "Output::is_empty")]
    pub output: Output,
    /// What the script tells the author of what it works on; see [`crate::abi::MOST_NOTICES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// `Invalid` and `Refused`: where a value breaks its contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Complaint {
    /// The key path.
    pub path: String,
    /// What the contract asks for, without the value.
    pub problem: String,
    /// Whether the value was too large to be sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub too_large: bool,
    /// The line of the function that returned the value, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What was printed.
    #[serde(default, skip_serializing_if = "Output::is_empty")]
    pub output: Output,
}

/// `Skipped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Skipped {
    /// Whether its deadline was past; else it was withdrawn.
    pub late: bool,
}
