//! Creating, renaming, moving and deleting mail folders.
//!
//! Names, places and counts of all folders are one scope. A deleted folder takes its messages along, and a moved one may take them to or
//! from Deleted Items; which they are is not known, so a deletion touches all of the mailbox's mail.

use serde_json::{Map, Value, json};

use super::{FIELDS, FOLDER, as_graph_names_it, one_folder};
use crate::{
    cache::{Scope, Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::Mail,
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        email::{ask_if_bin, is_bin},
        mailbox::at,
        shape::pick,
        tool::{ACCOUNT, CONFIRM, CONFIRM_TOKEN, MAILBOX},
    },
};

/// Longest name Exchange takes for a folder, in characters.
const NAME_MAX: usize = 255;

const EFFECT: Effect = Effect::Write { service: Service::Mail };

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "emailfolders_create",
        title: "Create a mail folder",
        profiles: &[Mail],
        help: "Creates a mail folder at the top level, or below parent_folder_id. Returns the folder.",
        params: &[
            Param::required("display_name", ParamType::Text { max: NAME_MAX }, "Its name."),
            ACCOUNT,
            Param::optional("parent_folder_id", ParamType::Id, "null", "The folder it goes into; without it the top level."),
            MAILBOX,
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: structure, act: |steps, args| Box::pin(create(steps, args)) },
    },
    Tool {
        name: "emailfolders_rename",
        title: "Rename a mail folder",
        profiles: &[Mail],
        help: "Gives a mail folder another name. Returns the folder; its id stays.",
        params: &[FOLDER, Param::required("new_display_name", ParamType::Text { max: NAME_MAX }, "Its new name."), ACCOUNT, MAILBOX],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: Some(one_folder),
        does: Does::Write { touches: structure, act: |steps, args| Box::pin(rename(steps, args)) },
    },
    Tool {
        name: "emailfolders_move",
        title: "Move a mail folder",
        profiles: &[Mail],
        help: "Moves a mail folder, with all in it, below another one. Returns the folder. Moving it back undoes it. To `deleted` it asks the \
               user first.",
        params: &[
            FOLDER,
            Param::required("destination_folder_id", ParamType::Id, "The folder it goes into; msgfolderroot for the top level."),
            ACCOUNT,
            MAILBOX,
            CONFIRM_TOKEN,
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        // Into Deleted Items it is a deletion, which asks too.
        asks: Asks::When(|args| is_bin(destination(args))),
        canonical: Some(one_folder),
        does: Does::Write { touches: structure, act: |steps, args| Box::pin(relocate(steps, args)) },
    },
    Tool {
        name: "emailfolders_delete",
        title: "Delete a mail folder",
        profiles: &[Mail],
        help: "Deletes a mail folder with all messages and folders in it. Exchange keeps them in Deleted Items unless it lay there already. \
               Ask the user first.",
        params: &[FOLDER, ACCOUNT, CONFIRM, MAILBOX],
        effect: EFFECT,
        risk: Risk::Critical,
        idempotent: false,
        asks: Asks::Always,
        canonical: Some(one_folder),
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(delete(steps, args)) },
    },
];

fn structure(_: &Args) -> Vec<Touch> {
    vec![Touch::Scope(Scope::folders())]
}

fn folder_id(args: &Args) -> &str {
    args.text("folder_id").map(as_graph_names_it).unwrap_or_default()
}

fn destination(args: &Args) -> &str {
    args.text("destination_folder_id").unwrap_or_default()
}

/// What Graph said of the folder; where it said nothing, that the act was done.
fn written(folder: &Value, done: &str) -> Written {
    let mut answer = pick(folder, &FIELDS);
    if answer.is_empty() {
        answer = Map::from_iter([("status".to_owned(), done.into())]);
    }
    Written { answer: answer.into(), touches: Vec::new(), learned: Vec::new(), late: false }
}

async fn create(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let body = json!({ "displayName": args.text("display_name") });
    let request = match args.text("parent_folder_id").map(as_graph_names_it) {
        Some(parent) => GraphRequest::post(&at(args, &["mailFolders", parent, "childFolders"]), body),
        None => GraphRequest::post(&at(args, &["mailFolders"]), body),
    };
    Ok(written(&steps.send(request).await?.body, "created"))
}

async fn rename(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let change = json!({ "displayName": args.text("new_display_name") });
    let request = GraphRequest::patch(&at(args, &["mailFolders", folder_id(args)]), change).repeatable();
    Ok(written(&steps.send(request).await?.body, "renamed"))
}

async fn relocate(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    // An action of its own: Graph takes no parentFolderId in a PATCH (Graph documentation, *mailFolder: move*).
    ask_if_bin(steps, args, destination(args)).await?;
    let to = json!({ "destinationId": as_graph_names_it(destination(args)) });
    let request = GraphRequest::post(&at(args, &["mailFolders", folder_id(args), "move"]), to);
    Ok(written(&steps.send(request).await?.body, "moved"))
}

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    steps.send(GraphRequest::delete(&at(args, &["mailFolders", folder_id(args)]))).await?;
    let answer = json!({ "status": "deleted", "folder_id": args.text("folder_id") });
    Ok(Written { answer, touches: Vec::new(), learned: Vec::new(), late: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::Method,
        tools::fake::{Fake, act, args, refusal},
    };

    fn fake() -> Fake {
        let folder = json!({"@odata.etag": "x", "id": "F", "displayName": "New", "parentFolderId": "P", "childFolderCount": 0,
            "unreadItemCount": 0, "totalItemCount": 0, "isHidden": false, "sizeInBytes": 1});
        Fake::answering([
            ("POST /me/mailFolders", folder.clone()),
            ("POST /me/mailFolders/sentitems/childFolders", folder.clone()),
            ("PATCH /me/mailFolders/F", folder.clone()),
            ("POST /users/team%40x.org/mailFolders/F/move", folder),
            ("DELETE /me/mailFolders/F%2F1", Value::Null),
        ])
    }

    #[tokio::test]
    async fn each_change_is_the_call_graph_documents() {
        let fake = fake();
        let made = act(&fake, "emailfolders_create", json!({"account_id": "a", "display_name": "New"})).await.unwrap();
        assert_eq!(made.answer["displayName"], "New");
        assert!(made.answer.get("@odata.etag").is_none() && made.answer.get("sizeInBytes").is_none());
        act(&fake, "emailfolders_create", json!({"account_id": "a", "display_name": "New", "parent_folder_id": "Sent"})).await.unwrap();
        act(&fake, "emailfolders_rename", json!({"account_id": "a", "folder_id": "F", "new_display_name": "New"})).await.unwrap();
        let moving = json!({"account_id": "a", "folder_id": "F", "destination_folder_id": "deleted", "mailbox": "team@x.org"});
        assert!(crate::tools::find("emailfolders_move").unwrap().asks_for(&args("emailfolders_move", moving.clone()).unwrap()));
        act(&fake, "emailfolders_move", moving).await.unwrap();
        let gone = act(&fake, "emailfolders_delete", json!({"account_id": "a", "folder_id": "F/1", "confirm": true})).await.unwrap();
        assert_eq!(gone.answer, json!({"status": "deleted", "folder_id": "F/1"}));
        let asked = fake.requests();
        let bodies: Vec<_> = asked.iter().map(|request| request.body.clone().unwrap_or_default().to_string()).collect();
        assert_eq!(bodies[3], r#"{"destinationId":"deleteditems"}"#);
        // Only giving it the same name twice does the same as once.
        assert_eq!(asked.iter().map(|request| request.idempotent).collect::<Vec<_>>(), [false, false, true, false, false]);
        assert_eq!(asked[4].method, Method::Delete);
    }

    /// With all in it: it is a deletion, whatever its name.
    #[tokio::test]
    async fn a_move_into_deleted_items_by_its_id_asks() {
        let fake = Fake::answering([
            ("GET /me/mailFolders/deleteditems", json!({"id": "TRASH="})),
            ("POST /me/mailFolders/F/move", json!({"id": "F"})),
        ]);
        let given = |folder: &str| json!({"account_id": "a", "folder_id": "F", "destination_folder_id": folder});
        assert!(act(&fake, "emailfolders_move", given("TRASH=")).await.unwrap_err().is_unconfirmed());
        assert_eq!(fake.requests().len(), 1);
        act(&fake, "emailfolders_move", given("OTHER=")).await.unwrap();
        let top = args("emailfolders_move", given("msgfolderroot")).unwrap();
        assert!(!crate::tools::find("emailfolders_move").unwrap().asks_for(&top));
    }

    #[tokio::test]
    async fn what_graph_refuses_is_an_error() {
        let fake = Fake::new(|_| Some(Err(refusal(409, "ErrorFolderExists"))));
        let refused = act(&fake, "emailfolders_create", json!({"account_id": "a", "display_name": "Inbox"})).await.unwrap_err();
        assert_eq!(refused.status, Some(409));
    }
}
