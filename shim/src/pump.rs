//! Moves bytes: stdin to the link, the link's actions to stdout and the daemon. All decisions are the link's.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use m365_cached_proto::dirs::Profile;
use m365_cached_proto::holder::{self, Held, Holder};
use m365_cached_proto::v1::Hello;
use m365_cached_proto::{MAX_LINE_IN, PROTOCOL_VERSION};
use tokio::time::Instant;

use crate::lines::{Line, Lines};
use crate::link::{DialFailure, Link, Out};
use crate::start::{Started, Starter};
use crate::stdio::{Input, Output};
use crate::wire::{Event, Wire};

/// After the last line the client has this long to take it.
const LAST_WORDS: Duration = Duration::from_millis(150);
/// What the client's environment says of itself.
const HINTS: [&str; 2] = ["CLAUDE_CODE_SESSION_ID", "CLAUDE_PROJECT_DIR"];

/// The running shim.
pub struct Pump {
    link: Link,
    lines: Lines,
    input: Input,
    output: Output,
    wire: Wire,
    profile: Profile,
    starter: Starter,
    began: Instant,
}

impl std::fmt::Debug for Pump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pump").field("link", &self.link).finish_non_exhaustive()
    }
}

/// How this shim introduces itself; `policy` and `tools` are those its launch line names.
#[must_use]
pub fn hello(policy: Option<String>, tools: Option<String>) -> Hello {
    let hints = HINTS.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    Hello {
        shim_version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL_VERSION,
        pid: std::process::id(),
        hints: hints.collect(),
        epoch: 0,
        policy: policy.unwrap_or_default(),
        run: seed(),
        tools: tools.unwrap_or_default(),
    }
}

impl Pump {
    /// A pump between a client and the daemon of `profile`.
    #[must_use]
    pub fn new(profile: Profile, starter: Starter, hello: Hello, input: Input, output: Output) -> Self {
        Self {
            link: Link::new(hello, seed()),
            lines: Lines::new(MAX_LINE_IN),
            input,
            output,
            wire: Wire::default(),
            profile,
            starter,
            began: Instant::now(),
        }
    }

    /// Runs until the client has gone or `stop` is done, and what was in flight is answered.
    ///
    /// # Errors
    /// When stdout fails in another way than by the client's going.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let result = self.turn(stop).await;
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    async fn turn(&mut self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut out = Out::default();
        let mut reading = true;
        self.link.tick(self.now(), &mut out);
        loop {
            if self.act(&mut out)? {
                break;
            }
            let wake = self.link.wake_at().map(|at| self.began + at);
            let idle = self.output.is_idle();
            let waiting = self.wire.waiting();
            let hungry = reading && !self.wire.is_full() && self.link.wants_input();
            tokio::select! {
                biased;
                event = self.wire.next(), if idle => self.event(event, &mut out),
                read = self.input.read(&mut self.lines.buffer), if hungry => {
                    // An unreadable input is an ended one.
                    reading = read.unwrap_or(0) > 0;
                    self.read(!reading, &mut out);
                }
                flushed = self.output.flush(), if !idle => flushed?,
                () = Wire::room(waiting.clone()), if waiting.is_some() => {}
                () = tokio::time::sleep_until(wake.unwrap_or(self.began)), if wake.is_some() => self.link.tick(self.now(), &mut out),
                () = &mut stop, if reading => {
                    reading = false;
                    self.link.end_of_input(self.now(), &mut out);
                }
            }
        }
        // A client that takes nothing more is not waited for.
        tokio::time::timeout(LAST_WORDS, self.output.flush()).await.unwrap_or(Ok(()))
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Passes on every complete line.
    fn read(&mut self, ended: bool, out: &mut Out) {
        let now = self.now();
        while let Some(line) = self.lines.next_line() {
            self.line(now, line, out);
        }
        if ended {
            if let Some(line) = self.lines.rest() {
                self.line(now, line, out);
            }
            self.link.end_of_input(now, out);
        }
    }

    fn line(&mut self, now: Duration, line: Line, out: &mut Out) {
        match line {
            Line::Whole(line) => self.link.line(now, line, out),
            Line::Oversize(over) => self.link.oversize(&over, out),
        }
    }

    fn event(&mut self, event: Event, out: &mut Out) {
        let now = self.now();
        match event {
            Event::Connected => self.link.connected(now, out),
            Event::ConnectFailed(error) => {
                let not_running = error.is_not_running();
                let ended = self.starter.look();
                let message = self.starter.words().map_or_else(|| error.to_string(), str::to_owned);
                self.link.dial_failed(now, DialFailure { not_running, ended, message }, out);
            }
            Event::Opened => self.starter.answered(),
            Event::Frame(frame) => self.link.frame(now, frame, out),
            Event::Ended(why) => self.link.disconnected(now, why, out),
        }
    }

    /// Does what the link wants; true when everything is over.
    fn act(&mut self, out: &mut Out) -> io::Result<bool> {
        if out.look.take().is_some_and(|pid| another_serves(&self.profile, pid)) {
            self.link.another_serves(self.now(), out);
        }
        if std::mem::take(&mut out.start) {
            match self.starter.start() {
                Ok(Started::Now) => self.link.started(self.now()),
                Ok(Started::BySomebodyElse) => {}
                Err(message) => self.link.start_failed(self.now(), message, out),
            }
        }
        for line in out.client.drain(..) {
            let ended = line.ends_with(b"\n");
            self.output.push(line);
            if !ended {
                self.output.push(Bytes::from_static(b"\n"));
            }
        }
        if std::mem::take(&mut out.hang_up) {
            out.daemon.clear();
            self.wire.hang_up();
        }
        for frame in out.daemon.drain(..) {
            self.wire.push(frame);
        }
        if std::mem::take(&mut out.half_close) {
            self.wire.half_close();
        }
        self.wire.flush();
        if std::mem::take(&mut out.dial) {
            self.wire.dial(&self.profile);
        }
        if !self.output.is_idle() {
            self.output.try_flush()?;
        }
        Ok(out.exit)
    }
}

/// Whether another process than `pid` serves `profile`; one that works on its files alone serves nobody.
fn another_serves(profile: &Profile, pid: u32) -> bool {
    matches!(holder::look(profile), Ok(Held::By(Some(Holder { pid: other, socket: Some(_) }))) if other != pid)
}

/// Differs between processes, which is all that spreading retries and naming calls needs.
pub(crate) fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(unix)]
#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
