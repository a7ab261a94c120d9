//! `urls`: hostile addresses where Microsoft's answers have links, and redirects of Graph and of downloads. No bearer may leave for any of
//! them, and none of them may be asked at all.
//!
//! The demo cloud's one exemption is that its Graph and its listed hosts of files are on loopback; everything else on loopback is as foreign
//! as the rest of the world. A listener on another port shows it: see `sink.rs`.

use m365_cached_tenant::{Effect, Fault, Port};
use serde_json::json;

use super::{Run, found, sink::Sink};
use crate::support::{
    mcp::Era,
    world::{ALEX, Setup, World},
};

pub(super) fn run(run: &mut Run, count: usize) -> anyhow::Result<()> {
    let world = World::with(Setup { accounts: &[ALEX], ..Setup::default() })?;
    let sink = Sink::open()?;
    let mut client = world.client(Era::Legacy)?;
    let account = &world.ids[0];
    let listed = client.call("file_list", &json!({ "account_id": account }))?.json()?;
    let files = listed["files"].as_array().or(listed["items"].as_array()).cloned().unwrap_or_default();
    let file = files.iter().find(|item| item["type"] != "folder" && item["id"].is_string()).map(|item| item["id"].clone());
    let graph = world.graph_port();
    let all = addresses(sink.port(), graph);
    let (mut tried, mut leaked, mut asked) = (0, 0, 0);
    let mut refusals = 0;
    for (nth, address) in all.iter().cycle().take(count).enumerate() {
        if run.leaves() {
            break;
        }
        let before = sink.seen();
        // Each address by each way in turn.
        let way = (nth + nth / all.len()) % 4;
        let (fault, tool, arguments) = match way {
            0 => (
                Effect::LinksTo { to: address.clone() },
                "email_list",
                json!({ "account_id": account, "limit": 200, "force_refresh": true }),
            ),
            1 => (
                Effect::RedirectTo { to: address.clone() },
                "email_list",
                json!({ "account_id": account, "limit": 7, "force_refresh": true }),
            ),
            2 => (
                Effect::LinksTo { to: address.clone() },
                "file_get",
                json!({ "account_id": account, "file_id": file, "download_path": format!("hostile-{nth}.bin") }),
            ),
            _ => (
                Effect::RedirectTo { to: address.clone() },
                "file_get",
                json!({ "account_id": account, "file_id": file, "download_path": format!("hostile-{nth}.bin") }),
            ),
        };
        let on_downloads = way == 3;
        let fault = Fault { port: if on_downloads { Port::Downloads } else { Port::Graph }, route: None, ..Fault::always("", fault) };
        world.control().fault(fault);
        let answer = client.call(tool, &arguments)?;
        world.control().clear_faults(None);
        refusals += usize::from(answer.is_error);
        let after = sink.seen();
        leaked += after.1 - before.1;
        asked += after.0 - before.0;
        tried += 1;
    }
    let bearers = world.control().stats().bearer_on_downloads;
    let more = json!({ "asked_foreign": asked, "refused": refusals, "bearer_on_downloads": bearers, "addresses": all.len() });
    found(run, "urls", tried, leaked + asked, more);
    run.must(bearers == 0, "a bearer went to a host of files");
    run.must(refusals * 2 > tried, "most hostile addresses are not refused, so that they were not followed to their end");
    // The same calls work when nobody lies.
    run.must(
        !client.call("email_list", &json!({ "account_id": account, "force_refresh": true }))?.is_error,
        "mail cannot be read afterwards",
    );
    Ok(())
}

/// Addresses that look like Graph's and are not, those of the machine itself and of its network.
fn addresses(sink: u16, graph: u16) -> Vec<String> {
    let mut all: Vec<String> = [
        "https://evil.example/v1.0/me",
        "https://graph.microsoft.com.evil.example/v1.0/me",
        "https://graph.microsoft.com@evil.example/v1.0/me",
        "https://evil.example#graph.microsoft.com",
        "https://evil.example?graph.microsoft.com",
        "https://graph-microsoft.com/v1.0/me",
        "https://xn--grph-microsoft-9ib.com/v1.0/me",
        "https://grаph.microsoft.com/v1.0/me",
        "https://graph.microsoft.com\u{3002}evil.example/",
        "https://GRAPH.MICROSOFT.COM.:443/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/meta-data/",
        "http://168.63.129.16/",
        "http://10.0.0.1/",
        "http://192.168.1.1/",
        "http://0/",
        "file:///etc/passwd",
        "data:application/json,{}",
        "javascript:alert(1)",
        "//evil.example/v1.0/me",
        "\\\\evil.example\\share",
        "",
        "https://",
        "ftp://evil.example/",
        "gopher://evil.example/_GET",
    ]
    .map(str::to_owned)
    .to_vec();
    for host in [
        format!("127.0.0.1:{sink}"),
        format!("localhost:{sink}"),
        format!("127.1:{sink}"),
        format!("2130706433:{sink}"),
        format!("0x7f000001:{sink}"),
        format!("0177.0.0.1:{sink}"),
        format!("0:{sink}"),
        format!("[::ffff:127.0.0.1]:{sink}"),
        format!("127.0.0.1:{graph}@127.0.0.1:{sink}"),
        format!("graph.microsoft.com@127.0.0.1:{sink}"),
        format!("user:password@127.0.0.1:{sink}"),
        format!("127.0.0.1:{sink}#@127.0.0.1:{graph}"),
        format!("127.0.0.1:{sink}?@127.0.0.1:{graph}"),
        format!("127.0.0.1:{sink}\\@127.0.0.1:{graph}"),
        format!("127.0.0.1:{sink}%2f@127.0.0.1:{graph}"),
        format!("127.0.0.1%00:{sink}"),
        format!("127.0.0.1\t:{sink}"),
        format!("a@127.0.0.1:{graph}"),
        format!(":p@127.0.0.1:{graph}"),
        format!("127.0.0.2:{graph}"),
    ] {
        all.push(format!("http://{host}/v1.0/me/messages"));
        all.push(format!("https://{host}/v1.0/me/messages"));
        all.push(format!("HTTP://{host}"));
        all.push(format!("http:/\\{host}/v1.0"));
    }
    all
}
