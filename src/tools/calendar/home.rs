//! What is asked about a mailbox beside its events: by which clocks its owner lives, and which calendar is the default one.
//!
//! The zone (`tools/local.rs`) is part of the answer, and so as old as the answer.

use super::shown::Clocks;
use crate::{
    graph::GraphRequest,
    tools::{
        Args, StepError, Steps,
        local::{ask_zone, read_zone},
        mailbox::at,
        shape::id,
        zone::Zone,
    },
};

/// The zone the call names, else that of the account's mailbox; `None` when that is not to be had.
pub(super) async fn zone(steps: &dyn Steps, args: &Args) -> Result<Option<Zone>, StepError> {
    match args.text("timezone") {
        Some(name) => Ok(Zone::find(name)),
        None => read_zone(steps.send(ask_zone()).await),
    }
}

/// The same, for an answer.
pub(in crate::tools) async fn clocks(steps: &dyn Steps, args: &Args) -> Result<Clocks, StepError> {
    zone(steps, args).await.map(Clocks::of)
}

/// Clocks and the id of the default calendar, in one request.
pub(super) async fn facts(steps: &dyn Steps, args: &Args) -> Result<(Clocks, String), StepError> {
    let calendar = GraphRequest::get(&at(args, &["calendar"])).with("$select", "id");
    if let Some(name) = args.text("timezone") {
        let reply = steps.send(calendar).await?;
        return Ok((Clocks::of(Zone::find(name)), id(&reply.body)?.to_owned()));
    }
    let mut replies = steps.batch(vec![calendar, ask_zone()]).await?.into_iter();
    let mut next = || replies.next().unwrap_or_else(|| Err(StepError::unexpected("as many replies as were asked for")));
    let calendar = next()?;
    Ok((Clocks::of(read_zone(next())?), id(&calendar.body)?.to_owned()))
}
