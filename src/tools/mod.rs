//! What can be asked: the catalogue. A row describes a tool; [`Steps`] is its only way out.
//!
//! To add a tool, write its row into the file of its family; name, help, schema, annotations, risk, key, TTL and scopes all
//! come from the row. This room does no I/O of its own, knows no MCP and no store.

mod account;
mod args;
mod body;
mod cache;
mod calendar;
mod catalogue;
mod check;
mod compat;
mod contact;
mod drive;
mod email;
mod emailfolders;
mod emailrules;
mod feeds;
mod file;
mod files;
mod folder;
mod handles;
mod held;
mod html;
mod listing;
mod local;
mod mailbox;
mod named;
mod profile;
mod risk;
mod schema;
mod scopes;
mod search;
mod server;
mod shape;
mod steps;
mod time;
mod tokens;
mod tool;
mod zone;

#[cfg(test)]
mod catalogue_tests;
#[cfg(test)]
mod documents_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod matrix_calendar_tests;
#[cfg(test)]
mod matrix_contact_tests;
#[cfg(test)]
mod matrix_email_tests;
#[cfg(test)]
mod matrix_files_tests;
#[cfg(test)]
mod matrix_folders_tests;
#[cfg(test)]
mod matrix_tests;
#[cfg(test)]
mod original_tests;

pub use args::{ArgError, Args};
pub use body::{BODY_MAX_LENGTH, OFFSET, cut_body, skip_body};
pub use catalogue::{CATALOGUE, UnknownTool, all, find};
pub use compat::{original, with_original_limit};
pub use feeds::walk_of;
pub use files::{Files, INLINE, LocalFile, Saved};
pub use handles::{each_given, each_id};
pub use held::{Held, LIMIT, comes_along, held, holds};
pub use profile::Offer;
pub use risk::Annotations;
pub use shape::UNTRUSTED;
pub use steps::{Page, Reply, StepError, Steps};
pub use tokens::tokens;
pub use tool::{
    ACCOUNT_ID, Along, Asks, CACHE_CONTROLS, CONSENTS, Does, Effect, Fetched, Local, MAX_AGE_NAME as MAX_AGE,
    MAX_TOKENS_NAME as MAX_TOKENS, More, Param, ParamType, Read, Risk, Tool, Touches, Written,
};
