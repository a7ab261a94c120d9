//! `strangers`: another user of the machine connects, although the folder and the socket were opened to everybody afterwards.

use std::{
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
};

use anyhow::Context as _;
use rustix::{
    process::{Gid, Uid, geteuid},
    thread::{set_thread_gid, set_thread_groups, set_thread_uid},
};
use serde_json::json;

use super::{Run, found};
use crate::{
    demo::say,
    support::{
        PATIENCE,
        world::{Setup, World},
    },
};

/// Nobody's user and group.
const NOBODY: u32 = 65_534;
/// What a client of HTTP/2 says first, and an empty SETTINGS frame: a server answers it with its own.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub(super) fn run(run: &mut Run, count: usize) -> anyhow::Result<()> {
    if !geteuid().is_root() {
        say("strangers: skipped, only root can become another user");
        run.figure("strangers", json!({ "tried": 0, "skipped": "only root can become another user" }));
        return Ok(());
    }
    let mut world = World::with(Setup::default())?;
    world.expect_log("refused a connection of another user");
    let socket = world.home.socket();
    let before = mode(&socket)?;
    std::fs::set_permissions(world.home.path(), PermissionsExt::from_mode(0o755))?;
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666))?;
    let mut tried = 0;
    let mut served = 0;
    // What counts as being served is shown by one of our own user.
    let ours = asks(&socket)?;
    run.must(ours, "the daemon does not answer its own user, so that nothing is shown");
    while tried < count && !run.leaves() {
        let (socket, pieces) = (socket.clone(), (count - tried).min(100));
        // The thread becomes nobody for good, and ends.
        let stranger = std::thread::spawn(move || -> anyhow::Result<usize> {
            set_thread_groups(&[])?;
            set_thread_gid(Gid::from_raw(NOBODY))?;
            set_thread_uid(Uid::from_raw(NOBODY))?;
            (0..pieces).try_fold(0, |served, _| Ok(served + usize::from(asks(&socket)?)))
        });
        served += stranger.join().map_err(|_| anyhow::anyhow!("a stranger's thread broke"))??;
        tried += pieces;
    }
    std::fs::set_permissions(world.home.path(), PermissionsExt::from_mode(0o700))?;
    let status = world.ctl_json(&["status"])?;
    let told = status["warnings"].as_array().is_some_and(|all| all.iter().any(|warning| warning["code"] == "foreign_connections"));
    run.must(told, "status does not tell of refused connections");
    found(run, "strangers", tried, served, json!({ "socket_mode": format!("{before:o}"), "told_in_status": told }));
    run.must(before == 0o600, "the socket is open to others");
    Ok(())
}

fn mode(path: &Path) -> anyhow::Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

/// Connects and speaks; whether a single byte came back.
fn asks(socket: &Path) -> anyhow::Result<bool> {
    let mut stream = UnixStream::connect(socket).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // The daemon may have closed it already.
    let _ = stream.write_all(PREFACE);
    let mut byte = [0];
    Ok(stream.read(&mut byte).is_ok_and(|read| read > 0))
}
