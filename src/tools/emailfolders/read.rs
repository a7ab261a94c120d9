//! `emailfolders_list`, `emailfolders_get` and the row of `emailfolders_get_tree`.
//!
//! Names, places and counts of all folders are one scope: any message that comes, goes or is read moves a count.

use serde_json::Value;

use super::{FIELDS, FOLDER, as_graph_names_it, one_folder, tree};
use crate::{
    cache::{Scope, Service, Ttl},
    graph::GraphRequest,
    ids::ToolProfile::{Essential, Mail},
    tools::{
        Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
        listing::{every, read_list},
        mailbox::at,
        shape::{id, list_answer, pick},
        tool::{ACCOUNT, CURSOR, FORCE_REFRESH, MAILBOX, MAX_AGE, MAX_TOKENS, MAX_TOKENS_ONCE, USE_CACHE},
    },
};

const EFFECT: Effect = Effect::Read { service: Service::Mail, ttl: Ok(Ttl::seconds(900, 3600)) };
const PARENT: Param = Param::optional("parent_folder_id", ParamType::Id, "null", "List below this folder; without it from the top level.");
const HIDDEN: Param = Param::optional("include_hidden", ParamType::Bool, "false", "Whether to list hidden folders too.").rare();

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "emailfolders_list",
        title: "List mail folders",
        profiles: &[Essential, Mail],
        help: "Lists mail folders under `folders`, with message and unread counts: the top level, or the children of \
               parent_folder_id.",
        params: &[
            ACCOUNT,
            PARENT,
            HIDDEN,
            Param::optional("limit", ParamType::Int { min: 1, max: 250 }, "40", "Most folders."),
            USE_CACHE,
            FORCE_REFRESH,
            MAILBOX,
            CURSOR,
            MAX_TOKENS,
            MAX_AGE,
        ],
        effect: EFFECT,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: Some(one_parent),
        does: Does::Read(|steps, args| Box::pin(list(steps, args))),
    },
    Tool {
        name: "emailfolders_get",
        title: "Get a mail folder",
        profiles: &[Mail],
        help: "One mail folder by id or name: its name, place, message and unread counts.",
        params: &[FOLDER, ACCOUNT, USE_CACHE, FORCE_REFRESH, MAILBOX, MAX_AGE],
        effect: EFFECT,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: Some(one_folder),
        does: Does::Read(|steps, args| Box::pin(get(steps, args))),
    },
    Tool {
        name: "emailfolders_get_tree",
        title: "Get the tree of mail folders",
        profiles: &[Mail],
        help: "All mail folders as a tree, each with its `children`, message and unread counts; from the top level, or below \
               parent_folder_id. `complete` is false when max_depth cut it.",
        params: &[
            ACCOUNT,
            PARENT,
            Param::optional("max_depth", ParamType::Int { min: 1, max: 25 }, "10", "Most levels to return."),
            HIDDEN,
            USE_CACHE,
            FORCE_REFRESH,
            MAILBOX,
            MAX_TOKENS_ONCE,
            MAX_AGE,
        ],
        effect: EFFECT,
        risk: Risk::Safe,
        idempotent: true,
        asks: Asks::Never,
        canonical: Some(one_parent),
        does: Does::Read(|steps, args| Box::pin(tree::fetch(steps, args))),
    },
];

/// Graph's name for the top of a mailbox is the same as no parent.
fn one_parent(args: &mut Args) {
    match args.text("parent_folder_id").map(as_graph_names_it) {
        Some(parent) if parent.eq_ignore_ascii_case("msgfolderroot") => args.set("parent_folder_id", Value::Null),
        Some(parent) => args.set("parent_folder_id", parent.to_owned()),
        None => {}
    }
}

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let limit = args.count("limit");
    let mut request = match args.text("parent_folder_id") {
        Some(parent) => GraphRequest::get(&at(args, &["mailFolders", parent, "childFolders"])),
        None => GraphRequest::get(&at(args, &["mailFolders"])),
    }
    .with("$top", limit.to_string())
    .with("$select", FIELDS.join(","));
    if args.flag("include_hidden") {
        request = request.with("includeHiddenFolders", "true");
    }
    let found = read_list(steps, request, limit, every).await?;
    let folders = found.items.iter().map(|folder| pick(folder, &FIELDS).into()).collect();
    Ok(Fetched {
        answer: list_answer("folders", folders, found.complete),
        list: Some("folders"),
        scopes: vec![Scope::folders()],
        shown: Vec::new(),
        whole: true,
        more: found.more,
        etag: None,
        along: Vec::new(),
    })
}

async fn get(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let folder = args.text("folder_id").map(as_graph_names_it).unwrap_or_default();
    let request = GraphRequest::get(&at(args, &["mailFolders", folder])).with("$select", FIELDS.join(","));
    let found = steps.send(request).await?.body;
    id(&found)?;
    Ok(Fetched {
        answer: pick(&found, &FIELDS).into(),
        list: None,
        scopes: vec![Scope::folders()],
        shown: Vec::new(),
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, args, fetch};
    use serde_json::json;

    #[tokio::test]
    async fn top_level_children_and_hidden_folders_are_three_different_questions() {
        let fake = Fake::answering([
            (
                "GET /me/mailFolders",
                // Shape: microsoft-graph-docs, api-reference/v1.0/api/mailfolder-list-childfolders.md.
                json!({"value": [{"@odata.etag": "x", "id": "A", "displayName": "Inbox", "parentFolderId": "R", "childFolderCount": 2,
                    "unreadItemCount": 3, "totalItemCount": 9, "isHidden": false}], "@odata.nextLink": "GET2"}),
            ),
            ("GET /me/mailFolders/A/childFolders", json!({"value": []})),
        ]);
        let top = fetch(&fake, "emailfolders_list", json!({"account_id": "a", "limit": 1})).await.unwrap();
        assert_eq!(
            top.answer.to_string(),
            r#"{"folders":[{"id":"A","displayName":"Inbox","childFolderCount":2,"unreadItemCount":3,"totalItemCount":9,"parentFolderId":"R","isHidden":false}],"complete":false}"#
        );
        assert_eq!(top.scopes, [Scope::folders()]);
        let given = json!({"account_id": "a", "parent_folder_id": "A", "include_hidden": true});
        let below = fetch(&fake, "emailfolders_list", given).await.unwrap();
        assert_eq!(below.answer, json!({"folders": [], "complete": true}));
        let log = fake.log();
        assert!(!log[0].contains("includeHiddenFolders"), "{log:?}");
        assert!(log[1].starts_with("GET /me/mailFolders/A/childFolders?") && log[1].ends_with("&includeHiddenFolders=true"), "{log:?}");
    }

    #[tokio::test]
    async fn one_folder_by_name_or_id() {
        let fake = Fake::answering([("GET /me/mailFolders/sentitems", json!({"id": "S", "displayName": "Sent Items", "x": 1}))]);
        let got = fetch(&fake, "emailfolders_get", json!({"account_id": "a", "folder_id": "SENT"})).await.unwrap();
        assert_eq!(got.answer, json!({"id": "S", "displayName": "Sent Items"}));
        let by = |folder: &str| args("emailfolders_get", json!({"account_id": "a", "folder_id": folder})).unwrap().shaping();
        assert_eq!(by("sent"), by("SentItems"));
    }

    #[test]
    fn the_root_by_name_and_no_parent_share_one_key() {
        let root = args("emailfolders_list", json!({"account_id": "a", "parent_folder_id": "MsgFolderRoot"})).unwrap();
        assert_eq!(root.shaping(), args("emailfolders_list", json!({"account_id": "a"})).unwrap().shaping());
    }
}
