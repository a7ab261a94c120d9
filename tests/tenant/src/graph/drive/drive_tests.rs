//! What OneDrive is known to do with copies, uploads, links and long names, asked of ours.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::graph::csdl::Csdl;
use crate::graph::testing::{DOWNLOADS, Tenant, path, rows, text};

const PIECE: usize = 320 << 10;

fn url(item: &Value) -> String {
    format!("/me/drive/items/{}", text(item, "id"))
}

fn put(tenant: &Tenant, at: &str, bytes: &'static [u8]) -> Value {
    let reply = tenant.raw("PUT", at, &[], Bytes::from_static(bytes));
    assert!(reply.status.is_success(), "{at}: {}", String::from_utf8_lossy(&reply.body));
    serde_json::from_slice(&reply.body).unwrap()
}

fn monitor_of(tenant: &Tenant, item: &Value, query: &str, body: Value) -> String {
    let reply = tenant.raw("POST", &format!("{}/copy{query}", url(item)), &[], Bytes::from(body.to_string()));
    assert_eq!(reply.status.as_u16(), 202, "{}", String::from_utf8_lossy(&reply.body));
    reply.headers["location"].to_str().unwrap().strip_prefix(DOWNLOADS).unwrap().to_owned()
}

/// Asks the monitor until it has ended; how often it said that the copy is still being made, and its last word.
fn watch(tenant: &Tenant, monitor: &str) -> (usize, Value) {
    for running in 0..20 {
        let found = tenant.graph.download(monitor).unwrap();
        let said: Value = serde_json::from_slice(&found.content.bytes()).unwrap();
        if said["status"] != "inProgress" {
            assert_eq!(found.status.as_u16(), 200);
            return (running, said);
        }
        assert_eq!(found.status.as_u16(), 202);
        tenant.advance(5);
    }
    panic!("the copy never ended");
}

#[test]
fn a_copy_takes_its_time_and_its_monitor_says_how_it_ends() {
    let tenant = Tenant::small();
    let file = put(&tenant, "/me/drive/root:/Source/a.txt:/content", b"abc");
    let folder = tenant.get("/me/drive/root:/Source");
    let (running, said) = watch(&tenant, &monitor_of(&tenant, &folder, "", json!({"name": "Twin"})));
    assert_eq!((running, text(&said, "status")), (2, "completed"));
    let twin = tenant.get(&format!("/me/drive/items/{}", text(&said, "resourceId")));
    assert_eq!((text(&twin, "name"), &twin["folder"]["childCount"]), ("Twin", &json!(1)));
    let (_, said) = watch(&tenant, &monitor_of(&tenant, &folder, "", json!({"name": "twin"})));
    assert_eq!((text(&said, "status"), text(&said["error"], "code")), ("failed", "nameAlreadyExists"));
    let (_, said) = watch(&tenant, &monitor_of(&tenant, &folder, "?@microsoft.graph.conflictBehavior=rename", json!({"name": "Twin"})));
    assert_eq!(tenant.get(&format!("/me/drive/items/{}", text(&said, "resourceId")))["name"], "Twin 1");
    // With lag, nothing is there before it is over, by name or by id; a name taken meanwhile ends it.
    tenant.graph.set_lag(std::time::Duration::from_secs(30));
    let monitor = monitor_of(&tenant, &file, "", json!({"name": "late.txt"}));
    let other = monitor_of(&tenant, &file, "", json!({"name": "taken.txt"}));
    assert_eq!(tenant.refused("/me/drive/root:/Source/late.txt", 404), "itemNotFound");
    put(&tenant, "/me/drive/root:/Source/taken.txt:/content", b"first");
    let (running, said) = watch(&tenant, &monitor);
    assert!(running >= 5 && said["status"] == "completed", "{running} {said}");
    assert_eq!(tenant.get("/me/drive/root:/Source/late.txt")["id"], said["resourceId"]);
    assert_eq!(watch(&tenant, &other).1["error"]["code"], "nameAlreadyExists");
    assert_eq!(tenant.get("/me/drive/root:/Source?$expand=children")["folder"]["childCount"], 3);
    tenant.post(&format!("{}/copy", url(&folder)), json!({"parentReference": {"id": folder["id"]}}), 400);
    tenant.post(&format!("{}/copy", url(&folder)), json!({"parentReference": {"id": "nowhere"}}), 404);
    tenant.post(&format!("{}/copy", url(&folder)), json!({"nosuch": 1}), 400);
    assert!(tenant.graph.download("/monitor/nosuch").is_none());
}

/// Begins a session and gives its address.
fn begin(tenant: &Tenant, at: &str, body: Value) -> String {
    let session = tenant.post(&format!("{at}/createUploadSession"), body, 200);
    Csdl::load().object("uploadSession", &session, "session");
    assert_eq!(session["nextExpectedRanges"], json!(["0-"]));
    text(&session, "uploadUrl").strip_prefix(DOWNLOADS).unwrap().to_owned()
}

fn piece(tenant: &Tenant, address: &str, whole: &[u8], from: usize, to: usize) -> (u16, Value) {
    let range = format!("bytes {from}-{}/{}", to - 1, whole.len());
    let reply = tenant.upload("PUT", address, &[("content-range", &range)], Bytes::copy_from_slice(&whole[from..to]));
    (reply.status.as_u16(), serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
}

#[test]
fn a_file_comes_in_pieces_of_the_right_size_and_order() {
    let tenant = Tenant::small();
    let whole: Vec<u8> = (0..2 * PIECE + 77).map(|n| (n % 253) as u8).collect();
    let item = json!({"item": {"@microsoft.graph.conflictBehavior": "fail", "name": "film.bin", "fileSize": whole.len()}});
    let address = begin(&tenant, "/me/drive/root:/Documents/film.bin:", item.clone());
    assert_eq!(piece(&tenant, &address, &whole, 0, 1000).1["error"]["innerError"]["code"], "fragmentRowCountInvalid");
    let (status, said) = piece(&tenant, &address, &whole, 0, PIECE);
    assert_eq!((status, &said["nextExpectedRanges"]), (202, &json!([format!("{PIECE}-{}", whole.len() - 1)])));
    assert_eq!(piece(&tenant, &address, &whole, 0, PIECE).0, 416, "held already");
    assert_eq!(piece(&tenant, &address, &whole, 2 * PIECE, whole.len()).0, 416, "not its turn");
    let asked = tenant.upload("GET", &address, &[], Bytes::new());
    assert!(String::from_utf8_lossy(&asked.body).contains(&format!("{PIECE}-")));
    assert_eq!(tenant.refused("/me/drive/root:/Documents/film.bin", 404), "itemNotFound");
    assert_eq!(piece(&tenant, &address, &whole, PIECE, 2 * PIECE).0, 202);
    // The name is taken at the last moment; once it is free again, the last piece may come again.
    let other = put(&tenant, "/me/drive/root:/Documents/film.bin:/content", b"other");
    let (status, said) = piece(&tenant, &address, &whole, 2 * PIECE, whole.len());
    assert_eq!((status, text(&said["error"], "code")), (409, "nameAlreadyExists"));
    tenant.ask("DELETE", &url(&other), &[], Value::Null, 204);
    let (status, made) = piece(&tenant, &address, &whole, 2 * PIECE, whole.len());
    assert_eq!(status, 201);
    Csdl::load().object("driveItem", &made, "made");
    assert_eq!(tenant.download(text(&made, "@microsoft.graph.downloadUrl")).unwrap().1, whole);
    assert_eq!(piece(&tenant, &address, &whole, 0, PIECE).0, 404, "the session is over");
    // New bytes for a file by its id; a tag that is not its own refuses.
    let by_id = begin(&tenant, &url(&made), json!({}));
    let (status, after) = piece(&tenant, &by_id, b"short", 0, 5);
    assert_eq!((status, &after["id"], &after["size"]), (200, &made["id"], &json!(5)));
    let begin_with = format!("{}/createUploadSession", url(&made));
    tenant.ask("POST", &begin_with, &[("if-match", text(&made, "eTag"))], json!({}), 412);
    tenant.post("/me/drive/root:/Documents/film.bin:/createUploadSession", item, 409);
    tenant.post("/me/drive/root:/Documents:/createUploadSession", json!({}), 400);
    tenant.post("/me/drive/root:/Documents/a%3Ab.bin:/createUploadSession", json!({}), 400);
    // Given up, and forgotten.
    let given_up = begin(&tenant, "/me/drive/root:/Documents/x.bin:", json!({}));
    assert_eq!(tenant.upload("DELETE", &given_up, &[], Bytes::new()).status.as_u16(), 204);
    assert_eq!(piece(&tenant, &given_up, b"x", 0, 1).0, 404);
    let late = begin(&tenant, "/me/drive/root:/Documents/x.bin:", json!({}));
    tenant.advance(25 * 3_600);
    assert_eq!(piece(&tenant, &late, b"x", 0, 1).0, 404);
}

#[test]
fn uploads_rename_and_replace_when_they_are_told_to() {
    let tenant = Tenant::small();
    let first = put(&tenant, "/me/drive/root:/Documents/n.txt:/content", b"one");
    let with = |behaviour: &str| json!({"item": {"@microsoft.graph.conflictBehavior": behaviour}});
    let address = begin(&tenant, "/me/drive/root:/Documents/n.txt:", with("rename"));
    let (status, renamed) = piece(&tenant, &address, b"two", 0, 3);
    assert_eq!((status, text(&renamed, "name")), (201, "n 1.txt"));
    let address = begin(&tenant, "/me/drive/root:/Documents/n.txt:", with("replace"));
    let (status, replaced) = piece(&tenant, &address, b"three", 0, 5);
    assert_eq!((status, &replaced["id"], &replaced["size"]), (200, &first["id"], &json!(5)));
    let reply =
        tenant.raw("PUT", "/me/drive/root:/Documents/n.txt:/content?@microsoft.graph.conflictBehavior=fail", &[], Bytes::from_static(b"x"));
    assert_eq!(reply.status.as_u16(), 409);
}

#[test]
fn links_are_made_found_listed_and_removed() {
    let mut tenant = Tenant::small();
    let csdl = Csdl::load();
    let file = put(&tenant, "/me/drive/root:/Shared/s.txt:/content", b"abc");
    let link = |body: Value, status: u16| tenant.post(&format!("{}/createLink", url(&file)), body, status);
    let usual = link(json!({"type": "view"}), 201);
    csdl.object("permission", &usual, "link");
    assert_eq!((text(&usual["link"], "scope"), &usual["roles"]), ("organization", &json!(["read"])));
    assert_eq!(link(json!({"type": "view", "scope": "organization"}), 200)["id"], usual["id"], "the same wish, the same link");
    let edit = link(json!({"type": "edit", "scope": "anonymous", "expirationDateTime": "2027-01-01T00:00:00Z", "password": "p"}), 201);
    assert_eq!((&edit["roles"], &edit["hasPassword"]), (&json!(["write"]), &json!(true)));
    link(json!({"type": "edit", "scope": "users"}), 201);
    for bad in [
        json!({"type": "own"}),
        json!({"type": "view", "scope": "world"}),
        json!({"type": "embed"}),
        json!({"expirationDateTime": "2020-01-01T00:00:00Z"}),
        json!({"nosuch": 1}),
    ] {
        link(bad, 400);
    }
    tenant.apply(json!({"verb": "sharing_policy", "anonymous": false}));
    let refused = link(json!({"type": "view", "scope": "anonymous"}), 403);
    assert_eq!((text(&refused["error"], "code"), text(&refused["error"]["innerError"], "code")), ("accessDenied", "sharingDisabled"));
    let guests =
        json!({"recipients": [{"email": "bea@contoso.example"}, {"email": "x@y.example"}], "roles": ["write"], "requireSignIn": true});
    csdl.list("permission", &tenant.post(&format!("{}/invite", url(&file)), guests, 200), "invited");
    tenant.post(&format!("{}/invite", url(&file)), json!({"recipients": [], "roles": ["write"]}), 400);
    let all = tenant.get(&format!("{}/permissions", url(&file)));
    assert_eq!(csdl.list("permission", &all, "permissions"), 6);
    assert_eq!(all["value"][0]["roles"], json!(["owner"]));
    assert_eq!(tenant.get(&url(&file))["shared"]["scope"], "anonymous");
    let one = format!("{}/permissions/{}", url(&file), text(&edit, "id"));
    csdl.object("permission", &tenant.get(&one), "one");
    tenant.ask("DELETE", &one, &[], Value::Null, 204);
    tenant.ask("DELETE", &one, &[], Value::Null, 404);
    assert_eq!(tenant.get(&url(&file))["shared"]["scope"], "organization");
    // What is shared above is inherited, and cannot be removed below.
    let folder = tenant.get("/me/drive/root:/Shared");
    let above = tenant.apply(json!({"verb": "share_item", "id": folder["id"], "type": "edit"}));
    let inherited = rows(&tenant.get(&format!("{}/permissions", url(&file)))).into_iter().find(|p| p["id"] == above["permission"]).unwrap();
    assert_eq!(inherited["inheritedFrom"]["id"], folder["id"]);
    tenant.ask("DELETE", &format!("{}/permissions/{}", url(&file), text(&above, "permission")), &[], Value::Null, 404);
    let dumped = tenant.graph.dump(Some("alex@contoso.example"), Some("driveItems")).to_string();
    assert!(dumped.contains(text(&usual["link"], "webUrl")));
    tenant.user = 2;
    let own = put(&tenant, "/me/drive/root:/p.txt:/content", b"abc");
    let link = |body: Value, status: u16| tenant.post(&format!("{}/createLink", url(&own)), body, status);
    assert_eq!(link(json!({"type": "view"}), 201)["link"]["scope"], "anonymous");
    assert!(text(&link(json!({"type": "embed"}), 201)["link"], "webHtml").starts_with("<iframe"));
    link(json!({"type": "view", "scope": "organization"}), 400);
}

#[test]
fn the_sparse_file_and_the_deep_one_are_as_promised() {
    let tenant = Tenant::small();
    let image = tenant.get("/me/drive/root:/Documents/backup%20image.vhd");
    assert_eq!(image["size"], 300 << 20);
    assert!(image["size"].as_u64() > Some(250 << 20) && image["file"]["hashes"]["quickXorHash"].is_string());
    let address = text(&image, "@microsoft.graph.downloadUrl").strip_prefix(DOWNLOADS).unwrap();
    let found = tenant.graph.download(address).unwrap();
    assert_eq!(&found.content.slice((299 << 20) + 6, (299 << 20) + 9)[..], [1, 43, 0], "block 299");
    let mut at = "/me/drive/root:/Documents".to_owned();
    for level in 1..=4 {
        let inside = rows(&tenant.get(&format!("{at}:/children?$top=500")));
        let next = inside.iter().find(|item| text(item, "name").starts_with(&format!("Level {level} "))).unwrap();
        at = format!("{at}/{}", path(text(next, "name")));
    }
    let leaf = rows(&tenant.get(&format!("{at}:/children"))).remove(0);
    let whole = percent_encoding::percent_decode_str(&at).decode_utf8().unwrap().split_once("root:").unwrap().1.to_owned();
    assert_eq!(whole.chars().count() + 1 + text(&leaf, "name").chars().count(), 400);
    let longer = tenant.ask("PATCH", &url(&leaf), &[], json!({"name": format!("x{}", text(&leaf, "name"))}), 400);
    assert_eq!(longer["error"]["innerError"]["code"], "pathIsTooLong");
    let reply = tenant.raw("PUT", &format!("{at}/{}:/content", "y".repeat(60)), &[], Bytes::from_static(b"x"));
    assert_eq!(reply.status.as_u16(), 400);
}

#[test]
fn files_and_events_are_searched() {
    let mut tenant = Tenant::small();
    let csdl = Csdl::load();
    tenant.graph.set_lag(std::time::Duration::from_secs(60));
    put(&tenant, "/me/drive/root:/Heron%20plans.txt:/content", b"abc");
    tenant.post("/me/events", json!({"subject": "Heron watch", "start": {"dateTime": "2026-12-01T10:00:00", "timeZone": "UTC"}, "end": {"dateTime": "2026-12-01T11:00:00", "timeZone": "UTC"}}), 201);
    let query = |tenant: &Tenant, kind: &str, words: &str, size: u64, status: u16| {
        tenant.post(
            "/search/query",
            json!({"requests": [{"entityTypes": [kind], "query": {"queryString": words}, "from": 0, "size": size}]}),
            status,
        )
    };
    let hits = |answer: &Value| answer["value"][0]["hitsContainers"][0]["hits"].as_array().unwrap().clone();
    for kind in ["event", "driveItem"] {
        assert!(hits(&query(&tenant, kind, "heron", 25, 200)).is_empty(), "{kind}: not before the lag is over");
    }
    assert!(rows(&tenant.get("/me/drive/root/search(q='heron')")).is_empty());
    tenant.advance(60);
    let answer = query(&tenant, "event", "heron", 25, 200);
    csdl.list("searchResponse", &answer, "events");
    let hit = hits(&answer).remove(0);
    csdl.object("event", &hit["resource"], "event hit");
    assert_eq!(tenant.get(&format!("/me/events/{}", path(text(&hit, "hitId"))))["subject"], "Heron watch");
    let answer = query(&tenant, "driveItem", "heron filetype:txt", 500, 200);
    csdl.list("searchResponse", &answer, "files");
    let hit = hits(&answer).remove(0);
    csdl.object("driveItem", &hit["resource"], "file hit");
    assert_eq!(tenant.get(&format!("/me/drive/items/{}", text(&hit, "hitId")))["name"], "Heron plans.txt");
    assert!(text(&hit, "summary").contains("<c0>Heron</c0>"));
    let (first, all) = (query(&tenant, "event", "weekly", 1, 200), query(&tenant, "event", "weekly", 25, 200));
    assert_eq!(first["value"][0]["hitsContainers"][0]["moreResultsAvailable"], hits(&all).len() > 1);
    query(&tenant, "event", "x", 26, 400);
    assert_eq!(rows(&tenant.get("/me/drive/root/search(q='heron')")).len(), 1);
    assert_eq!(rows(&tenant.get("/me/drive/search(q='heron')")).len(), 1);
    tenant.user = 2;
    query(&tenant, "driveItem", "heron", 25, 400);
}

#[test]
fn others_write_into_files() {
    let tenant = Tenant::small();
    let file = put(&tenant, "/me/drive/root:/w.txt:/content", b"abc");
    tenant.apply(json!({"verb": "write_file", "id": file["id"], "content": "other words"}));
    let after = tenant.get(&url(&file));
    assert!(after["size"] == 11 && after["cTag"] != file["cTag"] && after["eTag"] != file["eTag"]);
    let folder = tenant.get("/me/drive/root:/Documents");
    let error = tenant.graph.apply(&json!({"verb": "write_file", "id": folder["id"], "content": "x"})).unwrap_err();
    assert!(error.contains("folder"), "{error}");
    let drives = format!("/me/drives/{}", tenant.graph.users()[0].drive_id);
    assert_eq!(tenant.get(&format!("{drives}/items/{}", text(&file, "id")))["id"], file["id"]);
    assert_eq!(tenant.get(&drives)["id"], tenant.get("/me/drive")["id"]);
}
