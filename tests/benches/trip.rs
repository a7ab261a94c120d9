//! The whole trip of a cached answer, stdin to stdout over real shim processes, beside what no program can beat.
//!
//! - F(n), the floor: a pipe echo of n bytes plus a blocking ping-pong of n bytes over a Unix socket.
//! - R(n), the yardstick: a raw shim and a raw daemon, length-prefixed frames, the answer escaped beforehand and in memory.
//! - hot: the product, the answer in the daemon's hot tier. cold: a daemon without a hot tier, so SQLCipher and zstd each time.
//!
//! All in one run, rounds interleaved, new processes in every round, medians of medians: absolute times move by a third between runs, the
//! ratios do not. The bench runs itself again as echo, raw shim and raw daemon.
//!
//! What it led to, each tried beside the build without it in one run (500 KB hot unless said otherwise):
//! - kept, the shim's C library keeps freed memory: 492 to 341 µs. A page fault for every 4 KB of every buffer was the largest cost.
//! - kept, the pipe to the client holds 1 MB: 341 to 285 µs. With 256 KB all three together came to 292 in place of 263.
//! - kept, the daemon's socket holds 1 MB: 285 to 263 µs.
//! - kept, a cold read is done by its caller when the store is idle: 20 KB cold 78 to 71 µs; its look-up is not given a task of its own
//!   unless it has to wait: 71 to 60 µs.
//! - not kept, long answers in pieces of 64 or 128 KB, which saves a copy and lets both ends overlap: 482 to 519 and 619 µs. Each piece
//!   wakes the connection's task on the other core.
//! - not kept, the body as one piece of its own beside head and tail, which saves the copy alone: 482 to 502 µs.

#[path = "trip/figures.rs"]
mod figures;
#[path = "trip/lanes.rs"]
mod lanes;
#[path = "trip/roles.rs"]
mod roles;
#[path = "trip/rounds.rs"]
mod rounds;
#[path = "trip/stage.rs"]
mod stage;

use std::io::Write as _;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["role", role, rest @ ..] = words.as_slice() {
        return roles::play(role, rest);
    }
    // `--bench` is Cargo's own word.
    let known = ["--json", "--quick", "--bench"];
    if let Some(strange) = words.iter().find(|word| !known.contains(word)) {
        anyhow::bail!("unknown word {strange}; there are --json and --quick");
    }
    let stage = stage::Stage::set()?;
    let figures = rounds::run(&stage, words.contains(&"--quick"))?;
    let text = if words.contains(&"--json") { serde_json::to_string(&figures)? } else { figures.table()? };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
