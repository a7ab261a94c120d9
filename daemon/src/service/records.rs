//! The audit trail and the rights of the person whose data it is, over the wire.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use m365_cached::{
    audit::{Fault, Point, Report},
    hint::Kind,
};
use m365_cached_proto::v1;
use tonic::{Request, Response, Status};

use super::{convert::given, refusal, tools::caller};
use crate::{
    compliance::head,
    core::{Core, Problem},
    daemon::Daemon,
    records::AuditQuestion,
};

/// The service.
pub(super) struct Records {
    daemon: Arc<Daemon>,
}

impl Records {
    pub(super) fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }

    fn core(&self) -> Result<&Arc<dyn Core>, Status> {
        self.daemon.core().map_err(refusal)
    }
}

fn question(request: v1::AuditRequest) -> AuditQuestion {
    AuditQuestion {
        account: given(request.account),
        client: given(request.client),
        tool: given(request.tool),
        target: given(request.target),
        kinds: request.kinds,
        since: given(request.since),
        until: given(request.until),
        limit: request.limit,
        follow: request.follow,
    }
}

/// `<number>:<hash>`; nothing for an empty text.
fn noted(text: &str) -> Result<Option<Point>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let point = || {
        let (seq, hash) = text.split_once(':')?;
        let mut point = Point { seq: seq.parse().ok()?, hash: [0; 32] };
        if hash.len() != 64 || !hash.is_ascii() {
            return None;
        }
        for (byte, pair) in point.hash.iter_mut().zip(hash.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(point)
    };
    point().map(Some).ok_or_else(|| {
        let hint = "Give it as `audit verify` printed it: a number, a colon and 64 hexadecimal digits.";
        Problem::new(Kind::User, "malformed_head", "that is no end of an audit trail", hint)
    })
}

fn report(report: &Report) -> v1::VerifyAuditReply {
    let fault = |fault: &Fault| {
        let place = fault.place();
        let message = fault.to_string();
        v1::AuditFault { code: fault.code().into(), message, first: place.map(|(first, _)| first), last: place.map(|(_, last)| last) }
    };
    v1::VerifyAuditReply {
        holds: report.holds(),
        records: report.records,
        dropped_to: report.floor.seq,
        head: head(&report.head),
        faults: report.faults.iter().map(fault).collect(),
        more_faults: report.more,
    }
}

#[tonic::async_trait]
impl v1::records_server::Records for Records {
    type AuditStream = Pin<Box<dyn Stream<Item = Result<v1::AuditRecord, Status>> + Send>>;

    async fn audit(&self, request: Request<v1::AuditRequest>) -> Result<Response<Self::AuditStream>, Status> {
        let asked = question(request.into_inner());
        let follows = asked.follow;
        let flight = self.daemon.in_flight.begin();
        let records = self.core()?.audit(asked).await.map_err(|problem| refusal(&problem))?;
        let records = records
            .map(|record| record.map(|record| v1::AuditRecord { record: record.to_string().into() }).map_err(|problem| refusal(&problem)));
        if !follows {
            // It has an end, and the daemon waits for it as for any call: ended here it would look whole.
            return Ok(Response::new(flight.of(records).boxed()));
        }
        let daemon = Arc::clone(&self.daemon);
        // Somebody who follows does not keep the daemon from ending.
        Ok(Response::new(records.take_until(async move { daemon.stopping().await }).boxed()))
    }

    async fn verify_audit(&self, request: Request<v1::VerifyAuditRequest>) -> Result<Response<v1::VerifyAuditReply>, Status> {
        let _flight = self.daemon.in_flight.begin();
        let noted = noted(&request.into_inner().noted).map_err(|problem| refusal(&problem))?;
        let found = self.core()?.verify_audit(noted).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(report(&found)))
    }

    type ExportStream = Pin<Box<dyn Stream<Item = Result<v1::ExportPiece, Status>> + Send>>;

    async fn export(&self, request: Request<v1::ExportAccountRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let flight = self.daemon.in_flight.begin();
        let pieces =
            self.core()?.export(&request.into_inner().account, &caller(&self.daemon)).await.map_err(|problem| refusal(&problem))?;
        let wire = pieces.map(|piece| {
            let piece = piece.map_err(|problem| refusal(&problem))?;
            Ok(v1::ExportPiece { section: piece.section.into(), value: piece.value.to_string().into() })
        });
        Ok(Response::new(Box::pin(flight.of(wire))))
    }

    async fn erase(&self, request: Request<v1::EraseRequest>) -> Result<Response<v1::EraseReply>, Status> {
        let _flight = self.daemon.in_flight.begin();
        let erased = self.core()?.erase(&request.into_inner().account, &caller(&self.daemon)).await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::EraseReply {
            account: erased.account.to_string(),
            entries: erased.entries,
            complete: erased.is_complete(),
            copies: erased.copies,
            untouched: self.daemon.beyond_an_erasure(),
            left: erased.left.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect(),
        }))
    }

    async fn compliance(&self, _: Request<v1::ComplianceRequest>) -> Result<Response<v1::ComplianceReply>, Status> {
        let _flight = self.daemon.in_flight.begin();
        let report = self.core()?.compliance().await.map_err(|problem| refusal(&problem))?;
        Ok(Response::new(v1::ComplianceReply { report: report.to_string().into() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_back_as_it_was_printed() {
        let point = Point { seq: 7, hash: [0xab; 32] };
        assert_eq!(noted(&head(&point)).unwrap(), Some(point));
        assert_eq!(noted("").unwrap(), None);
        for wrong in ["7", ":", "7:ab", "x:00", &format!("7:{}", "é".repeat(32)), &format!("7:{}", "g".repeat(64))] {
            assert_eq!(noted(wrong).unwrap_err().code, "malformed_head", "{wrong}");
        }
    }
}
