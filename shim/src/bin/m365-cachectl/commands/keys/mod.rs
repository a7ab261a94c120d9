//! `keys`: how the master key stands, a new one, and a copy for the day it is lost.

mod recovery;
mod rotate;
mod status;

use m365_cached_proto::v1::Fault;

use crate::cli::Keys;
use crate::context::Context;

pub(super) async fn run(context: &Context, verb: Keys) -> Result<(), Fault> {
    match verb {
        Keys::Status => status::run(context).await,
        Keys::Rotate(args) => rotate::run(context, args).await,
        Keys::Export { file, passphrase_file } => recovery::export(context, &file, passphrase_file.as_deref()).await,
        Keys::Import { file, passphrase_file } => recovery::import(context, &file, passphrase_file.as_deref()).await,
    }
}

/// `the keyring entry `default``: where a key is.
fn place(source: &str, location: &str) -> String {
    match source {
        "keyring" => format!("the keyring entry `{location}`"),
        "environment" => format!("the variable `{location}`"),
        _ => format!("the file `{location}`"),
    }
}
