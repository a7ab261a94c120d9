//! `frames`: lines that are no messages, calls whose arguments nobody would write, and bytes that are no HTTP/2. The daemon stays, answers,
//! and does not grow.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Run, found};
use crate::{
    demo::say,
    support::{
        mcp::{Era, Mcp},
        process,
        world::{ALEX, Setup, World},
    },
};

/// Lines that are on their way at a time: the answer to the last one is waited for.
const BURST: usize = 200;
/// Bytes of answers that may be on their way at a time. A pipe holds 64 KiB, and a client that only writes ends up waiting for itself.
const UNREAD: usize = 32 << 10;
/// An answer is about as long as that, and as what it has to repeat: the id of its line.
const ANSWER: usize = 300;
/// So much may the daemon's memory grow, in KiB as the system counts it: more than what it may hold for one connection.
const GROWTH: u64 = 128 << 10;

pub(super) fn run(run: &mut Run, count: usize) -> anyhow::Result<()> {
    let mut world = World::with(Setup { accounts: &[ALEX], ..Setup::default() })?;
    let pid = world.daemon().pid();
    let mut client = world.client_of(Era::Legacy, "full")?;
    let tools = client.request("tools/list", json!({}))?["result"]["tools"].as_array().cloned().unwrap_or_default();
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let (mut tried, mut raw) = (0, 0);
    // After the first burst, so that what every daemon keeps does not count.
    let mut memory = (0, 0);
    while tried < count && !run.leaves() {
        let mut unread = 0;
        for _ in 0..BURST {
            let line = match noise.below(8) {
                0 => noise.bytes(),
                1 => {
                    let line = message(&mut noise, &tools, &world.ids[0]);
                    noise.broken(&line)
                }
                _ => message(&mut noise, &tools, &world.ids[0]),
            };
            if line.is_empty() {
                continue;
            }
            client.send(&line)?;
            unread += ANSWER + line.len();
            // What may be answered at length is read at once: the list of tools, mail, and what needs no account.
            let long =
                line.contains("tools/list") || line.contains(&world.ids[0]) || line.contains("\"cache_") || line.contains("account_list");
            if long || unread > UNREAD {
                settle(&mut client)?;
                unread = 0;
            }
        }
        tried += BURST;
        settle(&mut client)?;
        if tried == BURST || tried % (BURST * 20) == 0 || tried >= count {
            raw += bytes(&world, &mut noise)?;
            let (resident, _) = process::memory(pid)?;
            memory = if memory.0 == 0 { (resident, resident) } else { (memory.0, memory.1.max(resident)) };
        }
        if tried % 100_000 == 0 {
            say(&format!("frames: {tried} lines"));
        }
    }
    let alive = world.daemon().alive();
    let panics = world.daemon().log()?.matches("panicked").count();
    let grown = memory.1.saturating_sub(memory.0);
    let more = json!({ "raw_connections": raw, "alive": alive, "memory_before_kib": memory.0, "memory_most_kib": memory.1 });
    found(run, "frames", tried, panics + usize::from(!alive), more);
    run.must(grown <= GROWTH, &format!("the daemon grew by {grown} KiB"));
    run.must(!client.call("email_list", &json!({ "account_id": world.ids[0] }))?.is_error, "mail cannot be read afterwards");
    Ok(())
}

/// Waits until everything before has been looked at.
fn settle(client: &mut Mcp) -> anyhow::Result<()> {
    let (id, line) = client.line("ping", json!({}));
    client.send(&line)?;
    client.reply_to(id)?;
    Ok(())
}

/// Connections that do not speak HTTP/2, or stop doing so; how many.
fn bytes(world: &World, noise: &mut Noise) -> anyhow::Result<usize> {
    for nth in 0..10 {
        let mut stream = UnixStream::connect(world.home.socket())?;
        stream.set_read_timeout(Some(Duration::from_millis(200)))?;
        if nth % 2 == 0 {
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        }
        // It may be closed at the first wrong byte.
        let _ = stream.write_all(noise.bytes().as_bytes());
        let mut answer = [0; 1024];
        let _ = stream.read(&mut answer);
    }
    Ok(10)
}

/// A line that is JSON, and of which something is odd as a rule.
fn message(noise: &mut Noise, tools: &[Value], account: &str) -> String {
    let tool = &tools[noise.below(tools.len().max(1)).min(tools.len().saturating_sub(1))];
    // What changes something is left out: most of the time it would be refused, and else there would be a mailbox full of noise.
    let name = if tool["annotations"]["readOnlyHint"] == true { tool["name"].as_str().unwrap_or("email_list") } else { "no_such_tool" };
    let mut arguments = json!({ "account_id": if noise.below(20) == 0 { account.into() } else { noise.value(2) } });
    for name in tool["inputSchema"]["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
        // What would ask the tenant is kept rare.
        if noise.below(3) == 0 && name != "account_id" {
            arguments[name.as_str()] = noise.value(3);
        }
    }
    if noise.below(4) == 0 {
        arguments[noise.word().as_str()] = noise.value(3);
    }
    // The whole catalogue is a long answer, and the same each time.
    let method = match noise.below(200) {
        0 => "tools/list".to_owned(),
        1..20 => noise.word(),
        20..50 => "notifications/cancelled".to_owned(),
        _ => "tools/call".to_owned(),
    };
    let id = match noise.below(5) {
        0 => noise.value(1),
        _ => (noise.next() >> 20).into(),
    };
    json!({ "jsonrpc": if noise.below(20) == 0 { noise.value(0) } else { "2.0".into() }, "id": id, "method": method,
            "params": { "name": name, "arguments": arguments } })
    .to_string()
}

/// Random, the same for every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % end.max(1)
    }

    fn word(&mut self) -> String {
        const WORDS: [&str; 10] =
            ["", "account_id", "__proto__", "limit", "é\u{202e}", "a\u{0}b", "../..", "\u{feff}", "null", "tools/call"];
        let word = WORDS[self.below(WORDS.len())];
        if self.below(30) == 0 { word.repeat(1 + self.below(5_000)) } else { word.to_owned() }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 8 } else { 10 }) {
            0 => Value::Null,
            1 => true.into(),
            2 => i64::MIN.into(),
            3 => u64::MAX.into(),
            4 => (-1.5e300).into(),
            5 => (self.next() % 1000).into(),
            6 | 7 => self.word().into(),
            8 => (0..self.below(5)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object((0..self.below(4)).map(|_| (self.word(), self.value(depth - 1))).collect()),
        }
    }

    /// Letters of all kinds without a line's end.
    fn bytes(&mut self) -> String {
        let length = self.below(300);
        (0..length)
            .filter_map(|_| char::from_u32(u32::try_from(self.next() % 0x300).unwrap_or(0)))
            .filter(|letter| !matches!(letter, '\n' | '\r'))
            .collect()
    }

    /// The line with some of it gone, doubled or changed.
    fn broken(&mut self, line: &str) -> String {
        let mut letters: Vec<char> = line.chars().collect();
        for _ in 0..1 + self.below(4) {
            let at = self.below(letters.len());
            match self.below(3) {
                0 => letters.truncate(at),
                1 if at < letters.len() => letters[at] = char::from(b' ' + u8::try_from(self.below(90)).unwrap_or(0)),
                _ if at < letters.len() => letters.insert(at, '{'),
                _ => {}
            }
            if letters.is_empty() {
                break;
            }
        }
        letters.into_iter().collect()
    }
}
