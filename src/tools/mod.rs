//! What can be asked: the catalogue. A row describes a tool; [`Steps`] is its only way out.

mod args;
mod schema;
mod shape;
mod steps;
mod tool;

pub use args::{ArgError, Args};
pub use steps::{Page, Reply, StepError, Steps};
pub use tool::{Does, Effect, Fetched, Local, Param, ParamType, Risk, Tool, Touches, Written};
