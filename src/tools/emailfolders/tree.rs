//! `emailfolders_get_tree`: a level at a time, the children of 20 folders in a `$batch`.
//!
//! Rejected: `/mailFolders/delta`, which reads the whole tree in fewer requests but leaves out hidden folders and is not documented to bring
//! parents before children; one request after the other, as the original does. A branch that cannot be read fails the call.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::{FIELDS, as_graph_names_it};
use crate::{
    cache::Scope,
    graph::GraphRequest,
    tools::{
        Args, Fetched, StepError, Steps,
        mailbox::at,
        shape::{id, pick, text},
    },
};

/// Most folders on a page (Graph documentation, *List mailFolders*: `$top` up to 250 is what Exchange serves without complaint).
const PAGE: &str = "250";

pub(super) async fn fetch(steps: &dyn Steps, args: &Args) -> Result<Fetched, StepError> {
    let (max_depth, hidden) = (args.count("max_depth"), args.flag("include_hidden"));
    let root = args.text("parent_folder_id").map(as_graph_names_it);
    let ask = |parent: Option<&str>| {
        let request = match parent {
            Some(parent) => GraphRequest::get(&at(args, &["mailFolders", parent, "childFolders"])),
            None => GraphRequest::get(&at(args, &["mailFolders"])),
        };
        let request = request.with("$top", PAGE).with("$select", FIELDS.join(","));
        if hidden { request.with("includeHiddenFolders", "true") } else { request }
    };

    let mut seen = BTreeSet::new();
    let mut below: BTreeMap<Option<String>, Vec<Value>> = BTreeMap::new();
    let mut level = vec![None];
    for _ in 0..max_depth {
        let asked = level.iter().map(|parent: &Option<String>| ask(parent.as_deref().or(root))).collect();
        let mut next = Vec::new();
        for (parent, folders) in level.into_iter().zip(all_of(steps, asked).await?) {
            for folder in folders {
                let id = id(&folder)?.to_owned();
                // One that is moved meanwhile may come twice.
                if seen.insert(id.clone()) {
                    if folder.get("childFolderCount").and_then(Value::as_u64) != Some(0) {
                        next.push(Some(id));
                    }
                    below.entry(parent.clone()).or_default().push(folder);
                }
            }
        }
        level = next;
        if level.is_empty() {
            break;
        }
    }
    let complete = level.is_empty();
    let answer = json!({
        "root_folder_id": root,
        "max_depth": max_depth,
        "folders": grow(&mut below, None),
        "complete": complete,
    });
    Ok(Fetched {
        answer,
        list: Some("folders"),
        scopes: vec![Scope::folders()],
        shown: Vec::new(),
        whole: true,
        more: None,
        etag: None,
        along: Vec::new(),
    })
}

/// The nodes below `parent`.
fn grow(below: &mut BTreeMap<Option<String>, Vec<Value>>, parent: Option<String>) -> Vec<Value> {
    let folders = below.remove(&parent).unwrap_or_default();
    folders
        .into_iter()
        .map(|folder| {
            let mut node = pick(&folder, &FIELDS);
            node.insert("children".into(), grow(below, text(&folder, "id").map(str::to_owned)).into());
            node.into()
        })
        .collect()
}

/// Each collection to its end, in the order asked.
async fn all_of(steps: &dyn Steps, asked: Vec<GraphRequest>) -> Result<Vec<Vec<Value>>, StepError> {
    let count = asked.len();
    let replies = match <[GraphRequest; 1]>::try_from(asked) {
        Ok([one]) => vec![steps.send(one).await],
        Err(many) => steps.batch(many).await?,
    };
    if replies.len() != count {
        return Err(StepError::unexpected("a part for each request of a batch"));
    }
    try_join_all(replies.into_iter().map(|reply| async move {
        let mut body = reply?.body;
        let Some(Value::Array(mut items)) = body.get_mut("value").map(Value::take) else {
            return Err(StepError::unexpected("a list of folders"));
        };
        if let Some(next) = text(&body, "@odata.nextLink") {
            let rest = steps.pages(GraphRequest::get_path(next.to_owned()), &|_| false).await?;
            items.extend(rest.items);
        }
        Ok(items)
    }))
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, fetch as read, named, refusal};

    /// A > B > C, D beside A; E hidden below A.
    fn mailbox() -> Fake {
        Fake::new(|request| {
            let hidden = request.target().contains("includeHiddenFolders=true");
            let folder = |id: &str, parent: &str, children: u64| json!({"@odata.etag": "x", "id": id, "displayName": id, "parentFolderId": parent, "childFolderCount": children});
            Some(Ok(match named(request).as_str() {
                "GET /me/mailFolders" => json!({"value": [folder("A", "R", 2)], "@odata.nextLink": "/page2"}),
                "GET /page2" => json!({"value": [folder("D", "R", 0)]}),
                "GET /me/mailFolders/A/childFolders" if hidden => json!({"value": [folder("B", "A", 1), folder("E", "A", 0)]}),
                "GET /me/mailFolders/A/childFolders" => json!({"value": [folder("B", "A", 1)]}),
                "GET /me/mailFolders/B/childFolders" => json!({"value": [folder("C", "B", 0)]}),
                _ => return None,
            }))
        })
    }

    fn names(folders: &Value) -> String {
        folders.as_array().unwrap().iter().map(|node| format!("{}({})", node["id"].as_str().unwrap(), names(&node["children"]))).collect()
    }

    #[tokio::test]
    async fn the_whole_tree_is_read_by_levels() {
        let fake = mailbox();
        let got = read(&fake, "emailfolders_get_tree", json!({"account_id": "a"})).await.unwrap();
        assert_eq!(names(&got.answer["folders"]), "A(B(C()))D()");
        assert_eq!(
            (&got.answer["complete"], &got.answer["root_folder_id"], &got.answer["max_depth"]),
            (&json!(true), &Value::Null, &json!(10))
        );
        assert_eq!(fake.log().len(), 4, "{:?}", fake.log());
        let hidden = read(&mailbox(), "emailfolders_get_tree", json!({"account_id": "a", "include_hidden": true})).await.unwrap();
        assert_eq!(names(&hidden.answer["folders"]), "A(B(C())E())D()");
        let below =
            read(&mailbox(), "emailfolders_get_tree", json!({"account_id": "a", "parent_folder_id": "A", "max_depth": 1})).await.unwrap();
        assert_eq!((names(&below.answer["folders"]), &below.answer["complete"]), ("B()".into(), &json!(false)));
    }

    #[tokio::test]
    async fn a_branch_that_cannot_be_read_fails_the_call() {
        let fake = Fake::new(|request| match named(request).as_str() {
            "GET /me/mailFolders" => Some(Ok(json!({"value": [{"id": "A", "childFolderCount": 1}, {"id": "B", "childFolderCount": 1}]}))),
            "GET /me/mailFolders/A/childFolders" => Some(Ok(json!({"value": []}))),
            _ => Some(Err(refusal(503, "busy"))),
        });
        assert_eq!(read(&fake, "emailfolders_get_tree", json!({"account_id": "a"})).await.unwrap_err().status, Some(503));
    }
}
