//! What the bench plays when it runs itself again: std only, blocking, as raw as it gets.

use std::{
    io::{BufRead as _, BufReader, IoSlice, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
};

use anyhow::{Context as _, bail};

const HEAD: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
const BEFORE: &[u8] = br#","result":{"content":[{"type":"text","text":""#;
const AFTER: &[u8] = b"\"}],\"isError\":false}}\n";

/// Plays a role until the other side hangs up.
pub(crate) fn play(role: &str, words: &[&str]) -> anyhow::Result<()> {
    match (role, words) {
        ("echo", []) => echo(),
        ("pong", [socket, bytes]) => pong(Path::new(socket), bytes.parse()?),
        ("raw-daemon", [socket, body]) => raw_daemon(Path::new(socket), Path::new(body)),
        ("raw-shim", [socket]) => raw_shim(Path::new(socket)),
        _ => bail!("no such role: {role} {words:?}"),
    }
}

/// Gives every line back.
fn echo() -> anyhow::Result<()> {
    let (mut stdin, mut stdout) = (BufReader::with_capacity(1 << 20, std::io::stdin()), std::io::stdout());
    let mut line = Vec::new();
    while stdin.read_until(b'\n', &mut line)? > 0 {
        stdout.write_all(&line)?;
        stdout.flush()?;
        line.clear();
    }
    Ok(())
}

/// Answers each 64 bytes with `bytes` bytes.
fn pong(socket: &Path, bytes: usize) -> anyhow::Result<()> {
    let listener = listen(socket)?;
    let (mut stream, _) = listener.accept()?;
    let (mut ask, reply) = ([0; 64], vec![b'x'; bytes]);
    while stream.read_exact(&mut ask).is_ok() {
        stream.write_all(&reply)?;
    }
    Ok(())
}

/// Binds, and says so with one line on stdout.
fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
    let listener = UnixListener::bind(socket).with_context(|| format!("listening on {}", socket.display()))?;
    writeln!(std::io::stdout(), "listening")?;
    Ok(listener)
}

/// Answers each frame with the body in memory, spliced behind the request's id.
fn raw_daemon(socket: &Path, body: &Path) -> anyhow::Result<()> {
    let body: &'static [u8] = std::fs::read(body)?.leak();
    for stream in listen(socket)?.incoming() {
        let stream = stream?;
        std::thread::spawn(move || serve(stream, body));
    }
    Ok(())
}

fn serve(mut stream: UnixStream, body: &[u8]) -> anyhow::Result<()> {
    let mut frame = Vec::new();
    while read_frame(&mut stream, &mut frame)? {
        let id = id_of(&frame).context("a request without id")?;
        let length = u32::try_from(HEAD.len() + id.len() + BEFORE.len() + body.len() + AFTER.len())?.to_be_bytes();
        write_all(&mut stream, &mut [&length, HEAD, id, BEFORE, body, AFTER].map(IoSlice::new))?;
    }
    Ok(())
}

/// Lines in, frames out, and back.
fn raw_shim(socket: &Path) -> anyhow::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let (mut stdin, mut stdout) = (BufReader::with_capacity(64 * 1024, std::io::stdin()), std::io::stdout());
    let (mut line, mut frame) = (Vec::new(), Vec::new());
    while stdin.read_until(b'\n', &mut line)? > 0 {
        let length = u32::try_from(line.len())?.to_be_bytes();
        write_all(&mut stream, &mut [&length[..], &line].map(IoSlice::new))?;
        anyhow::ensure!(read_frame(&mut stream, &mut frame)?, "the raw daemon hung up");
        stdout.write_all(&frame)?;
        stdout.flush()?;
        line.clear();
    }
    Ok(())
}

/// Reads one length-prefixed frame; false at the end.
fn read_frame(stream: &mut UnixStream, frame: &mut Vec<u8>) -> anyhow::Result<bool> {
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_err() {
        return Ok(false);
    }
    frame.resize(u32::from_be_bytes(length) as usize, 0);
    stream.read_exact(frame)?;
    Ok(true)
}

fn write_all(stream: &mut UnixStream, mut parts: &mut [IoSlice<'_>]) -> anyhow::Result<()> {
    while !parts.is_empty() {
        let written = stream.write_vectored(parts)?;
        IoSlice::advance_slices(&mut parts, written);
    }
    Ok(())
}

/// The digits behind `"id":`.
fn id_of(line: &[u8]) -> Option<&[u8]> {
    let at = line.windows(5).position(|part| part == b"\"id\":")? + 5;
    let length = line[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(&line[at..at + length])
}
