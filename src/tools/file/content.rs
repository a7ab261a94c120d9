//! `file_get`, `file_create`, `file_update` and `file_download_url`: the bytes of a file.
//!
//! Bytes go between Microsoft and an allowed local folder, never through the model. An upload replaces a file only where that was asked
//! for: the original's `file_create` overwrites whatever lies at the path.

use serde_json::{Value, json};

use super::{FILE, file_id};
use crate::{
    cache::{Scope, Service, Touch},
    graph::{Conflict, Content, GraphRequest, Upload, drive_path, path},
    ids::ToolProfile::{Essential, Files},
    tools::{
        Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        drive::{is_folder, written},
        local::by_the_clock,
        shape::{id, text},
        tool::{ACCOUNT, CONFIRM_TOKEN},
    },
};

/// The largest upload: what Graph takes as one file (OneDrive limits: 250 GB).
const UPLOAD_MAX: u64 = 250 << 30;

const LOCAL: Param = Param::required("local_file_path", ParamType::LocalPath, "The file on this machine, within an allowed folder.");

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "file_get",
        title: "Download a file",
        profiles: &[Essential, Files],
        help: "Downloads a OneDrive file to download_path on this machine, within an allowed folder; an existing file is never \
               overwritten.",
        params: &[FILE, ACCOUNT, Param::required("download_path", ParamType::LocalPath, "Where the new local file goes.")],
        effect: Effect::Read { service: Service::Files, ttl: Err("it writes a local file") },
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(download(steps, args))),
    },
    Tool {
        name: "file_create",
        title: "Upload a new file",
        profiles: &[Essential, Files],
        help: "Uploads a local file to a OneDrive path. When something of that name is there, it fails unless `conflict` says replace or \
               rename. Returns the item.",
        params: &[
            Param::required("onedrive_path", ParamType::DrivePath, "Path with the file's name: /Documents/plan.pdf."),
            LOCAL,
            ACCOUNT,
            Param::optional(
                "conflict",
                ParamType::Choice(&["fail", "replace", "rename"]),
                "\"fail\"",
                "What to do when the name is taken; replace needs the user's consent.",
            ),
            CONFIRM_TOKEN,
        ],
        effect: Effect::Write { service: Service::Files },
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::When(|args| args.text("conflict") == Some("replace")),
        canonical: None,
        // Its folder is known by path only.
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(by_the_clock(steps, create(steps, args))) },
    },
    Tool {
        name: "file_update",
        title: "Replace a file's content",
        profiles: &[Files],
        help: "Replaces the content of a OneDrive file by a local file. OneDrive keeps earlier versions. Needs the user's consent. Returns the \
               item.",
        params: &[FILE, LOCAL, ACCOUNT, CONFIRM_TOKEN],
        effect: Effect::Write { service: Service::Files },
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Always,
        canonical: None,
        // Its size is part of the size of every folder above it.
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(by_the_clock(steps, update(steps, args))) },
    },
    Tool {
        name: "file_download_url",
        title: "Get a download address",
        profiles: &[Files],
        help: "An address from which a file can be downloaded for about an hour by anyone who has it, without signing in. Handle it like the \
               file itself.",
        params: &[FILE, ACCOUNT],
        effect: Effect::Read { service: Service::Files, ttl: Err("the address opens the file without a sign-in, and expires") },
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Read(|steps, args| Box::pin(address(steps, args))),
    },
];

fn fetched(answer: Value, file: &str) -> Fetched {
    Fetched {
        answer,
        list: None,
        scopes: vec![Scope::item(file)],
        shown: Vec::new(),
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    }
}

/// A name without content, as opposed to a file.
fn no_file() -> StepError {
    StepError::user("not_a_file", "that item is a folder, not a file", "`file_list` shows files and their ids.")
}

async fn download(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let file = file_id(args);
    let item = steps.send(GraphRequest::get(&["me", "drive", "items", file]).with("$select", "id,name,size,file,folder")).await?.body;
    if is_folder(&item) {
        return Err(no_file());
    }
    let content = Content::Graph(GraphRequest::get(&["me", "drive", "items", file, "content"]));
    // The transfer's own limit is the one that counts.
    let saved = steps.files().save(content, args.text("download_path").unwrap_or_default(), u64::MAX).await?;
    let kind = item.pointer("/file/mimeType").and_then(Value::as_str).unwrap_or(&saved.content_type);
    let megabytes = (saved.size as f64 / f64::from(1 << 20) * 100.0).round() / 100.0;
    let answer = json!({
        "path": saved.path,
        "name": text(&item, "name"),
        "size_mb": megabytes,
        "size": saved.size,
        "mime_type": kind,
    });
    Ok(fetched(answer, file))
}

async fn create(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let goal = args.text("onedrive_path").unwrap_or("/");
    if goal == "/" {
        return Err(StepError::user("invalid_argument", "invalid onedrive_path: it names no file", "End it with the file's name."));
    }
    let conflict = match args.text("conflict") {
        Some("replace") => Conflict::Replace,
        Some("rename") => Conflict::Rename,
        _ => Conflict::Fail,
    };
    let file = steps.files().open_local(args.text("local_file_path").unwrap_or_default(), UPLOAD_MAX).await.map_err(StepError::before)?;
    let made = steps.files().upload(Upload::to_drive(&drive_path("/me/drive", goal), conflict), &file).await.map_err(taken)?;
    Ok(written(&made.body, "created"))
}

async fn update(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let file = steps.files().open_local(args.text("local_file_path").unwrap_or_default(), UPLOAD_MAX).await.map_err(StepError::before)?;
    let item = path(&["me", "drive", "items", file_id(args)]);
    let changed = steps.files().upload(Upload::to_drive(&item, Conflict::Replace), &file).await?;
    Ok(written(&changed.body, "updated"))
}

/// A name that is taken, with a way to go on.
fn taken(error: StepError) -> StepError {
    let taken = error.graph_code.as_deref() == Some("nameAlreadyExists") || error.status == Some(409);
    if taken {
        StepError { hint: Some("Pass conflict=replace or conflict=rename, or another onedrive_path.".into()), ..error }
    } else {
        error
    }
}

async fn address(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    const ADDRESS: &str = "@microsoft.graph.downloadUrl";
    let file = file_id(args);
    // With $select Graph leaves the address out at times, so the item is asked for as a whole.
    let item = steps.send(GraphRequest::get(&["me", "drive", "items", file])).await?.body;
    let Some(address) = text(&item, ADDRESS) else {
        return Err(if is_folder(&item) { no_file() } else { StepError::unexpected("a download address") });
    };
    let answer = json!({ "id": id(&item)?, "name": text(&item, "name"), "size": item.get("size"), "download_url": address });
    Ok(fetched(answer, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{
        fake::{Fake, act, args, fetch, refusal},
        find,
    };

    fn item() -> Value {
        json!({"@odata.context": "c", "id": "01A", "name": "plan.pdf", "size": 3, "file": {"mimeType": "application/pdf"},
            "@microsoft.graph.downloadUrl": "https://x/secret", "parentReference": {"id": "P", "path": "/drive/root:/Docs"}, "eTag": "e"})
    }

    #[tokio::test]
    async fn a_new_file_fails_on_a_taken_name_unless_told_otherwise() {
        let given = |conflict: Value| json!({"account_id": "a", "onedrive_path": "/Docs/plan.pdf", "local_file_path": "plan.pdf", "conflict": conflict});
        let fake =
            Fake::answering([("PUT /me/drive/root:/Docs/plan.pdf:/content", item())]).with_file("plan.pdf", "application/pdf", *b"abc");
        let made = act(&fake, "file_create", given(Value::Null)).await.unwrap();
        assert_eq!(made.answer["name"], "plan.pdf");
        assert!(made.answer.get("@microsoft.graph.downloadUrl").is_none(), "{}", made.answer);
        assert_eq!(made.learned, [("01A".into(), vec![Scope::children("P")])]);
        assert!(fake.log()[0].ends_with("conflictBehavior=fail"), "{:?}", fake.log());
        let refused = Fake::new(|_| Some(Err(refusal(409, "taken")))).with_file("plan.pdf", "application/pdf", *b"abc");
        let error = act(&refused, "file_create", given("fail".into())).await.unwrap_err();
        assert!(error.hint.unwrap().contains("conflict=replace"));
        let asks = |conflict: Value| find("file_create").unwrap().asks_for(&args("file_create", given(conflict)).unwrap());
        assert!(asks("replace".into()) && !asks("rename".into()) && !asks(Value::Null));
        let root = json!({"account_id": "a", "onedrive_path": "/", "local_file_path": "plan.pdf"});
        assert_eq!(act(&fake, "file_create", root).await.unwrap_err().code, "invalid_argument");
    }

    #[tokio::test]
    async fn new_content_replaces_the_old() {
        let fake = Fake::answering([("PUT /me/drive/items/01A/content", item())]).with_file("f", "text/plain", *b"abc");
        let changed = act(&fake, "file_update", json!({"account_id": "a", "file_id": "01A", "local_file_path": "f"})).await.unwrap();
        assert_eq!(changed.answer["id"], "01A");
        let Does::Write { touches, .. } = find("file_update").unwrap().does else { unreachable!() };
        let given = args("file_update", json!({"account_id": "a", "file_id": "01A", "local_file_path": "f"})).unwrap();
        assert_eq!(touches(&given), [Touch::All], "every folder above shows its size");
        assert!(fake.log()[0].ends_with("conflictBehavior=replace"), "{:?}", fake.log());
    }

    #[tokio::test]
    async fn a_file_is_saved_and_a_folder_is_not() {
        let fake = Fake::new(|request| match request.path.as_str() {
            "/me/drive/items/01A" => Some(Ok(item())),
            "/me/drive/items/01A/content" => Some(Ok(json!("bytes"))),
            "/me/drive/items/D" => Some(Ok(json!({"id": "D", "folder": {}}))),
            _ => None,
        });
        let got = fetch(&fake, "file_get", json!({"account_id": "a", "file_id": "01A", "download_path": "x.pdf"})).await.unwrap();
        assert_eq!((&got.answer["name"], &got.answer["mime_type"]), (&json!("plan.pdf"), &json!("application/pdf")));
        assert!(got.answer["path"].as_str().unwrap().ends_with("x.pdf"));
        let folder = fetch(&fake, "file_get", json!({"account_id": "a", "file_id": "D", "download_path": "x"})).await.unwrap_err();
        assert_eq!(folder.code, "not_a_file");
        let address = fetch(&fake, "file_download_url", json!({"account_id": "a", "file_id": "01A"})).await.unwrap();
        assert_eq!(address.answer, json!({"id": "01A", "name": "plan.pdf", "size": 3, "download_url": "https://x/secret"}));
        assert_eq!(fetch(&fake, "file_download_url", json!({"account_id": "a", "file_id": "D"})).await.unwrap_err().code, "not_a_file");
    }
}
