//! Mail folders.

use super::{
    Args, Asks, Does, Effect, Fetched, Param, ParamType, Risk, StepError, Steps, Tool,
    listing::{every, read_list},
    shape::{list_answer, pick},
    tool::{ACCOUNT, FORCE_REFRESH, MAX_AGE, USE_CACHE},
};
use crate::{
    cache::{Scope, Service, Ttl},
    graph::GraphRequest,
};
use serde_json::Value;

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: "emailfolders_list",
    title: "List mail folders",
    help: "Lists mail folders under `folders`, with message and unread counts: the top level, or the children of parent_folder_id. Ids go \
           to email_list (folder_id) and email_move. Answers come from the local cache (fresh for 15 minutes).",
    params: &[
        ACCOUNT,
        Param::optional("parent_folder_id", ParamType::Id, "null", "List this folder's children; without it the top level."),
        Param::optional("include_hidden", ParamType::Bool, "false", "Whether to list hidden folders too."),
        Param::optional("limit", ParamType::Int { min: 1, max: 250 }, "100", "Most folders to return."),
        USE_CACHE,
        FORCE_REFRESH,
        MAX_AGE,
    ],
    effect: Effect::Read { service: Service::Mail, ttl: Ok(Ttl::seconds(900, 3600)) },
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: Some(one_parent),
    does: Does::Read(|steps, args| Box::pin(list(steps, args))),
}];

const FIELDS: [&str; 7] = ["id", "displayName", "childFolderCount", "unreadItemCount", "totalItemCount", "parentFolderId", "isHidden"];

/// Graph's name for the top of a mailbox is the same as no parent.
fn one_parent(args: &mut Args) {
    if args.text("parent_folder_id").is_some_and(|parent| parent.eq_ignore_ascii_case("msgfolderroot")) {
        args.set("parent_folder_id", Value::Null);
    }
}

async fn list(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let limit = args.count("limit");
    let mut request = match args.text("parent_folder_id") {
        Some(parent) => GraphRequest::get(&["me", "mailFolders", parent, "childFolders"]),
        None => GraphRequest::get(&["me", "mailFolders"]),
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
        // Names, places and counts of all folders are one scope: any message that comes, goes or is read moves a count.
        scopes: vec![Scope::folders()],
        shown: Vec::new(),
        whole: true,
        more: None,
        etag: None,
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

    #[test]
    fn the_root_by_name_and_no_parent_share_one_key() {
        let root = args("emailfolders_list", json!({"account_id": "a", "parent_folder_id": "MsgFolderRoot"})).unwrap();
        assert_eq!(root.shaping(), args("emailfolders_list", json!({"account_id": "a"})).unwrap().shaping());
    }
}
