//! The client against a proxy that answers as it is told, and keeps what it heard.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    auth::{Authorities, Http, HttpSettings, Link, Trouble, TroubleKind, testing::within},
    cloud::Cloud,
};

fn at(url: &str, past: &[&str], auth: Option<ProxyAuth>) -> Proxy {
    Proxy::At { url: url.parse().unwrap(), past: past.iter().map(|host| (*host).to_owned()).collect(), auth }
}

fn through(proxy: Proxy) -> Http {
    Http::new(Cloud::named("global").unwrap(), HttpSettings { proxy, ..HttpSettings::default() })
}

/// A proxy that gives every request this answer; what it was asked.
async fn proxy(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|length| length > 0) {}
            heard.lock().unwrap().push(String::from_utf8(head).unwrap());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, asked)
}

async fn trouble(http: &Http) -> Trouble {
    match within(http.look(&"https://graph.microsoft.com/v1.0/me".parse().unwrap())).await {
        Link::Failed(trouble) => trouble,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_a_proxy_says_is_told_apart_and_it_resolves_the_names() {
    let both = Secret::new("ada:hunter2".to_owned());
    for (answer, kind, code) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", TroubleKind::ProxyAuth, "proxy_auth_required"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", TroubleKind::ProxyRefuses, "proxy_refused"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", TroubleKind::ProxyRefuses, "proxy_refused"),
        ("", TroubleKind::ProxyGone, "proxy_unreachable"),
    ] {
        let (address, asked) = proxy(answer).await;
        let trouble = trouble(&through(at(&address, &[], ProxyAuth::basic(&both)))).await;
        assert_eq!((trouble.kind, trouble.code()), (kind, Some(code)), "{trouble}");
        assert!(trouble.hint().is_some());
        let said = format!("{trouble} {trouble:?}");
        assert!(!said.contains("hunter2") && !said.contains("127.0.0.1") && !said.contains("YWRh"), "{said}");
        let asked = asked.lock().unwrap()[0].clone().replace("Proxy-Authorization", "proxy-authorization");
        // By its name: nobody has resolved it here.
        assert!(asked.starts_with("CONNECT graph.microsoft.com:443 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("proxy-authorization: Basic YWRhOmh1bnRlcjI=\r\n") && !asked.contains("Bearer"), "{asked}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_no_trouble_of_microsofts() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let trouble = trouble(&through(at(&format!("http://{free}"), &[], None))).await;
    assert_eq!(trouble.kind, TroubleKind::ProxyGone, "{trouble}");
}

/// Whoever answers in the tunnel has to be Microsoft: its name alone is not enough.
#[tokio::test]
async fn nobody_else_answers_in_a_tunnel() {
    let tenant = m365_cached_tenant::Tenant::start(m365_cached_tenant::Options::default()).await.unwrap();
    let target = tenant.addresses().graph_tls.trim_start_matches("https://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|length| length > 0) {}
            let mut server = tokio::net::TcpStream::connect(&target).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        }
    });
    let authorities = Authorities::read(tenant.ca_pem()).unwrap();
    let cloud = Cloud::named("global").unwrap();
    for (authorities, why) in [(None, "its authority is not ours"), (Some(authorities), "its certificate is for another name")] {
        let settings = HttpSettings { proxy: at(&address, &[], None), authorities, ..HttpSettings::default() };
        let trouble = trouble(&Http::new(cloud.clone(), settings)).await;
        assert_eq!(trouble.kind, TroubleKind::Untrusted, "{why}: {trouble}");
    }
    tenant.stop().await;
}

#[test]
fn which_proxy_is_asked_for_which_host() {
    let graph: Url = "https://graph.microsoft.com/v1.0/me".parse().unwrap();
    let files: Url = "https://contoso.sharepoint.com/x".parse().unwrap();
    let named = through(at("http://proxy.corp.example:8080", &["sharepoint.com", "10.0.0.0/8"], None));
    assert_eq!(named.proxy_for(&graph).as_deref(), Some("proxy.corp.example:8080"));
    assert_eq!(named.proxy_for(&files), None, "it goes past");
    assert_eq!(through(at("https://proxy.corp.example", &[], None)).proxy_for(&files).as_deref(), Some("proxy.corp.example:443"));
    assert_eq!(through(Proxy::Off).proxy_for(&graph), None);
    let root: Url = "https://127.0.0.1:1/".parse().unwrap();
    let demo = Cloud { name: "demo".into(), identity: root.clone(), graph: root.clone(), downloads: Vec::new(), ca_pem: None };
    let demo = |proxy| Http::new(demo.clone(), HttpSettings { proxy, ..HttpSettings::default() });
    assert_eq!(demo(Proxy::System).proxy_for(&root), None, "the system's proxy is not for a demo");
    assert_eq!(demo(at("http://127.0.0.1:8080", &[], None)).proxy_for(&root).as_deref(), Some("127.0.0.1:8080"), "one that is named is");
}

#[test]
fn a_name_and_a_password_are_shown_nowhere() {
    let basic = |text: &str| ProxyAuth::basic(&Secret::new(text.to_owned()));
    let good = basic("ada:pass:word").unwrap();
    assert!(!format!("{:?} {good:?}", at("http://p.example", &[], Some(good.clone()))).contains("YWRh"));
    assert!(basic("ada:").is_some(), "some proxies want no password");
    for wrong in ["", "ada", ":x", "ada:x\r\nevil: header", "a\tb:c"] {
        assert!(basic(wrong).is_none(), "{wrong:?}");
    }
}
