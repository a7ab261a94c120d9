//! An MCP client: a real `m365-mcp` process over pipes, in either era of the protocol.
//!
//! Blocking on purpose: a write, a read, nothing in between that would have to be measured along.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{ChildStdin, ChildStdout, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    PATIENCE,
    answer::Answer,
    bins::Bins,
    home::Home,
    process::{self, Running, spawn},
    stopwatch,
};

/// How the client opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize` with 2025-11-25.
    Legacy,
    /// 2026-07-28: no handshake, `_meta` on every request.
    Modern,
}

/// Both eras.
pub const ERAS: [Era; 2] = [Era::Legacy, Era::Modern];

/// A client and its shim. The shim is killed when this is dropped, or when a reply takes longer than the patience.
#[derive(Debug)]
pub struct Mcp {
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    process: Running,
    era: Era,
    capabilities: Value,
    name: String,
    last_id: u64,
    watch: Watch,
}

/// A shim before anything was said to it.
///
/// # Errors
/// When it cannot be started.
pub fn open(bins: &Bins, home: &Home, shim: &Path, era: Era) -> anyhow::Result<Mcp> {
    open_with(bins, home, shim, era, &[])
}

fn open_with(bins: &Bins, home: &Home, shim: &Path, era: Era, words: &[&str]) -> anyhow::Result<Mcp> {
    let mut command = home.command(bins, shim);
    command.args(words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = spawn(&mut command)?;
    let stdin = child.stdin.take();
    let stdout = BufReader::with_capacity(256 * 1024, child.stdout.take().context("stdout")?);
    let process = Running::new("m365-mcp", child);
    let watch = Watch::over(process.pid());
    Ok(Mcp { stdin, stdout, process, era, capabilities: json!({}), name: "checks".to_owned(), last_id: 0, watch })
}

impl Mcp {
    /// Starts a shim and greets.
    ///
    /// # Errors
    /// When the shim cannot be started or the greeting is refused.
    pub fn start(bins: &Bins, home: &Home, era: Era) -> anyhow::Result<Self> {
        Self::able(bins, home, era, json!({}))
    }

    /// The same, with what the client says that it can do.
    ///
    /// # Errors
    /// As [`Mcp::start`].
    pub fn able(bins: &Bins, home: &Home, era: Era, capabilities: Value) -> anyhow::Result<Self> {
        let mut client = open(bins, home, &bins.shim, era)?;
        client.capabilities = capabilities;
        client.greet()?;
        Ok(client)
    }

    /// A client of that name, whose launch line has these words besides.
    ///
    /// # Errors
    /// As [`Mcp::start`].
    pub fn named(bins: &Bins, home: &Home, name: &str, words: &[&str]) -> anyhow::Result<Self> {
        let mut client = open_with(bins, home, &bins.shim, Era::Legacy, words)?;
        client.name = name.to_owned();
        client.greet()?;
        Ok(client)
    }

    /// A client whose launch line has these words besides.
    ///
    /// # Errors
    /// As [`Mcp::start`].
    pub fn launched(bins: &Bins, home: &Home, era: Era, words: &[&str]) -> anyhow::Result<Self> {
        let mut client = open_with(bins, home, &bins.shim, era, words)?;
        client.greet()?;
        Ok(client)
    }

    /// What the era's handshake is; the modern one has none.
    ///
    /// # Errors
    /// When the greeting is refused.
    pub fn greet(&mut self) -> anyhow::Result<()> {
        if self.era == Era::Legacy {
            let about = json!({"protocolVersion": "2025-11-25", "capabilities": self.capabilities, "clientInfo": {"name": self.name, "version": "1"}});
            let reply = self.request("initialize", about)?;
            anyhow::ensure!(reply["result"]["protocolVersion"] == "2025-11-25", "greeting refused: {reply}");
            self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string())?;
        }
        Ok(())
    }

    /// The shim's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// When no tool result comes back: the connection ended, or a protocol error came.
    pub fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Answer> {
        Answer::of_reply(&self.request("tools/call", json!({"name": tool, "arguments": arguments}))?)
    }

    /// Sends a request and waits for its reply, passing over everything else.
    ///
    /// # Errors
    /// When the connection ends or nothing comes in time.
    pub fn request(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        let (id, line) = self.line(method, params);
        self.send(&line)?;
        self.reply_to(id)
    }

    /// A request as a line, and its id.
    #[must_use]
    pub fn line(&mut self, method: &str, mut params: Value) -> (u64, String) {
        self.last_id += 1;
        if self.era == Era::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": self.capabilities,
                "io.modelcontextprotocol/clientInfo": {"name": self.name, "version": "1"},
            });
        }
        (self.last_id, json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}).to_string())
    }

    /// Writes one line.
    ///
    /// # Errors
    /// When the shim has closed its side.
    pub fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let _busy = self.watch.busy();
        stdin.write_all(&bytes).context("writing to the shim")
    }

    /// The next line, without its newline.
    ///
    /// # Errors
    /// When the shim closed its side, or nothing came in time.
    pub fn receive(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut line = Vec::new();
        self.receive_into(&mut line)?;
        Ok(line)
    }

    /// The same into a buffer that is emptied first.
    ///
    /// # Errors
    /// When the shim closed its side, or nothing came in time.
    pub fn receive_into(&mut self, line: &mut Vec<u8>) -> anyhow::Result<()> {
        line.clear();
        let _busy = self.watch.busy();
        self.stdout.read_until(b'\n', line).context("reading from the shim")?;
        if line.pop() != Some(b'\n') {
            if self.watch.barked() {
                bail!("no reply within {PATIENCE:?}");
            }
            bail!("the shim closed its side");
        }
        Ok(())
    }

    /// The next message.
    ///
    /// # Errors
    /// As [`Mcp::receive`], and when it is not JSON.
    pub fn message(&mut self) -> anyhow::Result<Value> {
        let line = self.receive()?;
        serde_json::from_slice(&line).with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&line)))
    }

    /// The reply to a request, passing over everything else.
    ///
    /// # Errors
    /// As [`Mcp::message`].
    pub fn reply_to(&mut self, id: u64) -> anyhow::Result<Value> {
        loop {
            let message = self.message()?;
            if message["id"] == id && message.get("method").is_none() {
                return Ok(message);
            }
        }
    }

    /// One round trip of a line that has been prepared: from before the write until the whole reply is here.
    ///
    /// # Errors
    /// As [`Mcp::receive`].
    pub fn trip(&mut self, line: &str, reply: &mut Vec<u8>) -> anyhow::Result<Duration> {
        let stdin = self.stdin.as_mut().context("stdin is closed")?;
        reply.clear();
        let busy = self.watch.busy();
        let start = stopwatch::now();
        stdin.write_all(line.as_bytes()).context("writing to the shim")?;
        self.stdout.read_until(b'\n', reply).context("reading from the shim")?;
        let took = start.elapsed();
        drop(busy);
        anyhow::ensure!(reply.last() == Some(&b'\n'), "the shim closed its side");
        Ok(took)
    }

    /// Closes our side.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Sends the shim a signal.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process.signal(signal)
    }

    /// Waits for the shim's end.
    ///
    /// # Errors
    /// When it has not ended in time.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        self.process.wait(patience)
    }
}

/// Kills the shim when a read or a write takes longer than the patience, so that a blocked client gets its error.
#[derive(Debug)]
struct Watch {
    shared: Arc<Shared>,
    _end: mpsc::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    /// Milliseconds after `start` at which the present read or write began, plus one; 0 between them.
    since: AtomicU64,
    barked: AtomicBool,
}

/// While it lives a read or a write is going on. Owns its counter, so that it borrows nothing of the client.
struct Busy(Arc<Shared>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Relaxed);
    }
}

impl Watch {
    fn over(pid: u32) -> Self {
        let shared = Arc::new(Shared { start: stopwatch::now(), since: AtomicU64::new(0), barked: AtomicBool::new(false) });
        let (end, ended) = mpsc::channel::<()>();
        let watched = Arc::clone(&shared);
        std::thread::spawn(move || {
            while ended.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
                let since = watched.since.load(Ordering::Relaxed);
                if since > 0 && watched.now() > since + u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX) {
                    watched.barked.store(true, Ordering::Relaxed);
                    // It may have ended by itself just now.
                    let _ = process::send(pid, Signal::KILL);
                    break;
                }
            }
        });
        Self { shared, _end: end }
    }

    fn busy(&self) -> Busy {
        self.shared.since.store(self.shared.now(), Ordering::Relaxed);
        Busy(Arc::clone(&self.shared))
    }

    fn barked(&self) -> bool {
        self.shared.barked.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX) + 1
    }
}
