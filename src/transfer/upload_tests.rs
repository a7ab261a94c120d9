//! Uploads through a session that drops, forgets and refuses.

use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::json;

use super::{super::world_tests::*, *};
use crate::{
    auth::testing::{Act, Seen, Server, within},
    graph::Conflict,
    hint::Hint,
};

const BODY: &[u8] = b"0123456789abcdefghijABCDE";

/// What a piece meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    /// The connection ends before the piece was taken.
    Lost,
    /// It ends after the piece was taken.
    Unanswered,
    /// It was taken, and the host says 500.
    Failed,
    /// 429, not taken.
    Throttled,
    /// The session has gone.
    Expired,
}

/// The host's session, as Microsoft describes it.
#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    size: Option<usize>,
    /// The item is made; the session is gone.
    made: usize,
    deleted: usize,
}

impl Held {
    fn answer(&mut self, seen: &Seen, fate: Fate) -> Act {
        match seen.method.as_str() {
            "GET" if self.size.is_some() => Act::json(200, &json!({"nextExpectedRanges": [format!("{}-", self.bytes.len())]})),
            "DELETE" => {
                self.deleted += 1;
                Act::Reply(204, Vec::new(), Vec::new())
            }
            "PUT" => self.put(seen, fate),
            _ => Act::Reply(404, Vec::new(), Vec::new()),
        }
    }

    fn put(&mut self, seen: &Seen, fate: Fate) -> Act {
        match fate {
            Fate::Lost => return Act::Hangup,
            Fate::Throttled => return Act::Reply(429, vec![("retry-after", "0".into())], Vec::new()),
            Fate::Expired => {
                (self.bytes, self.size) = (Vec::new(), None);
                return Act::Reply(404, Vec::new(), Vec::new());
            }
            _ => {}
        }
        let (range, size) = seen.header("content-range").strip_prefix("bytes ").unwrap().split_once('/').unwrap();
        let (from, to) = range.split_once('-').unwrap();
        let (from, to, size): (usize, usize, usize) = (from.parse().unwrap(), to.parse().unwrap(), size.parse().unwrap());
        assert_eq!((to - from + 1, seen.header("transfer-encoding")), (seen.body.len(), ""), "the length is said beforehand");
        self.size = Some(size);
        if from != self.bytes.len() {
            return Act::Reply(416, Vec::new(), Vec::new());
        }
        self.bytes.extend(&seen.body);
        let done = self.bytes.len() == size;
        if done {
            self.made += 1;
            self.size = None;
        }
        match fate {
            Fate::Unanswered => Act::Hangup,
            Fate::Failed => Act::Reply(500, Vec::new(), Vec::new()),
            _ if done => Act::json(201, &json!({"id": "new"})),
            _ => Act::json(202, &json!({"nextExpectedRanges": [format!("{}-", self.bytes.len())]})),
        }
    }
}

struct Uploading {
    world: World,
    held: Arc<Mutex<Held>>,
}

impl Uploading {
    /// Each PUT meets the next of `fates`, and then none.
    async fn new(body: &[u8], fates: &[Fate]) -> Self {
        let held = Arc::new(Mutex::new(Held::default()));
        let (shared, fates, puts) = (held.clone(), fates.to_vec(), std::sync::atomic::AtomicUsize::new(0));
        let world = World::leading(move |_, seen| {
            let fate = match seen.method.as_str() {
                "PUT" => fates.get(puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst)).copied().unwrap_or(Fate::Fine),
                _ => Fate::Fine,
            };
            let mut held = shared.lock().unwrap();
            if seen.method == "PUT" && seen.header("content-range").starts_with("bytes 0-") && held.size.is_none() {
                held.bytes.clear();
            }
            held.answer(&seen, fate)
        })
        .await;
        std::fs::write(world.home.path().join("file"), body).unwrap();
        Self { world, held }
    }

    async fn run(&self) -> Result<GraphReply, TransferError> {
        self.world.send("file", &large()).await
    }

    fn made(&self) -> (usize, usize, Vec<u8>) {
        let held = self.held.lock().unwrap();
        (held.made, held.deleted, held.bytes.clone())
    }

    /// What was asked after the pieces that went well.
    fn tail(&self, from: usize) -> Vec<String> {
        self.world.asked()[from..].to_vec()
    }
}

impl World {
    async fn send(&self, path: &str, to: &Upload) -> Result<GraphReply, TransferError> {
        let file = self.transfer.open_local(path, 1 << 30).await.unwrap();
        within(self.transfer.upload(&self.context(), to, &file, &|_, _| ())).await
    }
}

/// Through a session, ten bytes at once.
fn large() -> Upload {
    Upload { whole: None, piece: 10, ..Upload::to_drive("/me/drive/items/1", Conflict::Replace) }
}

#[tokio::test]
async fn a_small_file_is_one_request_to_graph() {
    for body in [BODY, b""] {
        let world = World::new(|_, _, _| Act::json(201, &json!({"id": "new"})), |_, _| Act::Hangup).await;
        std::fs::write(world.home.path().join("a.pdf"), body).unwrap();
        let reply = world.send("a.pdf", &Upload::to_drive("/me/drive/root:/a.pdf:", Conflict::Fail)).await.unwrap();
        assert_eq!(reply.json().unwrap(), json!({"id": "new"}));
        let seen = &world.graph.seen()[0];
        assert_eq!(seen.target, "/v1.0/me/drive/root:/a.pdf:/content?@microsoft.graph.conflictBehavior=fail");
        assert_eq!((seen.method.as_str(), seen.header("content-type"), seen.body.as_slice()), ("PUT", "application/pdf", body));
    }
}

#[tokio::test]
async fn a_large_file_goes_in_pieces_without_a_token() {
    let up = Uploading::new(BODY, &[]).await;
    let seen = Mutex::new(Vec::new());
    let file = up.world.transfer.open_local("file", 99).await.unwrap();
    let progress = |done, of| seen.lock().unwrap().push((done, of));
    let reply = within(up.world.transfer.upload(&up.world.context(), &large(), &file, &progress)).await.unwrap();
    assert_eq!(reply.json().unwrap(), json!({"id": "new"}));
    assert_eq!(up.made(), (1, 0, BODY.to_vec()));
    assert_eq!(up.world.asked(), ["PUT bytes 0-9/25", "PUT bytes 10-19/25", "PUT bytes 20-24/25"]);
    assert_eq!(*seen.lock().unwrap(), [(10, Some(25)), (20, Some(25)), (25, Some(25))]);
    assert_eq!(up.world.graph.seen()[0].json(), json!({"item": {"@microsoft.graph.conflictBehavior": "replace"}}));
}

#[tokio::test]
async fn after_a_doubt_the_session_says_where_to_go_on() {
    for (fate, next) in [
        (Fate::Lost, "PUT bytes 10-19/25"),
        (Fate::Unanswered, "PUT bytes 20-24/25"),
        (Fate::Failed, "PUT bytes 20-24/25"),
        (Fate::Throttled, "PUT bytes 10-19/25"),
    ] {
        let up = Uploading::new(BODY, &[Fate::Fine, fate]).await;
        up.run().await.unwrap();
        assert_eq!(up.made(), (1, 0, BODY.to_vec()), "{fate:?}");
        assert_eq!(up.tail(2)[..2], ["GET".to_owned(), next.to_owned()], "{fate:?}");
    }
}

#[tokio::test]
async fn a_piece_the_session_has_already_is_not_sent_again() {
    let world = World::leading(|number, seen| match (number, seen.method.as_str()) {
        (0, _) => Act::Reply(416, Vec::new(), Vec::new()),
        (1, "GET") => Act::json(200, &json!({"nextExpectedRanges": ["20-24"]})),
        (2, "PUT") => Act::json(201, &json!({"id": "new"})),
        _ => Act::Hangup,
    })
    .await;
    std::fs::write(world.home.path().join("file"), BODY).unwrap();
    world.send("file", &large()).await.unwrap();
    assert_eq!(world.asked(), ["PUT bytes 0-9/25", "GET", "PUT bytes 20-24/25"]);
}

#[tokio::test]
async fn a_session_that_expired_is_begun_anew() {
    let up = Uploading::new(BODY, &[Fate::Fine, Fate::Expired]).await;
    up.run().await.unwrap();
    assert_eq!((up.made(), up.world.graph.count()), ((1, 0, BODY.to_vec()), 2));
    assert_eq!(up.tail(2)[0], "PUT bytes 0-9/25");
    let up = Uploading::new(BODY, &[Fate::Expired; 9]).await;
    let error = up.run().await.unwrap_err();
    assert!(matches!(error.cause, Cause::NoSession) && !error.unknown_outcome);
    assert_eq!(up.world.graph.count() as u32, SESSIONS);
}

/// The one step that must not be repeated: what was made once would be made twice.
#[tokio::test]
async fn an_unanswered_end_is_unknown_and_never_begun_anew() {
    for fate in [Fate::Unanswered, Fate::Failed] {
        let up = Uploading::new(BODY, &[Fate::Fine, Fate::Fine, fate]).await;
        let error = up.run().await.unwrap_err();
        assert!(error.unknown_outcome, "{error:?}");
        assert!(error.hint().unwrap().contains("before you repeat"));
        assert_eq!((up.made(), up.world.graph.count()), ((1, 0, BODY.to_vec()), 1), "{fate:?}");
    }
    let up = Uploading::new(BODY, &[Fate::Fine, Fate::Fine, Fate::Lost]).await;
    up.run().await.unwrap();
    assert_eq!(up.made(), (1, 0, BODY.to_vec()), "the session said that the end is missing");
}

#[tokio::test]
async fn an_end_without_time_is_unknown_too() {
    for hangs_at in [1, 3] {
        let files = Server::start(move |number, seen: Seen| async move {
            match seen.method.as_str() {
                "PUT" if number + 1 == hangs_at => std::future::pending().await,
                "PUT" => Act::json(202, &json!({"nextExpectedRanges": [format!("{}-", (number + 1) * 10)]})),
                _ => Act::Reply(204, Vec::new(), Vec::new()),
            }
        })
        .await;
        let mut world = World::around(lead, files).await;
        std::fs::write(world.home.path().join("file"), BODY).unwrap();
        world.transfer.settings.idle = std::time::Duration::from_millis(500);
        let error = world.send("file", &large()).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Stalled(_)));
        assert_eq!(error.unknown_outcome, hangs_at == 3);
        world.transfer.settings.idle = std::time::Duration::from_secs(60);
    }
}

#[tokio::test]
async fn a_name_taken_meanwhile_is_told_and_the_session_deleted() {
    let world = World::leading(|number, seen| match seen.method.as_str() {
        "PUT" if number == 2 => Act::json(409, &json!({"error": {"code": "nameAlreadyExists", "message": "secret.txt"}})),
        "PUT" => Act::json(202, &json!({"nextExpectedRanges": [format!("{}-", (number + 1) * 10)]})),
        _ => Act::Reply(204, Vec::new(), Vec::new()),
    })
    .await;
    std::fs::write(world.home.path().join("file"), BODY).unwrap();
    let error = world.send("file", &large()).await.unwrap_err();
    assert_eq!((error.code(), error.status(), error.unknown_outcome), ("already_exists", Some(409), false));
    assert!(!format!("{error} {error:?}").contains("secret"));
    assert_eq!(world.asked()[3], "DELETE");
}

#[tokio::test]
async fn a_session_elsewhere_is_not_used() {
    let foreign = Server::start(|_, _| std::future::ready(Act::Hangup)).await;
    let there = foreign.root.to_string();
    let world = World::new(move |_, _, _| Act::json(200, &json!({"uploadUrl": there})), |_, _| Act::Hangup).await;
    std::fs::write(world.home.path().join("file"), BODY).unwrap();
    let error = world.send("file", &large()).await.unwrap_err();
    assert!(matches!(error.cause, Cause::ForeignHost) && !error.unknown_outcome);
    assert_eq!((foreign.count(), world.files.count()), (0, 0));
}

#[tokio::test]
async fn a_session_that_asks_for_ever_is_given_up() {
    for answer in [json!({"nextExpectedRanges": ["0-"]}), json!({"nextExpectedRanges": ["99-"]}), json!({"nextExpectedRanges": []})] {
        let world = World::leading(
            move |_, seen| if seen.method == "DELETE" { Act::Reply(204, Vec::new(), Vec::new()) } else { Act::json(202, &answer) },
        )
        .await;
        std::fs::write(world.home.path().join("file"), BODY).unwrap();
        let error = world.send("file", &large()).await.unwrap_err();
        assert!(!error.unknown_outcome, "{error:?}");
        assert_eq!(world.asked().last().unwrap(), "DELETE");
    }
}

#[tokio::test]
async fn a_file_that_shrinks_ends_the_upload() {
    let home = Arc::new(Mutex::new(None::<std::path::PathBuf>));
    let shared = home.clone();
    let world = World::leading(move |number, _| {
        let file = shared.lock().unwrap().clone().unwrap();
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(12).unwrap();
        Act::json(202, &json!({"nextExpectedRanges": [format!("{}-", (number + 1) * 10)]}))
    })
    .await;
    let file = world.home.path().join("file");
    std::fs::write(&file, BODY).unwrap();
    *home.lock().unwrap() = Some(file);
    assert!(matches!(world.send("file", &large()).await.unwrap_err().cause, Cause::Changed));
    assert_eq!(world.asked(), ["PUT bytes 0-9/25", "DELETE"]);
}

#[tokio::test]
async fn an_attachment_ends_with_its_address() {
    let world = World::leading(|number, _| match number {
        0 => Act::json(200, &json!({"NextExpectedRanges": ["10"]})),
        1 => Act::json(200, &json!({"NextExpectedRanges": ["20"]})),
        _ => Act::Reply(201, vec![("location", "https://outlook.office.com/api/v2.0/x/attachments('1')".into())], Vec::new()),
    })
    .await;
    std::fs::write(world.home.path().join("a.pdf"), BODY).unwrap();
    let to = Upload { piece: 10, ..Upload::to_attachment(&["me", "messages", "1"], "a.pdf", "application/pdf", 25) };
    let reply = world.send("a.pdf", &to).await.unwrap();
    assert!(reply.location.unwrap().ends_with("attachments('1')"));
    let item = json!({"AttachmentItem": {"attachmentType": "file", "name": "a.pdf", "size": 25, "contentType": "application/pdf"}});
    assert_eq!(world.graph.seen()[0].json(), item);
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        3 => Just(Fate::Fine),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Unanswered),
        1 => Just(Fate::Failed),
        1 => Just(Fate::Throttled),
        1 => Just(Fate::Expired),
    ];
    proptest::collection::vec(fate, 0..14)
}

proptest! {
    #![proptest_config(crate::chance::cases(48))]

    /// Whatever meets the pieces: the file is made at most once and only whole; success means made, and failure not made or in doubt.
    #[test]
    fn an_upload_is_made_once_and_whole(body in proptest::collection::vec(any::<u8>(), 1..60), fates in fates()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let up = Uploading::new(&body, &fates).await;
            let result = up.run().await;
            let (made, _, bytes) = up.made();
            prop_assert!(made <= 1, "made {} times", made);
            if made == 1 {
                prop_assert_eq!(bytes, body.clone());
            }
            match result {
                Ok(_) => prop_assert_eq!(made, 1),
                Err(error) => prop_assert!(made == 0 || error.unknown_outcome, "{:?}", error),
            }
            Ok(())
        })?;
    }
}
