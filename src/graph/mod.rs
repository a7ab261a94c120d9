//! How we ask Microsoft: requests, replies, the client, its budget, retries, pages, batches, deltas. Knows no cache, no store and no tool.

mod bare;
mod batch;
mod breaker;
mod client;
mod error;
mod hurry;
mod pages;
mod reply;
mod request;
mod retry;
mod stream;
mod throttle;

/// Why there is no way to Microsoft at all; part of `BareError`.
pub use crate::auth::{HttpError, Trouble};
pub use bare::Bare;
pub(crate) use bare::BareError;
pub use breaker::BreakerState;
pub use client::{Client, ClientGauges, Context, Settings};
pub(crate) use error::TIMEOUT;
pub use error::{Cause, GraphError};
pub use hurry::Hurry;
pub use pages::Pages;
pub use reply::GraphReply;
pub use request::{Conflict, Content, GraphRequest, Method, Upload, drive_path, drive_search_path, path};
pub(crate) use stream::Stream;
pub use throttle::{Budget, Gauges, LaneGauges, OUTLOOK_LIMIT};
