//! Creating, renaming, moving and deleting OneDrive folders.
//!
//! A folder's name is part of the paths of all below it, and its place of the counts above it: all of the drive counts as touched, as for
//! files (`file/change.rs`), but for a new folder in one that is known by id: it is empty, so no size changes, and its parent's row alone shows
//! how many children there are.

use serde_json::json;

use crate::{
    cache::{Scope, Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::Files,
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        drive::{change_item, folder_by_id, is_folder, new_name, written},
        local::by_the_clock,
        tool::{ACCOUNT, CONFIRM},
    },
};

const EFFECT: Effect = Effect::Write { service: Service::Files };
const FOLDER: Param = Param::required("folder_id", ParamType::Id, "The folder's id, from folder_list.");
const NAME: ParamType = ParamType::Text { max: 255 };

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "folder_create",
        title: "Create a folder",
        profiles: &[Files],
        help: "Creates a OneDrive folder at the top, or in parent_folder_id. When the name is taken it gets a number, unless `conflict` is \
               fail. Returns the folder with its real name.",
        params: &[
            Param::required("name", NAME, "Its name."),
            ACCOUNT,
            Param::optional("parent_folder_id", ParamType::Id, "null", "The folder it goes into; without it the top."),
            Param::optional("conflict", ParamType::Choice(&["rename", "fail"]), "\"rename\"", "What to do when the name is taken."),
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: inside, act: |steps, args| Box::pin(by_the_clock(steps, create(steps, args))) },
    },
    Tool {
        name: "folder_delete",
        title: "Delete a folder",
        profiles: &[Files],
        help: "Deletes a OneDrive folder with all in it; it goes to the recycle bin. Ask the user first.",
        params: &[FOLDER, ACCOUNT, CONFIRM],
        effect: EFFECT,
        risk: Risk::Critical,
        idempotent: true,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(delete(steps, args)) },
    },
    Tool {
        name: "folder_rename",
        title: "Rename a folder",
        profiles: &[Files],
        help: "Gives a OneDrive folder another name; the paths of all in it change. Returns the folder; its id stays.",
        params: &[FOLDER, Param::required("new_name", NAME, "The new name."), ACCOUNT],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(by_the_clock(steps, rename(steps, args))) },
    },
    Tool {
        name: "folder_move",
        title: "Move a folder",
        profiles: &[Files],
        help: "Moves a OneDrive folder, with all in it, into another one. Returns the folder; its id stays. Moving it back undoes it.",
        params: &[
            FOLDER,
            Param::required("destination_folder_id", ParamType::Id, "The folder's id, from folder_list; root for the top."),
            ACCOUNT,
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(by_the_clock(steps, relocate(steps, args))) },
    },
];

fn folder_id(args: &Args) -> &str {
    args.text("folder_id").unwrap_or_default()
}

fn inside(args: &Args) -> Vec<Touch> {
    match args.text("parent_folder_id").filter(|parent| *parent != "root") {
        // Its own row shows how many children it has.
        Some(parent) => {
            vec![Touch::Item(parent.to_owned()), Touch::Scope(Scope::children(parent)), Touch::Scope(Scope::structure())]
        }
        None => vec![Touch::All],
    }
}

async fn create(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let name = new_name(args, "name")?;
    let parent = args.text("parent_folder_id").unwrap_or("root");
    let path: &[&str] = if parent == "root" { &["me", "drive", "root", "children"] } else { &["me", "drive", "items", parent, "children"] };
    let body = json!({ "name": name, "folder": {}, "@microsoft.graph.conflictBehavior": args.text("conflict") });
    Ok(written(&steps.send(GraphRequest::post(path, body)).await?.body, "created"))
}

/// The id given has to be a folder's: a file is not deleted by a tool for folders.
async fn demand_folder(steps: &dyn Steps, folder: &str) -> Result<(), StepError> {
    let request = GraphRequest::get(&["me", "drive", "items", folder]).with("$select", "id,folder,root");
    let item = steps.send(request).await.map_err(StepError::before)?.body;
    if item.get("root").is_some() {
        return Err(StepError::user("the_root", "that is the top of the drive, which stays as it is", "Name a folder in it."));
    }
    if !is_folder(&item) {
        return Err(StepError::user("not_a_folder", "that item is a file, not a folder", "The file_ tools change files."));
    }
    Ok(())
}

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    demand_folder(steps, folder_id(args)).await?;
    steps.send(GraphRequest::delete(&["me", "drive", "items", folder_id(args)])).await?;
    let learned = vec![(folder_id(args).to_owned(), Vec::new())];
    Ok(Written { answer: json!({ "status": "deleted", "folder_id": folder_id(args) }), touches: Vec::new(), learned, late: false })
}

async fn rename(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let name = new_name(args, "new_name")?.to_owned();
    demand_folder(steps, folder_id(args)).await?;
    change_item(steps, folder_id(args), json!({ "name": name }), "renamed").await
}

async fn relocate(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    demand_folder(steps, folder_id(args)).await?;
    let goal = folder_by_id(steps, args.text("destination_folder_id").unwrap_or_default()).await?;
    if goal == folder_id(args) {
        return Err(StepError::user("into_itself", "a folder cannot be moved into itself", "Name another destination_folder_id."));
    }
    change_item(steps, folder_id(args), json!({ "parentReference": { "id": goal } }), "moved").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, act};
    use serde_json::Value;

    fn fake() -> Fake {
        Fake::answering([
            ("GET /me/drive/items/D", json!({"id": "D", "folder": {"childCount": 0}})),
            ("GET /me/drive/items/F", json!({"id": "F", "file": {}})),
            ("GET /me/drive/items/R", json!({"id": "R", "root": {}, "folder": {}})),
            ("GET /me/drive/root", json!({"id": "R"})),
            ("POST /me/drive/root/children", json!({"id": "N", "name": "New 1", "parentReference": {"id": "R"}})),
            ("POST /me/drive/items/D/children", json!({"id": "N", "name": "New", "parentReference": {"id": "D"}})),
            ("PATCH /me/drive/items/D", json!({"id": "D", "name": "X", "parentReference": {"id": "R"}})),
            ("DELETE /me/drive/items/D", Value::Null),
        ])
    }

    #[tokio::test]
    async fn a_new_folder_says_its_real_name_and_a_known_parent_is_all_it_touches() {
        let fake = fake();
        let made = act(&fake, "folder_create", json!({"account_id": "a", "name": "New"})).await.unwrap();
        assert_eq!(made.answer["name"], "New 1");
        let sent = json!({"name": "New", "folder": {}, "@microsoft.graph.conflictBehavior": "rename"});
        assert_eq!(fake.requests()[0].body, Some(sent));
        let below = act(&fake, "folder_create", json!({"account_id": "a", "name": "New", "parent_folder_id": "D", "conflict": "fail"}))
            .await
            .unwrap();
        assert_eq!(below.learned, [("N".into(), vec![Scope::children("D")])]);
    }

    #[tokio::test]
    async fn files_and_the_root_are_not_changed_as_folders() {
        let fake = fake();
        act(&fake, "folder_rename", json!({"account_id": "a", "folder_id": "D", "new_name": "X"})).await.unwrap();
        act(&fake, "folder_move", json!({"account_id": "a", "folder_id": "D", "destination_folder_id": "root"})).await.unwrap();
        let gone = act(&fake, "folder_delete", json!({"account_id": "a", "folder_id": "D", "confirm": true})).await.unwrap();
        assert_eq!(gone.answer, json!({"status": "deleted", "folder_id": "D"}));
        for (folder, code) in [("F", "not_a_folder"), ("R", "the_root")] {
            let error = act(&fake, "folder_delete", json!({"account_id": "a", "folder_id": folder, "confirm": true})).await.unwrap_err();
            assert_eq!(error.code, code);
        }
        let itself =
            act(&fake, "folder_move", json!({"account_id": "a", "folder_id": "D", "destination_folder_id": "D"})).await.unwrap_err();
        assert_eq!(itself.code, "into_itself");
        let bad = act(&fake, "folder_create", json!({"account_id": "a", "name": "a/b"})).await.unwrap_err();
        assert!(bad.never_sent);
    }
}
