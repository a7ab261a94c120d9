//! `search_files`.

use serde_json::{Map, Value};

use super::{Found, LIMIT, Outcome, QUERY, TTL, query::hits};
use crate::{
    cache::{Scope, Service},
    graph::{GraphRequest, drive_search_path},
    ids::ToolProfile::{Essential, Files},
    tools::{
        Args, Asks, Does, Effect, Fetched, Risk, StepError, Steps, Tool,
        drive::kind,
        listing::{every, read_list},
        local::by_the_clock,
        shape::{id, list_of_others, text},
        tool::{ACCOUNT, CURSOR, FORCE_REFRESH, MAX_AGE, MAX_TOKENS, USE_CACHE},
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[Tool {
    name: "search_files",
    title: "Search files",
    profiles: &[Essential, Files],
    help: "Searches names and contents of files and folders, under `files`: on work accounts also what others share (then \
           drive_id is another drive's); there type is null where Microsoft does not tell file or folder. New files show after some minutes.",
    params: &[QUERY, ACCOUNT, LIMIT, USE_CACHE, FORCE_REFRESH, CURSOR, MAX_TOKENS, MAX_AGE],
    effect: Effect::Read { service: Service::Files, ttl: Ok(TTL) },
    risk: Risk::Safe,
    idempotent: true,
    asks: Asks::Never,
    canonical: None,
    does: Does::Read(|steps, args| Box::pin(by_the_clock(steps, search(steps, args)))),
}];

/// Finds files; also for `search_unified`.
pub(super) async fn find(steps: &dyn Steps, args: &Args) -> Outcome {
    let (limit, query) = (args.count("limit"), args.text("query").unwrap_or_default());
    if steps.personal() {
        let request = GraphRequest::get_path(drive_search_path("/me/drive", query))
            .with("$top", limit.to_string())
            .with("$select", "id,name,size,lastModifiedDateTime,folder,file,remoteItem,webUrl,parentReference");
        let found = read_list(steps, request, limit, every).await?;
        let shown = found.items.iter().map(|item| Ok((id(item)?.to_owned(), containers(item)))).collect::<Result<_, StepError>>()?;
        let items = found.items.iter().map(|item| Ok(shape(id(item)?, item, None))).collect::<Result<_, StepError>>()?;
        return Ok(Found { items, complete: found.complete, more: found.more, shown });
    }
    let (found, complete) = hits(steps, "driveItem", query, limit, &|_| true).await?;
    let shown = found.iter().map(|hit| (hit.id.clone(), containers(&hit.resource))).collect();
    let items = found.iter().map(|hit| shape(&hit.id, &hit.resource, hit.summary.as_deref())).collect();
    Ok(Found { items, complete, more: None, shown })
}

/// The folder a found item is in, when it says so.
fn containers(item: &Value) -> Vec<Scope> {
    item.get("parentReference").and_then(|parent| text(parent, "id")).map(Scope::children).into_iter().collect()
}

/// The original's fields, `download_url` without the address that lets anybody download it (tool catalogue, W9).
fn shape(id: &str, item: &Value, summary: Option<&str>) -> Value {
    let mut file = Map::new();
    file.insert("id".into(), id.into());
    file.insert("name".into(), item.get("name").cloned().unwrap_or_default());
    file.insert("type".into(), kind(item).into());
    file.insert("size".into(), item.get("size").cloned().unwrap_or_default());
    file.insert("modified".into(), item.get("lastModifiedDateTime").cloned().unwrap_or_default());
    file.insert("download_url".into(), Value::Null);
    if let Some(address) = text(item, "webUrl") {
        file.insert("web_url".into(), address.into());
    }
    if let Some(drive) = item.get("parentReference").and_then(|parent| text(parent, "driveId")) {
        file.insert("drive_id".into(), drive.into());
    }
    if let Some(summary) = summary.filter(|summary| !summary.is_empty()) {
        file.insert("summary".into(), summary.into());
    }
    file.into()
}

async fn search(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    Ok(answer(find(steps, args).await?))
}

/// What was found as the tool's answer.
pub(super) fn answer(found: Found) -> Fetched {
    Fetched {
        answer: list_of_others("files", found.items, found.complete),
        list: Some("files"),
        scopes: vec![Scope::any(Service::Files)],
        shown: found.shown,
        whole: true,
        more: found.more,
        etag: None,
        along: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{
        fake::{Fake, fetch},
        shape::UNTRUSTED,
    };
    use serde_json::json;

    #[tokio::test]
    async fn a_work_account_asks_microsoft_search() {
        let resource = json!({"@odata.type": "#microsoft.graph.driveItem", "name": "Plan.docx", "size": 7, "webUrl": "https://x/Plan.docx",
            "lastModifiedDateTime": "2026-01-01T00:00:00Z", "parentReference": {"id": "P", "driveId": "b!1"}, "@microsoft.graph.downloadUrl": "secret"});
        let reply = json!({"value": [{"hitsContainers": [{"hits": [{"hitId": "01A", "summary": "the <c0>plan</c0>", "resource": resource}], "moreResultsAvailable": false}]}]});
        let got = fetch(&Fake::answering([("POST /search/query", reply)]), "search_files", json!({"account_id": "a", "query": "plan"}))
            .await
            .unwrap();
        let expected = json!({"files": [{"id": "01A", "name": "Plan.docx", "type": null, "size": 7, "modified": "2026-01-01T00:00:00Z",
            "download_url": null, "web_url": "https://x/Plan.docx", "drive_id": "b!1", "summary": "the plan"}], "complete": true, UNTRUSTED.0: UNTRUSTED.1});
        assert_eq!(got.answer, expected);
        assert_eq!(got.scopes, [Scope::any(Service::Files)]);
    }

    /// Microsoft Search shows neither `file` nor `folder` (Graph documentation, *search-concept-files*).
    #[tokio::test]
    async fn what_a_hit_is_is_told_only_where_graph_tells_it() {
        let hit = |id: &str, more: Value| {
            let mut resource = json!({"name": id});
            resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"hitId": id, "resource": resource})
        };
        let hits = [
            hit("neither", json!({"size": 0})),
            hit("folder", json!({"folder": {}})),
            hit("file", json!({"file": {}})),
            hit("shortcut", json!({"remoteItem": {"folder": {"childCount": 1}}})),
        ];
        let reply = json!({"value": [{"hitsContainers": [{"hits": hits, "moreResultsAvailable": false}]}]});
        let fake = Fake::answering([("POST /search/query", reply)]);
        let got = fetch(&fake, "search_files", json!({"account_id": "a", "query": "x"})).await.unwrap();
        let types: Vec<&Value> = got.answer["files"].as_array().unwrap().iter().map(|file| &file["type"]).collect();
        assert_eq!(types, [&Value::Null, &json!("folder"), &json!("file"), &json!("folder")]);
    }

    #[tokio::test]
    async fn a_personal_account_asks_its_drive_with_quotes_doubled() {
        let fake = Fake::new(|request| {
            request.path.contains("/search(q=").then(|| Ok(json!({"value": [{"id": "1", "name": "n", "folder": {}}]})))
        })
        .of_personal();
        let got = fetch(&fake, "search_files", json!({"account_id": "a", "query": "it's/50%"})).await.unwrap();
        assert_eq!(
            got.answer["files"][0],
            json!({"id": "1", "name": "n", "type": "folder", "size": null, "modified": null, "download_url": null})
        );
        assert!(fake.log()[0].starts_with("GET /me/drive/root/search(q='it%27%27s%2F50%25')?$top=50"), "{:?}", fake.log());
    }
}
