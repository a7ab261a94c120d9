//! The ports: connections, TLS with ALPN, downloads, the control port, the profile, the end.

use reqwest::{Certificate, Client, StatusCode, Version};
use serde_json::{Value, json};

use crate::testing::{ALEX, World, provider};
use crate::{Options, Stats, Tenant, Waited, csdl, profile};

#[tokio::test]
async fn connections_are_kept_and_counted() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    for _ in 0..5 {
        assert_eq!(world.get("/me", &bearer).await.status(), StatusCode::OK);
    }
    assert_eq!(world.control().stats().connections["graph"], 1);
    let fresh = Client::builder().no_proxy().build().unwrap();
    fresh.get(world.graph("/me")).bearer_auth(&bearer).send().await.unwrap();
    assert_eq!(world.control().stats().connections["graph"], 2);
}

#[tokio::test]
async fn tls_speaks_h2_to_who_trusts_the_ca() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    let at = world.tenant.addresses().clone();
    let ca = Certificate::from_pem(world.tenant.ca_pem().as_bytes()).unwrap();
    let trusting = Client::builder().no_proxy().tls_certs_only([ca.clone()]).build().unwrap();
    for url in [at.graph_tls.clone(), at.graph_tls.replace("127.0.0.1", "localhost")] {
        let answer = trusting.get(format!("{url}/v1.0/me")).bearer_auth(&bearer).send().await.unwrap();
        assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    }
    let old = Client::builder().no_proxy().tls_certs_only([ca]).http1_only().build().unwrap();
    let answer = old.get(format!("{}/v1.0/me", at.graph_tls)).bearer_auth(&bearer).send().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_11);
    let document = format!("{}/common/v2.0/.well-known/openid-configuration", at.identity_tls);
    let document: Value = trusting.get(document).send().await.unwrap().json().await.unwrap();
    assert!(document["token_endpoint"].as_str().unwrap().starts_with(&at.identity_tls));
    let none: [Certificate; 0] = [];
    let stranger = Client::builder().no_proxy().tls_certs_only(none).build().unwrap();
    assert!(stranger.get(format!("{}/v1.0/me", at.graph_tls)).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn plain_ports_do_not_speak_h2() {
    let world = World::new().await;
    let h2 = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    assert!(h2.get(world.graph("/me")).send().await.is_err());
}

#[tokio::test]
async fn a_bearer_on_the_download_port_is_seen() {
    let world = World::new().await;
    let nowhere = format!("{}/nowhere", world.tenant.addresses().downloads);
    assert_eq!(world.http.get(&nowhere).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(world.control().stats().bearer_on_downloads, 0);
    let answer = world.http.get(&nowhere).bearer_auth("secret").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let stats = world.control().stats();
    assert_eq!((stats.downloads, stats.bearer_on_downloads), (2, 1));
}

#[tokio::test]
async fn pieces_go_to_the_download_port_without_a_bearer() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    let post = async |path: &str, body: Value| {
        world.http.post(world.graph(path)).bearer_auth(&bearer).json(&body).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let draft = post("/me/messages", json!({"subject": "big"})).await;
    let id = draft["id"].as_str().unwrap().replace('=', "%3D").replace('/', "%2F");
    let item = json!({"AttachmentItem": {"attachmentType": "file", "name": "b", "size": 4_000_000}});
    let session = post(&format!("/me/messages/{id}/attachments/createUploadSession"), item).await;
    let address = session["uploadUrl"].as_str().unwrap();
    assert!(address.starts_with(&world.tenant.addresses().downloads), "{address}");
    let put = |range: &str, length: usize| world.http.put(address).header("content-range", range).body(vec![7_u8; length]);
    let refused = put("bytes 0-1999999/4000000", 2_000_000).bearer_auth(&bearer).send().await.unwrap();
    assert_eq!((refused.status(), world.control().stats().bearer_on_downloads), (StatusCode::UNAUTHORIZED, 1));
    assert_eq!(put("bytes 0-1999999/4000000", 2_000_000).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(put("bytes 2000000-3999999/4000000", 2_000_000).send().await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(world.http.put(&world.tenant.addresses().downloads).send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn files_go_up_whole_up_to_250_mb_and_come_down_in_ranges() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let world = World::new().await;
    let scope = "openid Files.ReadWrite.All Calendars.Read";
    let back = world.authorize("organizations", &[("login_hint", ALEX), ("scope", scope)]).await;
    let (_, tokens) = world.redeem("organizations", &back["code"], crate::testing::VERIFIER).await;
    let bearer = tokens["access_token"].as_str().unwrap();
    let put = world.http.put(world.graph("/me/drive/root:/five.bin:/content")).bearer_auth(bearer);
    assert_eq!(put.body(vec![5_u8; 5 << 20]).send().await.unwrap().status(), StatusCode::CREATED);
    let mut socket = tokio::net::TcpStream::connect(world.tenant.addresses().graph.trim_start_matches("http://")).await.unwrap();
    let length = (250 << 20) + 1;
    let head = format!(
        "PUT /v1.0/me/drive/root:/x.bin:/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 64];
    let read = socket.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 413"));

    let image: Value = world.get("/me/drive/root:/Documents/backup%20image.vhd", bearer).await.json().await.unwrap();
    let address = image["@microsoft.graph.downloadUrl"].as_str().unwrap();
    let get = |range: &str| world.http.get(address).header("range", range).send();
    let part = get("bytes=313524224-313524235").await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], "bytes 313524224-313524235/314572800");
    assert_eq!(&part.bytes().await.unwrap()[..], [0, 0, 0, 0, 0, 0, 1, 43, 0, 0, 0, 0], "the number of block 299");
    assert_eq!(get("bytes=314572800-").await.unwrap().status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let head = world.http.head(world.graph("/me/drive/root")).bearer_auth(bearer).send().await.unwrap();
    assert_eq!((head.status(), head.bytes().await.unwrap().len()), (StatusCode::OK, 0));

    // Copies are watched without a token, and a token there is refused.
    let file: Value = world.get("/me/drive/root:/five.bin", bearer).await.json().await.unwrap();
    let copy = world.http.post(world.graph(&format!("/me/drive/items/{}/copy", file["id"].as_str().unwrap()))).bearer_auth(bearer);
    let reply = copy.json(&json!({"name": "six.bin"})).send().await.unwrap();
    let monitor = reply.headers()["location"].to_str().unwrap().to_owned();
    assert!(monitor.starts_with(&world.tenant.addresses().downloads));
    let ask = || world.http.get(&monitor);
    assert_eq!(ask().bearer_auth(bearer).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let mut said = Vec::new();
    for _ in 0..3 {
        let reply = ask().send().await.unwrap();
        said.push((reply.status().as_u16(), reply.json::<Value>().await.unwrap()["status"].as_str().unwrap().to_owned()));
    }
    let running = || (202, "inProgress".to_owned());
    assert_eq!(said, [running(), running(), (200, "completed".to_owned())]);

    // Asking when people are free is reading.
    let time = |at: &str| json!({"dateTime": at, "timeZone": "UTC"});
    let question = json!({"schedules": [ALEX], "startTime": time("2026-12-01T00:00:00"), "endTime": time("2026-12-02T00:00:00")});
    let asked = world.http.post(world.graph("/me/calendar/getSchedule")).bearer_auth(bearer).json(&question).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    let event = world.http.post(world.graph("/me/events")).bearer_auth(bearer).json(&json!({"subject": "x"})).send().await.unwrap();
    assert_eq!(event.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_control_port_says_what_the_handle_says() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    let get = async |path: &str| {
        let url = format!("{}{path}", world.tenant.addresses().control);
        let answer = world.http.get(url).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    world.get("/me", &bearer).await;
    let stats: Stats = serde_json::from_value(get("/stats").await.1).unwrap();
    let mut expected = world.control().stats();
    expected.connections.clone_from(&stats.connections);
    assert_eq!(stats, expected);
    assert_eq!((stats.requests, stats.routes["GET /me"], stats.statuses[&200]), (1, 1, 1));
    for (verb, _) in crate::control::http::VERBS {
        assert!(get("/").await.1[verb].is_string(), "{verb}");
    }

    let (status, waited) = get("/wait?route=GET%20/me&count=1").await;
    assert_eq!(status, StatusCode::OK);
    let waited: Waited = serde_json::from_value(waited).unwrap();
    assert_eq!(waited, Waited { reached: true, count: 1, concurrent: 0 });
    assert_eq!(get("/wait?route=GET%20/me&count=2&timeout_ms=1").await.0, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(get("/wait?rout=x").await.0, StatusCode::BAD_REQUEST);

    let fault = json!({"route": "GET /me", "effect": {"kind": "hold", "at": "before"}});
    let (_, added) = world.post_control("/faults", &fault).await;
    let held = tokio::spawn(world.http.get(world.graph("/me")).bearer_auth(&bearer).send());
    assert_eq!(get("/wait?route=GET%20/me&concurrent=1").await.0, StatusCode::OK);
    assert_eq!(get("/faults").await.1[0]["struck"], 1);
    let (_, released) = world.post_control("/release", &json!({"id": added["id"]})).await;
    assert_eq!(released["removed"], 1);
    assert_eq!(held.await.unwrap().unwrap().status(), StatusCode::OK);

    let (_, clock) = world.post_control("/clock", &json!({"set": "2027-01-01T00:00:00Z", "freeze": true})).await;
    assert_eq!((clock["now"].as_str(), clock["frozen"].as_bool()), (Some("2027-01-01T00:00:00Z"), Some(true)));
    let (watched, forward) = (get("/clock?after=1"), json!({"advance_ms": 1000}));
    let (watched, _) = tokio::join!(watched, world.post_control("/clock", &forward));
    assert_eq!((watched.1["revision"].as_u64(), watched.1["now"].as_str()), (Some(2), Some("2027-01-01T00:00:01Z")));

    for (verb, body) in [
        ("/faults", json!({"effect": {"kind": "nonsense"}})),
        ("/throttle", json!({"limits": 3})),
        ("/auth", json!({"username": ALEX, "action": "fail_refresh"})),
        ("/auth", json!({"username": "nobody", "action": "revoke"})),
        ("/device", json!({"user_code": "NOPE", "username": ALEX, "action": "approve"})),
    ] {
        assert_eq!(world.post_control(verb, &body).await.0, StatusCode::BAD_REQUEST, "{verb} {body}");
    }
    assert_eq!(world.post_control("/nonsense", &json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(world.post_control("/stats/reset", &json!({})).await.0, StatusCode::OK);
    assert_eq!(world.control().stats().requests, 0);
}

#[tokio::test]
async fn answers_are_held_to_the_declarations_where_that_was_asked_for() {
    let world = World::new().await;
    let bearer = world.bearer().await;
    assert_eq!(world.control().csdl().unwrap().checked, 0);
    world.get("/me/messages?$top=2", &bearer).await;
    world.get("/me/messages/nonsense", &bearer).await;
    let url = format!("{}/csdl", world.tenant.addresses().control);
    let told: csdl::Report = world.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(told, world.control().csdl().unwrap());
    assert_eq!((told.responses, told.unknown, told.routes["GET /me/messages"]), (2, 0, 1));
    assert!(told.checked > 40, "{told:?}");

    let without = World::with(Options { check_csdl: false, ..Options::default() }).await;
    assert!(without.control().csdl().is_err());
}

#[tokio::test]
async fn it_ends_when_told_and_when_dropped() {
    let mut world = World::new().await;
    let at = world.tenant.addresses().clone();
    assert_eq!(world.post_control("/stop", &json!({})).await.0, StatusCode::OK);
    world.tenant.stopped().await;
    assert!(world.http.get(&at.graph).send().await.unwrap_err().is_connect());

    provider();
    let tenant = Tenant::start(Options::default()).await.unwrap();
    let (at, control) = (tenant.addresses().clone(), tenant.control().clone());
    drop(tenant);
    let gone = async { while world.http.get(&at.graph).send().await.is_ok() {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
    assert_eq!(control.stats().requests, 0, "a handle outlives the ports");
}

#[tokio::test]
async fn a_profile_is_written_over_only_when_it_is_a_demo() {
    let tenant = Tenant::start(Options::default()).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("demo");
    for tls in [false, true] {
        let ca = profile::write(&dir, &tenant, tls).unwrap();
        assert_eq!(std::fs::read_to_string(ca).unwrap(), tenant.ca_pem());
        let config = std::fs::read_to_string(dir.join("config.toml")).unwrap();
        let graph = if tls { &tenant.addresses().graph_tls } else { &tenant.addresses().graph };
        assert!(config.starts_with("demo = true\n") && config.contains(&format!("graph = \"{graph}\"\n")), "{config}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
    std::fs::write(dir.join("config.toml"), "client_id = \"mine\"\n").unwrap();
    assert!(profile::write(&dir, &tenant, false).unwrap_err().to_string().contains("not a demo profile"));
}
