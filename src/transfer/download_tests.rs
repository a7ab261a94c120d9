//! Downloads against hosts that redirect, drop, lie and stall.

use std::sync::Mutex;

use proptest::prelude::*;

use super::{super::world_tests::*, *};
use crate::{
    auth::testing::{Act, Seen, Server, within},
    graph::GraphRequest,
};

const BODY: &[u8] = b"0123456789abcdefghij";

fn content() -> Content {
    Content::Graph(GraphRequest::get(&["me", "drive", "items", "1", "content"]))
}

impl World {
    async fn save(&self, what: &Content, most: u64) -> Result<Saved, TransferError> {
        within(self.transfer.save(&self.context(), what, "new.bin", most, &|_, _| ())).await
    }

    async fn failed(&self, what: &Content, most: u64) -> Cause {
        let cause = self.save(what, most).await.unwrap_err().cause;
        assert_eq!(self.names(), Vec::<String>::new(), "something was left behind");
        cause
    }

    fn content(&self) -> Vec<u8> {
        assert_eq!(self.names(), ["new.bin"]);
        std::fs::read(self.home.path().join("new.bin")).unwrap()
    }
}

fn whole() -> Act {
    Act::Reply(200, vec![("etag", "\"v1\"".into()), ("content-type", "Image/PNG; x=y".into())], BODY.to_vec())
}

/// All bytes from what the request asks for; of `BODY`, as version `tag`.
fn ranged(seen: &Seen, body: &[u8], tag: &str) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
    let mut headers = vec![("etag", tag.to_owned())];
    let from =
        seen.header("range").strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).map(|from| from.parse::<usize>().unwrap());
    match from {
        Some(from) if ["", tag].contains(&seen.header("if-range")) && from < body.len() => {
            headers.push(("content-range", format!("bytes {from}-{}/{}", body.len() - 1, body.len())));
            (206, headers, body[from..].to_vec())
        }
        _ => (200, headers, body.to_vec()),
    }
}

/// The same, cut after `most` bytes.
fn cut(seen: &Seen, body: &[u8], tag: &str, most: usize) -> Act {
    let (status, headers, mut bytes) = ranged(seen, body, tag);
    let missing = bytes.len().saturating_sub(most);
    bytes.truncate(most);
    if missing > 0 { Act::Cut(status, headers, bytes, missing) } else { Act::Reply(status, headers, bytes) }
}

#[tokio::test]
async fn a_file_comes_from_where_graph_leads() {
    let world = World::leading(|_, _| whole()).await;
    let seen = Mutex::new(Vec::new());
    let progress = |done, of| seen.lock().unwrap().push((done, of));
    let saved = within(world.transfer.save(&world.context(), &content(), "new.bin", 99, &progress)).await.unwrap();
    assert_eq!((saved.size, saved.content_type.as_str()), (20, "image/png"));
    assert_eq!((saved.path, world.content()), (world.home.path().join("new.bin"), BODY.to_vec()));
    assert_eq!(seen.lock().unwrap().last(), Some(&(20, Some(20))));
    assert_eq!(world.files.seen()[0].header("accept-encoding"), "identity");
}

#[tokio::test]
async fn an_attachment_comes_from_graph_itself() {
    let world = World::new(|_, _, _| whole(), |_, _| Act::Hangup).await;
    let what = Content::Graph(GraphRequest::get(&["me", "messages", "1", "attachments", "2", "$value"]));
    world.save(&what, 99).await.unwrap();
    assert_eq!((world.content(), world.files.count()), (BODY.to_vec(), 0));
}

#[tokio::test]
async fn what_graph_itself_drops_is_asked_for_again() {
    let world = World::new(|number, seen, _| cut(&seen, BODY, "\"v1\"", if number == 0 { 7 } else { 99 }), |_, _| Act::Hangup).await;
    let what = Content::Graph(GraphRequest::get(&["me", "messages", "1", "$value"]));
    world.save(&what, 99).await.unwrap();
    assert_eq!(world.content(), BODY);
    assert_eq!(world.graph.seen()[1].header("range"), "bytes=7-");
}

#[tokio::test]
async fn an_address_is_asked_without_graph() {
    let world = World::leading(|_, _| whole()).await;
    let address = format!("{}file?tempauth=rights", world.files.root);
    world.save(&Content::Address(address), 99).await.unwrap();
    assert_eq!((world.content(), world.graph.count()), (BODY.to_vec(), 0));
}

#[tokio::test]
async fn a_dropped_download_goes_on_where_it_was() {
    for at in [1, 7, 19] {
        let world = World::leading(move |number, seen| cut(&seen, BODY, "\"v1\"", if number == 0 { at } else { 99 })).await;
        world.save(&content(), 99).await.unwrap();
        assert_eq!(world.content(), BODY);
        assert_eq!(world.asked(), ["GET".to_owned(), format!("GET bytes={at}-")]);
        assert_eq!(world.files.seen()[1].header("if-range"), "\"v1\"");
    }
}

#[tokio::test]
async fn a_host_that_ignores_ranges_is_heard_from_the_start() {
    let world = World::leading(|number, _| match number {
        0 => Act::Cut(200, Vec::new(), BODY[..5].to_vec(), 15),
        _ => Act::Reply(200, Vec::new(), BODY.to_vec()),
    })
    .await;
    world.save(&content(), 99).await.unwrap();
    assert_eq!(world.content(), BODY);
}

/// Two versions are never mixed: by the tag where there is one, by the size where there is none.
#[tokio::test]
async fn content_that_changed_meanwhile_is_fetched_anew() {
    let tagged = World::leading(|number, seen| match number {
        0 => cut(&seen, BODY, "\"v1\"", 5),
        _ => cut(&seen, b"completely different", "\"v2\"", 99),
    })
    .await;
    tagged.save(&content(), 99).await.unwrap();
    assert_eq!(tagged.content(), b"completely different");
    // A host that pays no heed to `If-Range`, and one that has no tags.
    for headers in
        [vec![("etag", "\"v2\"".to_owned()), ("content-range", "bytes 5-19/20".into())], vec![("content-range", "bytes 5-19/25".into())]]
    {
        let careless = World::leading(move |number, seen| match number {
            0 => cut(&seen, BODY, "\"v1\"", 5),
            _ if seen.header("range").is_empty() => Act::Reply(200, Vec::new(), b"completely different".to_vec()),
            _ => Act::Reply(206, headers.clone(), b"etely different".to_vec()),
        })
        .await;
        careless.save(&content(), 99).await.unwrap();
        assert_eq!(careless.content(), b"completely different");
    }
    let bare = World::leading(|number, seen| match number {
        0 => Act::Cut(200, Vec::new(), BODY[..5].to_vec(), 15),
        _ if seen.header("range").is_empty() => Act::Reply(200, Vec::new(), b"shorter".to_vec()),
        _ => Act::Reply(206, vec![("content-range", "bytes 5-6/7".into())], b"er".to_vec()),
    })
    .await;
    bare.save(&content(), 99).await.unwrap();
    assert_eq!(bare.content(), b"shorter");
}

#[tokio::test]
async fn a_range_that_was_not_asked_for_is_not_used() {
    let world = World::leading(|number, seen| match number {
        0 => Act::Cut(200, Vec::new(), BODY[..5].to_vec(), 15),
        _ if seen.header("range").is_empty() => Act::Reply(200, Vec::new(), BODY.to_vec()),
        1 => Act::Reply(206, vec![("content-range", "bytes 3-19/20".into())], BODY[3..].to_vec()),
        _ => Act::Reply(416, Vec::new(), Vec::new()),
    })
    .await;
    world.save(&content(), 99).await.unwrap();
    assert_eq!(world.content(), BODY);
}

#[tokio::test]
async fn redirects_lead_to_allowed_hosts_only() {
    let foreign = Server::start(|_, _| std::future::ready(whole())).await;
    for to in [
        foreign.root.to_string(),
        "http://contoso.sharepoint.com/x".into(),
        "https://evil.example/x".into(),
        "file:///etc/passwd".into(),
        "data:text/plain,x".into(),
    ] {
        let there = to.clone();
        let world = World::leading(move |_, _| Act::Reply(302, vec![("location", there.clone())], Vec::new())).await;
        assert!(matches!(world.failed(&content(), 99).await, Cause::ForeignHost), "{to}");
        let there = to.clone();
        let world = World::new(move |_, _, _| Act::Reply(302, vec![("location", there.clone())], Vec::new()), |_, _| whole()).await;
        assert!(matches!(world.failed(&content(), 99).await, Cause::ForeignHost), "{to}");
        assert!(matches!(world.failed(&Content::Address(to), 99).await, Cause::ForeignHost));
    }
    let world =
        World::leading(|_, seen| Act::Reply(302, vec![("location", format!("http://me:pw@{}/", seen.header("host")))], Vec::new())).await;
    assert!(matches!(world.failed(&content(), 99).await, Cause::ForeignHost));
    assert_eq!((foreign.count(), world.files.count()), (0, 1));
}

#[tokio::test]
async fn three_redirects_are_followed_and_no_more() {
    let on = |number: usize| Act::Reply(307, vec![("location", format!("/hop{number}"))], Vec::new());
    let world = World::leading(move |number, _| if number < 3 { on(number) } else { whole() }).await;
    world.save(&content(), 99).await.unwrap();
    let world = World::leading(move |number, _| on(number)).await;
    assert!(matches!(world.failed(&content(), 99).await, Cause::Redirects));
    assert_eq!(world.files.count(), 4);
}

#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let world = World::leading(|_, _| whole()).await;
    assert!(matches!(world.failed(&content(), 19).await, Cause::TooLarge(19)), "announced");
    let world = World::leading(|number, _| match number {
        0 => Act::Cut(200, Vec::new(), BODY[..5].to_vec(), 5),
        _ => Act::Reply(206, vec![("content-range", "bytes 5-9/*".into())], BODY.to_vec()),
    })
    .await;
    assert!(matches!(world.failed(&content(), 12).await, Cause::TooLarge(12)), "not announced");
}

#[tokio::test]
async fn more_than_announced_is_not_kept() {
    let world = World::leading(|number, _| match number {
        0 => Act::Cut(200, Vec::new(), BODY[..5].to_vec(), 5),
        _ => Act::Reply(206, vec![("content-range", "bytes 5-9/10".into())], BODY.to_vec()),
    })
    .await;
    assert!(matches!(world.failed(&content(), 99).await, Cause::Size));
}

#[tokio::test]
async fn a_host_that_never_gets_further_is_given_up() {
    for act in [|| Act::Cut(200, Vec::new(), Vec::new(), 20), || Act::Hangup, || Act::Reply(503, Vec::new(), Vec::new())] {
        let world = World::leading(move |_, _| act()).await;
        let cause = world.failed(&content(), 99).await;
        assert!(matches!(cause, Cause::Broken(_) | Cause::Refused(503, _)), "{cause:?}");
        assert_eq!(world.files.count() as u32, super::super::TRIES);
    }
}

#[tokio::test]
async fn an_address_that_died_is_asked_of_graph_again() {
    let world = World::leading(|number, seen| match number {
        0 => cut(&seen, BODY, "\"v1\"", 5),
        1 => Act::Reply(403, Vec::new(), Vec::new()),
        _ => cut(&seen, BODY, "\"v1\"", 99),
    })
    .await;
    world.save(&content(), 99).await.unwrap();
    assert_eq!((world.content(), world.graph.count()), (BODY.to_vec(), 2));
    let world = World::leading(|_, _| Act::json(403, &serde_json::json!({"error": {"code": "accessDenied", "message": "secret"}}))).await;
    let cause = world.failed(&content(), 99).await;
    assert!(matches!(&cause, Cause::Refused(403, Some(code)) if code == "accessDenied"), "{cause:?}");
    assert_eq!(world.graph.count(), 4);
}

#[tokio::test]
async fn a_taken_name_is_seen_before_anything_is_fetched() {
    let world = World::leading(|_, _| whole()).await;
    std::fs::write(world.home.path().join("new.bin"), b"mine").unwrap();
    assert!(matches!(world.save(&content(), 99).await.unwrap_err().cause, Cause::Exists));
    assert_eq!((world.content(), world.graph.count(), world.files.count()), (b"mine".to_vec(), 0, 0));
}

#[tokio::test]
async fn a_download_that_is_dropped_leaves_nothing() {
    let files = Server::start(|_, _| std::future::pending()).await;
    let world = World::around(lead, files).await;
    let what = content();
    let context = world.context();
    {
        let save = world.transfer.save(&context, &what, "new.bin", 99, &|_, _| ());
        tokio::select! {
            _ = save => panic!("nobody answers"),
            () = world.files.arrived(1) => {}
        }
    }
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test]
async fn silence_and_slowness_end_a_download() {
    let mut world = World::around(lead, Server::start(|_, _| std::future::pending()).await).await;
    world.transfer.settings.idle = std::time::Duration::from_millis(20);
    assert!(matches!(world.failed(&content(), 99).await, Cause::Stalled(_)));
    world.transfer.settings = super::super::Settings { total: std::time::Duration::from_millis(20), ..Default::default() };
    assert!(matches!(world.failed(&content(), 99).await, Cause::Deadline(_)));
}

proptest! {
    #![proptest_config(crate::chance::cases(48))]

    /// However often the connection breaks, what is kept is what was sent.
    #[test]
    fn whatever_breaks_the_file_is_whole_or_absent(
        body in proptest::collection::vec(any::<u8>(), 1..400),
        cuts in proptest::collection::vec((0usize..5, 0usize..200), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (sent, script) = (body.clone(), cuts.clone());
            let world = World::leading(move |number, seen| match script.get(number) {
                None => cut(&seen, &sent, "\"v1\"", usize::MAX),
                Some((0, _)) => Act::Hangup,
                Some((1, _)) => Act::Reply(503, Vec::new(), Vec::new()),
                Some((2, at)) => Act::Cut(200, vec![("etag", "\"v1\"".into())], sent[..*at.min(&sent.len())].to_vec(), sent.len() - at.min(&sent.len()) + 1),
                Some((_, at)) => cut(&seen, &sent, "\"v1\"", *at),
            }).await;
            match world.save(&content(), 1 << 20).await {
                Ok(saved) => {
                    prop_assert_eq!(saved.size, body.len() as u64);
                    prop_assert_eq!(world.content(), body.clone());
                }
                Err(_) => prop_assert_eq!(world.names(), Vec::<String>::new()),
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_content_range_makes_it_panic(header: String) {
        let _ = content_range(Some(&header));
        let _ = content_range(Some(&format!("bytes {header}")));
    }
}
