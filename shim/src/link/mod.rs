//! Keeps a client connected across daemons: frames in, actions out. Pure: no clock, no socket, no stdio.
//!
//! Why the shim has a state machine at all: a stdio server that dies is not restarted by the clients in the field, so the daemon
//! may come and go but the shim may not. What it must therefore know of each request is kept here: its id, and whether sending it
//! twice could do something twice. Requests that arrive without a daemon are held for a few seconds; requests that were running
//! when one went away are sent again when that is safe, and are otherwise answered with the truth: nobody knows.
//!
//! Decision: a call waits longer while the daemon before is on its way out. It takes no more connections from its `Drain` on, finishes calls for `daemon.drain_s` (10 s)
//! and then the write that is under way, and keeps every other daemon out meanwhile: one that is started then ends at once ([`End::GaveWay`]), which is a reason to
//! go on trying. That is an orderly restart, and no client is to hear of it. Clients give a call 60 s (Codex, Claude Desktop) or more, so that 25 s leave the
//! better half of it to the call itself. The handshake waits as long: who gives it less time (10 s) gives up by itself, and who gives it 30 s (Claude
//! Code) would not ask again after an error. Rejected: to wait for as long as the write takes, for the client would give up before, and without a reason.
//!
//! Decision: a subscription that its client was told is open waits for the next daemon for as long as that takes, and is no reason to start one: its client asks
//! for nothing at that moment, and to end it would be to forget it. Otherwise every client that listens would undo `m365-cachectl stop` at once.
//!
//! Decision: where a service manager keeps the socket, to connect is to start a daemon. Who has nothing to ask does not connect there after a daemon has ended, but looks
//! now and then whether another one serves the profile ([`Out::look`]). Rejected: to wait for the client's next request, since its subscriptions would be silent until then.

mod call;
pub mod said;
mod server;
mod watched;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use m365_cached_proto::v1::client_frame::Frame as ToDaemon;
use m365_cached_proto::v1::server_frame::Frame as FromDaemon;
use m365_cached_proto::v1::{Eof, Hello, ServerFrame, Welcome};
use m365_cached_proto::{MAX_LINE_IN, PROTOCOL_VERSION};

use self::call::{Call, MAX_SENDS, What};
use self::watched::Watched;
use crate::lines::Oversize;
use crate::peek::{self, FromClient, Id, Unreadable};
use crate::retry::Retry;
use crate::start::End;

/// How long a request waits for a daemon. Clients give a server 10 s to start.
pub const HOLD: Duration = Duration::from_secs(8);
/// How long a call or a handshake waits for the next daemon while the one before is on its way out.
pub const HOLD_LEAVING: Duration = Duration::from_secs(25);
/// After the end of input everything is over within this; clients kill after 2 s.
pub const CLOSING: Duration = Duration::from_millis(1800);
/// After the end of input with nothing in flight: time for the daemon to end the stream.
const LINGER: Duration = Duration::from_millis(250);
/// Requests in flight or held beyond which input is left in the pipe.
const MAX_CALLS: usize = 1024;
/// Requests that were taken back whose ids are remembered. An answer that is on its way comes before so many more are taken back.
const MAX_CANCELLED: usize = 64;
/// Bytes held beyond which input is left in the pipe.
const MAX_HELD: usize = 2 * MAX_LINE_IN;

/// What the pump has to do, in this order.
#[derive(Debug, Default)]
pub struct Out {
    /// Lines for the client, newline included.
    pub client: VecDeque<Bytes>,
    /// Frames for the daemon.
    pub daemon: VecDeque<ToDaemon>,
    /// Then end the stream towards the daemon.
    pub half_close: bool,
    /// Drop the connection, or the attempt at one.
    pub hang_up: bool,
    /// Start a daemon; [`Link::started`] or [`Link::start_failed`] says what came of it, and neither that somebody else is starting one.
    pub start: bool,
    /// Connect.
    pub dial: bool,
    /// See whether another process than this one serves the profile, and say so by [`Link::another_serves`] if it does.
    pub look: Option<u32>,
    /// Everything is over.
    pub exit: bool,
}

/// Why an attempt to connect failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialFailure {
    /// Nobody listens, so starting a daemon helps.
    pub not_running: bool,
    /// How the daemon ended that was started, when it has since the attempt before.
    pub ended: Option<End>,
    /// What to tell a person.
    pub message: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// No connection; the next attempt is due at this time.
    Down(Duration),
    /// An attempt has been running since.
    Dialing(Duration),
    /// Connected, `Hello` sent; the answer is missing since.
    Greeting(Duration),
    /// The legacy handshake is repeated towards a new daemon; its answer is missing since.
    Replaying(Duration),
    /// Lines flow.
    Up,
    /// The daemon takes no more and will end the stream.
    Draining,
}

/// A line that waits for a daemon.
#[derive(Debug)]
struct Held {
    line: Bytes,
    /// `None` for a notification.
    call: Option<Call>,
    since: Duration,
}

/// The legacy handshake as the client saw it.
#[derive(Debug)]
struct Handshake {
    request: Bytes,
    answered: bool,
    initialized: Option<Bytes>,
    list_changed: bool,
}

/// The state machine. Times are durations since the start of the process.
#[derive(Debug)]
pub struct Link {
    hello: Hello,
    phase: Phase,
    /// The number of the current or last connection; `None` before the first.
    epoch: Option<u64>,
    instance: String,
    read_only: BTreeSet<String>,
    held: VecDeque<Held>,
    flights: Vec<Call>,
    handshake: Option<Handshake>,
    /// Requests of the daemon that the client has not answered, ids as the daemon wrote them.
    asked: BTreeSet<Box<str>>,
    /// Requests of this connection that the client has taken back, the oldest first: an answer may be on its way.
    cancelled: VecDeque<Id>,
    watched: Watched,
    /// A daemon that takes no more connections holds the profile until it has finished.
    leaving: bool,
    /// The process that has ended, or is about to, at a socket that stays: the next connection starts another one.
    ended: Option<u32>,
    closing: Option<Duration>,
    retry: Retry,
    trouble: String,
    /// Why no daemon can be started from here; the better reason while there is none.
    cannot_start: Option<String>,
}

impl Link {
    /// A link that introduces itself with `hello` (its epoch is filled in) and spreads its retries by `seed`.
    #[must_use]
    pub fn new(hello: Hello, seed: u64) -> Self {
        Self {
            hello,
            phase: Phase::Down(Duration::ZERO),
            epoch: None,
            instance: String::new(),
            read_only: BTreeSet::new(),
            held: VecDeque::new(),
            flights: Vec::new(),
            handshake: None,
            asked: BTreeSet::new(),
            cancelled: VecDeque::new(),
            watched: Watched::default(),
            leaving: false,
            closing: None,
            retry: Retry::new(seed),
            ended: None,
            trouble: "the daemon has not answered yet".to_owned(),
            cannot_start: None,
        }
    }

    /// True while more input is welcome; otherwise it stays in the pipe.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let held: usize = self.held.iter().map(|held| held.line.len()).sum();
        self.closing.is_none() && self.flights.len() + self.held.len() < MAX_CALLS && held < MAX_HELD
    }

    /// When `tick` must be called at the latest; `None` while everything waits for others.
    #[must_use]
    pub fn wake_at(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Down(retry) => Some(retry),
            Phase::Dialing(since) | Phase::Greeting(since) | Phase::Replaying(since) => Some(since + HOLD),
            Phase::Up | Phase::Draining => None,
        };
        let held = self.held.iter().filter_map(|held| self.waits_until(held)).min();
        let closing = self.closing.map(|at| at + if self.calls() == 0 { LINGER } else { CLOSING });
        [phase, held, closing].into_iter().flatten().min()
    }

    /// A line of the client.
    pub fn line(&mut self, now: Duration, line: Bytes, out: &mut Out) {
        match peek::client_line(&line) {
            Ok(FromClient::Request { raw_id, id, method, params }) => {
                if self.waits(&id) {
                    out.client.push_back(taken(raw_id));
                    return self.settle(now, out);
                }
                let call = Call::new(id, raw_id, &method, params, line.clone());
                if call.what == What::Initialize {
                    self.handshake = Some(Handshake { request: line.clone(), answered: false, initialized: None, list_changed: false });
                }
                if self.phase == Phase::Up {
                    self.send(call, out);
                } else {
                    self.hold(now, line.clone(), Some(call));
                }
            }
            Ok(FromClient::Notification { method, params }) => match &*method {
                "notifications/cancelled" => self.cancel(peek::cancelled(params).map(|(_, id)| id), &line, out),
                "notifications/initialized" => self.initialized(now, &line, out),
                _ if self.phase == Phase::Up => out.daemon.push_back(ToDaemon::Line(line.clone())),
                _ => self.hold(now, line.clone(), None),
            },
            Ok(FromClient::Response { span, id }) => self.answer_of_client(&line, span, &id, out),
            Err(Unreadable::Json) => out.client.push_back(said::error(None, said::PARSE_ERROR, "the line is not valid JSON", None)),
            Err(Unreadable::Shape(id)) => {
                let message = "the line is no JSON-RPC request, notification or response";
                out.client.push_back(said::error(id.as_deref(), said::INVALID_REQUEST, message, None));
            }
        }
        self.settle(now, out);
    }

    /// A line of the client that was too long to keep.
    pub fn oversize(&mut self, over: &Oversize, out: &mut Out) {
        let id = peek::id_of_oversize(&over.head, &over.tail);
        let message = format!("the line is {} bytes long; at most {MAX_LINE_IN} are accepted", over.length);
        let hint = "Send large content in parts, or name a file in place of its content.";
        out.client.push_back(said::error(id.as_deref(), said::INVALID_REQUEST, &message, Some(hint)));
    }

    /// The client closed its side, or we were asked to stop: finish what is in flight, then exit.
    pub fn end_of_input(&mut self, now: Duration, out: &mut Out) {
        if self.closing.is_some() {
            return;
        }
        self.closing = Some(now);
        // A subscription is open for as long as its client: nobody is to be told of its end.
        let stays = |call: &Call| call.what != What::Listen;
        self.flights.retain(stays);
        self.held.retain(|held| held.call.as_ref().is_none_or(stays));
        if self.phase == Phase::Up {
            out.daemon.push_back(ToDaemon::Eof(Eof {}));
            out.half_close = true;
        }
        self.settle(now, out);
    }

    /// A connection was made.
    pub fn connected(&mut self, now: Duration, out: &mut Out) {
        let epoch = self.epoch.map_or(0, |epoch| epoch + 1);
        self.cannot_start = None;
        self.epoch = Some(epoch);
        out.daemon.push_back(ToDaemon::Hello(Hello { epoch, ..self.hello.clone() }));
        self.phase = Phase::Greeting(now);
        self.settle(now, out);
    }

    /// An attempt to connect failed.
    pub fn dial_failed(&mut self, now: Duration, failure: DialFailure, out: &mut Out) {
        self.trouble = failure.message;
        match failure.ended {
            Some(End::GaveWay) => {
                self.retry.gave_way(now);
                self.leaving = true;
            }
            // Nobody kept it out: it cannot start.
            Some(End::Failed) => self.leaving = false,
            None => {}
        }
        if failure.not_running && self.demand() && self.retry.may_start(now) {
            out.start = true;
        }
        self.phase = Phase::Down(now + self.retry.wait(self.demand()));
        self.settle(now, out);
    }

    /// A daemon was started: it listens soon or never.
    pub fn started(&mut self, now: Duration) {
        self.retry.started(now);
        if let Phase::Down(_) = self.phase {
            self.phase = Phase::Down(now + self.retry.wait(self.demand()));
        }
    }

    /// A daemon cannot be started from here. Whoever waits is told now, unless there has been one: then somebody else starts it.
    pub fn start_failed(&mut self, now: Duration, message: String, out: &mut Out) {
        self.retry.started(now);
        self.cannot_start = Some(message);
        if self.epoch.is_none() {
            self.give_up_held(out, |_| true);
        }
        self.settle(now, out);
    }

    /// The connection ended.
    pub fn disconnected(&mut self, now: Duration, why: String, out: &mut Out) {
        self.trouble = why;
        self.cancelled.clear();
        for raw_id in std::mem::take(&mut self.asked) {
            out.client.push_back(said::withdraw(&said::outward_id(self.epoch.unwrap_or(0), &raw_id)));
        }
        let (again, lost): (Vec<Call>, Vec<Call>) =
            std::mem::take(&mut self.flights).into_iter().partition(|call| call.may_repeat(&self.read_only) && call.sends < MAX_SENDS);
        for call in &lost {
            out.client.push_back(lost_answer(call, said::UNKNOWN_OUTCOME));
        }
        for call in again.into_iter().rev() {
            self.held.push_front(Held { line: call.line.clone(), call: Some(call), since: now });
        }
        self.phase = Phase::Down(now + self.retry.wait(self.demand()));
        self.settle(now, out);
    }

    /// A look has shown that another process serves the profile: to connect starts none.
    pub fn another_serves(&mut self, now: Duration, out: &mut Out) {
        self.ended = None;
        if let Phase::Down(_) = self.phase {
            self.phase = Phase::Down(now);
        }
        self.settle(now, out);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration, out: &mut Out) {
        self.settle(now, out);
    }

    /// A frame of the daemon.
    pub fn frame(&mut self, now: Duration, frame: ServerFrame, out: &mut Out) {
        match frame.frame {
            Some(FromDaemon::Line(line)) => self.line_of_daemon(now, line, out),
            Some(FromDaemon::Welcome(welcome)) => self.welcomed(now, welcome, out),
            Some(FromDaemon::Drain(drain)) => {
                self.trouble = format!("the daemon is stopping ({})", drain.reason);
                self.leaving = true;
                self.ended = (drain.socket_stays && drain.pid != 0).then_some(drain.pid);
                // It takes what crossed its word; this says where that ends, so that nothing on the way has an unknown outcome.
                let said = self.closing.is_some() && self.phase == Phase::Up;
                if !said && self.phase != Phase::Draining {
                    out.daemon.push_back(ToDaemon::Eof(Eof {}));
                    out.half_close = true;
                }
                self.phase = Phase::Draining;
            }
            // A frame of a newer protocol that this shim can do without.
            None => {}
        }
        self.settle(now, out);
    }

    fn welcomed(&mut self, now: Duration, welcome: Welcome, out: &mut Out) {
        if !(welcome.protocol_min..=welcome.protocol_max).contains(&PROTOCOL_VERSION) {
            self.trouble = format!(
                "daemon {} speaks frame protocols {} to {}, this m365-mcp {} speaks {PROTOCOL_VERSION}: install one version of both",
                welcome.daemon_version, welcome.protocol_min, welcome.protocol_max, self.hello.shim_version
            );
            self.give_up_held(out, |_| true);
            out.hang_up = true;
            self.phase = Phase::Down(now + self.retry.wait(false));
            return;
        }
        let another = !self.instance.is_empty() && self.instance != welcome.instance;
        self.instance = welcome.instance;
        self.read_only = welcome.read_only_tools.into_iter().collect();
        self.leaving = false;
        self.ended = None;
        let Some(handshake) = self.handshake.as_ref().filter(|handshake| handshake.answered) else { return self.go_up(now, out) };
        if another && handshake.list_changed {
            out.client.push_back(said::tools_changed());
        }
        match watched::renamed(&handshake.request, &self.replay_id()) {
            Some(replay) => {
                out.daemon.push_back(ToDaemon::Line(replay));
                self.phase = Phase::Replaying(now);
            }
            None => self.go_up(now, out),
        }
    }

    /// The id of the repeated handshake; its answer is for us alone.
    fn replay_id(&self) -> String {
        format!("\"m365-mcp:replay:{}\"", self.epoch.unwrap_or(0))
    }

    /// Asks for what the client watches, and lets everything flow that was held.
    fn go_up(&mut self, now: Duration, out: &mut Out) {
        self.phase = Phase::Up;
        out.daemon.extend(self.watched.again().map(ToDaemon::Line));
        for held in std::mem::take(&mut self.held) {
            let late = self.waits_until(&held).is_some_and(|until| now >= until);
            match held.call {
                Some(call) => self.send(call, out),
                None if !late => out.daemon.push_back(ToDaemon::Line(held.line)),
                None => {}
            }
        }
        if self.closing.is_some() {
            out.daemon.push_back(ToDaemon::Eof(Eof {}));
            out.half_close = true;
        }
    }

    fn send(&mut self, mut call: Call, out: &mut Out) {
        call.sends += 1;
        out.daemon.push_back(ToDaemon::Line(call.line.clone()));
        self.flights.push(call);
    }

    fn hold(&mut self, now: Duration, line: Bytes, call: Option<Call>) {
        let first = !self.demand();
        self.held.push_back(Held { line, call, since: now });
        if let Phase::Down(_) = self.phase
            && first
            && self.demand()
        {
            self.retry.hurry();
            self.phase = Phase::Down(now);
        }
    }

    /// When whoever sent that line is told that there is no daemon; `None` for never.
    fn waits_until(&self, held: &Held) -> Option<Duration> {
        if held.call.as_ref().is_some_and(Call::is_promised) {
            return None;
        }
        let long = held.call.as_ref().is_some_and(|call| matches!(call.what, What::Tool { .. } | What::Initialize));
        Some(held.since + if self.leaving && long { HOLD_LEAVING } else { HOLD })
    }

    /// Somebody waits for an answer, so a daemon is worth starting.
    fn demand(&self) -> bool {
        self.held.iter().any(|held| held.call.as_ref().is_some_and(|call| !call.is_promised()))
    }

    /// Whether a request of that id has no answer yet, or an answer may come to one that was taken back: it would pass for that of the next.
    fn waits(&self, id: &Id) -> bool {
        let held = self.held.iter().filter_map(|held| held.call.as_ref());
        self.flights.iter().chain(held).any(|call| call.id == *id) || self.cancelled.contains(id)
    }

    fn calls(&self) -> usize {
        self.flights.len() + self.held.iter().filter(|held| held.call.is_some()).count()
    }

    /// The client no longer wants an answer: it will get none, so nothing needs to be repeated.
    fn cancel(&mut self, id: Option<Id>, line: &Bytes, out: &mut Out) {
        let Some(id) = id else { return };
        let is_it = |call: &Call| call.id == id;
        self.held.retain(|held| !held.call.as_ref().is_some_and(is_it));
        if let Some(at) = self.flights.iter().position(is_it) {
            self.flights.remove(at);
            if self.phase == Phase::Up {
                out.daemon.push_back(ToDaemon::Line(line.clone()));
            }
            // Past the bound the answer has had its time.
            if self.cancelled.len() == MAX_CANCELLED {
                self.cancelled.pop_front();
            }
            self.cancelled.push_back(id);
        }
    }

    fn initialized(&mut self, now: Duration, line: &Bytes, out: &mut Out) {
        let answered = self.handshake.as_ref().is_some_and(|handshake| handshake.answered);
        if let Some(handshake) = &mut self.handshake {
            handshake.initialized = Some(line.clone());
        }
        if self.phase == Phase::Up {
            out.daemon.push_back(ToDaemon::Line(line.clone()));
        } else if !answered {
            self.hold(now, line.clone(), None);
        }
        // Otherwise the repeated handshake will carry it.
    }

    /// Does what only time or several events together bring about. Ends every event.
    fn settle(&mut self, now: Duration, out: &mut Out) {
        self.give_up_held(out, |until| until <= now);
        if let Phase::Dialing(since) | Phase::Greeting(since) | Phase::Replaying(since) = self.phase
            && now >= since + HOLD
        {
            out.hang_up = true;
            let why = format!("the daemon did not answer within {} s", HOLD.as_secs());
            // Nothing but our own words was sent in these phases.
            self.trouble = why;
            self.phase = Phase::Down(now + self.retry.wait(self.demand()));
        }
        if let Some(at) = self.closing {
            if now >= at + CLOSING {
                self.give_up_held(out, |_| true);
                for call in std::mem::take(&mut self.flights) {
                    let words = if call.may_repeat(&self.read_only) { said::CUT_OFF } else { said::CUT_OFF_UNKNOWN };
                    out.client.push_back(lost_answer(&call, words));
                }
            }
            let open = matches!(self.phase, Phase::Up | Phase::Draining);
            out.exit = self.calls() == 0 && (!open || now >= at + LINGER);
        }
        if let Phase::Down(retry) = self.phase
            && now >= retry
            && !out.exit
        {
            out.look = self.ended.filter(|_| !self.demand());
            out.dial = out.look.is_none();
            self.phase = if out.dial { Phase::Dialing(now) } else { Phase::Down(now + self.retry.wait(false)) };
        }
    }

    /// Answers held requests with what keeps the daemon away, and forgets held notifications: `which` of them, by the time until which they wait.
    fn give_up_held(&mut self, out: &mut Out, which: impl Fn(Duration) -> bool) {
        let (given_up, kept): (VecDeque<Held>, VecDeque<Held>) =
            std::mem::take(&mut self.held).into_iter().partition(|held| self.waits_until(held).is_some_and(&which));
        self.held = kept;
        let message = format!("m365-cached cannot be reached: {}", self.cannot_start.as_ref().unwrap_or(&self.trouble));
        for call in given_up.into_iter().filter_map(|held| held.call) {
            if call.what == What::Initialize {
                // The client was told that there is no session; there is nothing to repeat.
                self.handshake = None;
            }
            let hint = "Run `m365-cachectl status`; the next request tries again.";
            out.client.push_back(said::error(Some(&call.raw_id), said::UNREACHABLE, &message, Some(hint)));
        }
    }
}

/// What a client is told of a request whose id belongs to another one that waits. Under no id, or it would pass for that one's answer: JSON-RPC
/// leaves open what happens then, and a daemon would do both and answer one.
fn taken(raw_id: &str) -> Bytes {
    let id: String = raw_id.chars().take(64).collect();
    let message = format!("a request of the id {id} has no answer yet; this one was not carried out");
    said::error(None, said::INVALID_REQUEST, &message, Some("Give each request an id of its own."))
}

/// What a client is told, in `words`, of a request that was running when the daemon or the client went away and is not sent again.
fn lost_answer(call: &Call, words: &str) -> Bytes {
    match call.what {
        What::Tool { modern, .. } => said::unanswered(&call.raw_id, words, modern),
        _ => said::error(Some(&call.raw_id), said::LOST, words, None),
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
