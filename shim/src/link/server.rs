//! Lines of the daemon, and the client's answers to its questions.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use m365_cached_proto::v1::client_frame::Frame as ToDaemon;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::What;
use super::{Link, Out, Phase, said, watched};
use crate::peek::{self, Id};

impl Link {
    /// Passes a line of the daemon on. An answer is the common case and is passed on as it is.
    pub(super) fn line_of_daemon(&mut self, now: Duration, line: Bytes, out: &mut Out) {
        self.retry.works();
        let head = peek::head(&line);
        let text = |span: Range<usize>| std::str::from_utf8(&line[span]).unwrap_or_default();
        match (head.id, head.method) {
            (Some(id), None) => self.answer(now, text(id), head.error, &line, out),
            (Some(id), Some(_)) => {
                let raw_id = text(id.clone());
                let outward = said::outward_id(self.epoch.unwrap_or(0), raw_id);
                self.asked.insert(raw_id.into());
                out.client.push_back(said::replaced(&line, id, &outward));
            }
            (None, Some(method)) => {
                let method = peek::string(text(method)).map(Cow::into_owned).unwrap_or_default();
                self.notification(&method, &line, out);
            }
            (None, None) => out.client.push_back(line.clone()),
        }
    }

    fn answer(&mut self, now: Duration, raw_id: &str, error: bool, line: &Bytes, out: &mut Out) {
        if raw_id == self.replay_id() {
            // The old promise stands whatever this daemon says; should it refuse, each request hears so itself.
            // A daemon that has begun to drain since gets nothing more.
            if matches!(self.phase, Phase::Replaying(_)) {
                if let Some(initialized) = self.handshake.as_ref().and_then(|handshake| handshake.initialized.clone()) {
                    out.daemon.push_back(ToDaemon::Line(initialized));
                }
                self.go_up(now, out);
            }
            return;
        }
        if watched::is_ours(raw_id) {
            return;
        }
        let id = Id::from_raw(raw_id);
        if let Some(at) = self.cancelled.iter().position(|cancelled| Some(cancelled) == id.as_ref()) {
            // Nobody waits for it.
            self.cancelled.remove(at);
            return;
        }
        let flight = self.flights.iter().position(|call| Some(&call.id) == id.as_ref());
        if let Some(call) = flight.map(|at| self.flights.remove(at)) {
            match call.what {
                What::Initialize if error => self.handshake = None,
                What::Initialize => {
                    self.watched.clear();
                    if let Some(handshake) = &mut self.handshake {
                        handshake.answered = true;
                        handshake.list_changed = peek::promises_list_changed(line);
                    }
                }
                What::Watch(address) if !error => self.watched.granted(address, call.line),
                What::Unwatch(address) if !error => self.watched.ended(&address),
                _ => {}
            }
        }
        out.client.push_back(line.clone());
    }

    fn notification(&mut self, method: &str, line: &Bytes, out: &mut Out) {
        match method {
            "notifications/subscriptions/acknowledged" => {
                let subscription = params(line).and_then(|params| peek::subscription(Some(params)));
                let call = self.flights.iter_mut().find(|call| Some(&call.id) == subscription.as_ref());
                if let Some(call) = call {
                    // A daemon that took it up does not die of it: it may outlive any number of them.
                    call.sends = 1;
                    if std::mem::replace(&mut call.acknowledged, true) {
                        return;
                    }
                }
                out.client.push_back(line.clone());
            }
            "notifications/cancelled" => {
                let Some((raw_id, _)) = params(line).and_then(|params| peek::cancelled(Some(params))) else { return };
                let start = raw_id.as_ptr() as usize - line.as_ptr() as usize;
                self.asked.remove(raw_id);
                let outward = said::outward_id(self.epoch.unwrap_or(0), raw_id);
                out.client.push_back(said::replaced(line, start..start + raw_id.len(), &outward));
            }
            _ => out.client.push_back(line.clone()),
        }
    }

    /// Passes on the client's answer to a question of this connection; one to an earlier daemon's question is dropped.
    pub(super) fn answer_of_client(&mut self, line: &Bytes, span: Range<usize>, id: &Id, out: &mut Out) {
        let Id::Text(text) = id else { return };
        let Some(raw_id) = self.epoch.and_then(|epoch| said::inward_id(epoch, text)) else { return };
        if self.phase == Phase::Up && self.asked.remove(raw_id) {
            out.daemon.push_back(ToDaemon::Line(said::replaced(line, span, raw_id)));
        }
    }
}

fn params(line: &[u8]) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Notification<'a> {
        #[serde(borrow)]
        params: &'a RawValue,
    }
    serde_json::from_slice::<Notification<'_>>(line).ok().map(|notification| notification.params)
}
