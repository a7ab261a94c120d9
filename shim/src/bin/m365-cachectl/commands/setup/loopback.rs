//! The little HTTP that the demo needs: plain, and to this machine alone. The tenant's control port is asked, and its sign-in page opened as a browser would.

use std::time::Duration;

use m365_cached_proto::v1::{Fault, Kind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The tenant answers at once.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest answer that is read.
const MOST: u64 = 1 << 20;
/// A sign-in leads from the tenant to the daemon.
const REDIRECTS: usize = 5;

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    location: Option<String>,
    pub(super) body: String,
}

/// Asks for an address, and for where it leads to.
pub(super) async fn open(url: &str) -> Result<Reply, Fault> {
    let mut url = url.to_owned();
    for _ in 0..REDIRECTS {
        let reply = ask("GET", &url).await?;
        match reply.location {
            Some(next) if (300..400).contains(&reply.status) => url = next,
            _ => return Ok(reply),
        }
    }
    Err(broken(&url, "it leads from one address to the next"))
}

/// One request without a body.
pub(super) async fn ask(method: &str, url: &str) -> Result<Reply, Fault> {
    let (host, target) = split(url).ok_or_else(|| broken(url, "it is no address on this machine"))?;
    let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let talk = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.take(MOST).read_to_end(&mut bytes).await?;
        Ok::<_, std::io::Error>(bytes)
    };
    match tokio::time::timeout(PATIENCE, talk).await {
        Ok(Ok(bytes)) => read(&String::from_utf8_lossy(&bytes)).ok_or_else(|| broken(url, "its answer is no HTTP")),
        Ok(Err(error)) => Err(broken(url, &error.to_string())),
        Err(_) => Err(broken(url, "it does not answer")),
    }
}

/// Host with port, and the target; `None` for an address that is not on this machine.
fn split(url: &str) -> Option<(&str, String)> {
    let rest = url.strip_prefix("http://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, target) = rest.split_at(end);
    let (name, port) = host.rsplit_once(':')?;
    let local = matches!(name, "localhost" | "127.0.0.1" | "[::1]") && port.parse::<u16>().is_ok();
    let target = target.split('#').next().unwrap_or_default();
    local.then(|| (host, if target.starts_with('/') { target.to_owned() } else { format!("/{target}") }))
}

fn read(text: &str) -> Option<Reply> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let field = |line: &str| {
        line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("location")).map(|(_, value)| value.trim().to_owned())
    };
    Some(Reply { status, location: lines.find_map(field), body: body.to_owned() })
}

/// The address is not repeated: it may carry a sign-in.
fn broken(url: &str, why: &str) -> Fault {
    let place = split(url).map_or("the address", |(host, _)| host);
    Fault::new(
        Kind::Offline,
        "demo_unreachable",
        format!("the demo tenant at {place} cannot be asked: {why}"),
        "`m365-cachectl setup --demo` starts it again.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked() {
        assert_eq!(split("http://127.0.0.1:8080/a?b=c#d"), Some(("127.0.0.1:8080", "/a?b=c".to_owned())));
        assert_eq!(split("http://localhost:1?code=x"), Some(("localhost:1", "/?code=x".to_owned())));
        assert_eq!(split("http://[::1]:80"), Some(("[::1]:80", "/".to_owned())));
        for other in [
            "https://127.0.0.1:1/",
            "http://127.0.0.1.example:1/",
            "http://example.com:80/",
            "http://127.0.0.1/",
            "http://127.0.0.1:x/",
            "http://a@127.0.0.1:1/",
        ] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn an_answer_is_read() {
        let reply = read("HTTP/1.1 302 Found\r\nLOCATION: http://localhost:1/?code=a\r\n\r\nbody").unwrap();
        assert_eq!((reply.status, reply.location.as_deref(), reply.body.as_str()), (302, Some("http://localhost:1/?code=a"), "body"));
        assert!(read("SSH-2.0\r\n\r\n").is_none() && read("HTTP/1.1 abc\r\n\r\n").is_none());
    }
}
