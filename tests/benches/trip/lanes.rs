//! The contestants: each takes one trip at a time and says how long it took.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::Context as _;
use m365_cached_checks::support::{
    mcp::Mcp,
    process::{Running, spawn},
    stopwatch,
};
use serde_json::json;

use crate::stage::{Question, Side, Stage};

/// One contestant, ready to go.
pub(crate) trait Lane: Send {
    /// One trip.
    fn trip(&mut self) -> anyhow::Result<Duration>;
}

/// The product: a shim process and a daemon.
pub(crate) struct Product {
    client: Mcp,
    line: String,
    reply: Vec<u8>,
}

impl Product {
    pub(crate) fn on(stage: &Stage, side: &Side, question: &Question) -> anyhow::Result<Self> {
        let mut client = stage.client(side)?;
        let mut line = client.line("tools/call", json!({"name": "email_list", "arguments": side.ask(question)})).1;
        line.push('\n');
        Ok(Self { client, line, reply: Vec::with_capacity(1 << 20) })
    }

    /// The process id of its shim.
    pub(crate) fn pid(&self) -> u32 {
        self.client.pid()
    }

    /// The line it sends and the last reply.
    pub(crate) fn talk(&self) -> (&str, &[u8]) {
        (&self.line, &self.reply)
    }
}

impl Lane for Product {
    fn trip(&mut self) -> anyhow::Result<Duration> {
        self.client.trip(&self.line, &mut self.reply)
    }
}

/// A child process that answers lines: the echo, or the raw shim.
pub(crate) struct Piped {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: Vec<u8>,
    reply: Vec<u8>,
    _process: Running,
}

impl Piped {
    /// The bench itself in a role, asked `line` on each trip.
    pub(crate) fn role(words: &[&str], line: Vec<u8>) -> anyhow::Result<Self> {
        let mut child = spawn(Command::new(std::env::current_exe()?).arg("role").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let stdin = child.stdin.take().context("stdin")?;
        let stdout = BufReader::with_capacity(256 * 1024, child.stdout.take().context("stdout")?);
        Ok(Self { stdin, stdout, line, reply: Vec::with_capacity(1 << 20), _process: Running::new(words[0], child) })
    }
}

impl Lane for Piped {
    fn trip(&mut self) -> anyhow::Result<Duration> {
        self.reply.clear();
        let start = stopwatch::now();
        self.stdin.write_all(&self.line)?;
        self.stdout.read_until(b'\n', &mut self.reply)?;
        let took = start.elapsed();
        anyhow::ensure!(self.reply.last() == Some(&b'\n'), "a role hung up");
        Ok(took)
    }
}

/// A blocking ping-pong over a Unix socket.
pub(crate) struct PingPong {
    stream: UnixStream,
    reply: Vec<u8>,
    _server: Server,
}

impl PingPong {
    pub(crate) fn of(socket: &Path, bytes: usize) -> anyhow::Result<Self> {
        let server = Server::start(&["pong", path(socket)?, &bytes.to_string()])?;
        Ok(Self { stream: UnixStream::connect(socket)?, reply: vec![0; bytes], _server: server })
    }
}

impl Lane for PingPong {
    fn trip(&mut self) -> anyhow::Result<Duration> {
        let start = stopwatch::now();
        self.stream.write_all(&[b'x'; 64])?;
        self.stream.read_exact(&mut self.reply)?;
        Ok(start.elapsed())
    }
}

/// A listening role, ready for connections.
pub(crate) struct Server {
    _process: Running,
}

impl Server {
    pub(crate) fn start(words: &[&str]) -> anyhow::Result<Self> {
        let mut child = spawn(Command::new(std::env::current_exe()?).arg("role").args(words).stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let mut ready = String::new();
        BufReader::new(child.stdout.take().context("stdout")?).read_line(&mut ready)?;
        anyhow::ensure!(ready == "listening\n", "{} did not listen", words[0]);
        Ok(Self { _process: Running::new(words[0], child) })
    }
}

pub(crate) fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is not text")
}
