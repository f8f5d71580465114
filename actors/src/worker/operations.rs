//! The actions of a worker, one module each, named as on the wire.

pub mod content_render;
pub mod macro_render;
pub mod macro_render_many;
pub mod script_compile;
pub mod transform_apply;
pub mod utility_run;
