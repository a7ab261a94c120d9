//! What is asked about a mailbox beside its events: by which clocks its owner lives, and which calendar is the default one.
//!
//! The zone is that of the account's own mailbox, whichever mailbox the call is about: local times are for the person who asks. It is part
//! of the answer, and so as old as the answer.

use super::shown::Clocks;
use crate::{
    graph::GraphRequest,
    tools::{Args, Reply, StepError, Steps, mailbox::at, shape::id, shape::text, zone::Zone},
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

fn ask_zone() -> GraphRequest {
    GraphRequest::get(&["me", "mailboxSettings", "timeZone"])
}

/// A mailbox without settings, or whose settings may not be read, has no zone we know; nor has one with a zone made by hand.
fn read_zone(reply: Result<Reply, StepError>) -> Result<Option<Zone>, StepError> {
    match reply {
        Ok(reply) => Ok(text(&reply.body, "value").and_then(Zone::find)),
        Err(error) if matches!(error.status, Some(403 | 404)) => Ok(None),
        Err(error) => Err(error),
    }
}
