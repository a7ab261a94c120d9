//! How we ask Microsoft: requests, the client, its budget, retries, pages, batches. Knows no cache, no store and no tool.

mod batch;
mod breaker;
mod client;
mod error;
mod pages;
mod request;
mod retry;
mod throttle;

pub use breaker::BreakerState;
pub use client::{Client, ClientGauges, Context, GraphReply, Settings};
pub use error::GraphError;
pub use pages::Pages;
pub use request::{GraphRequest, Method, drive_path, path};
pub use throttle::{Budget, Gauges, OUTLOOK_LIMIT, Permit};
