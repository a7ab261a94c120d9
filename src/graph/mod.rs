//! How we ask Microsoft: requests, replies, the client, its budget, retries, pages, batches, deltas. Knows no cache and no tool.

mod request;

pub use request::{GraphRequest, Method, drive_path, path};
