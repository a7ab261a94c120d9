//! `file_delete`, `file_copy`, `file_move` and `file_rename`.
//!
//! All of the drive counts as touched, because nothing narrower can be proved right before the reply, which may be lost. Lists show the size
//! of a folder, the sum of all that lies below it, so a change of size reaches the rows of every folder above; the ledger's `items` know the
//! way up only as far as answers have shown it. And the id may be a folder's, which nothing kept tells: then the paths of all below it change.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{FILE, file_id};
use crate::{
    cache::{Service, Touch},
    graph::GraphRequest,
    ids::ToolProfile::Files,
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        drive::{change_item, folder_by_id, new_name},
        local::by_the_clock,
        shape::text,
        tool::{ACCOUNT, CONFIRM},
    },
};

/// How long a copy is followed; a large one goes on by itself.
const PATIENCE: Duration = Duration::from_secs(45);

const EFFECT: Effect = Effect::Write { service: Service::Files };
const DESTINATION: Param = Param::required("destination_folder_id", ParamType::Id, "The folder's id, from folder_list; root for the top.");

pub(in crate::tools) const TOOLS: &[Tool] = &[
    Tool {
        name: "file_delete",
        title: "Delete a file",
        profiles: &[Files],
        help: "Deletes a OneDrive file, or a folder with all in it; it goes to the recycle bin. Ask the user first.",
        params: &[FILE, ACCOUNT, CONFIRM],
        effect: EFFECT,
        risk: Risk::Critical,
        idempotent: true,
        asks: Asks::Always,
        canonical: None,
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(delete(steps, args)) },
    },
    Tool {
        name: "file_copy",
        title: "Copy a file",
        profiles: &[Files],
        help: "Copies a OneDrive file or folder into another folder and waits until it is done: status completed, with the copy's id. A large \
               copy goes on by itself after 45 seconds: status running, percentage.",
        params: &[
            FILE,
            DESTINATION,
            ACCOUNT,
            Param::optional("new_name", ParamType::Text { max: 255 }, "null", "A name for the copy; the same one by default."),
        ],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: false,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(copy(steps, args)) },
    },
    Tool {
        name: "file_move",
        title: "Move a file",
        profiles: &[Files],
        help: "Moves a OneDrive file or folder into another folder. Returns the item; its id stays. Moving it back undoes it.",
        params: &[FILE, DESTINATION, ACCOUNT],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(by_the_clock(steps, relocate(steps, args))) },
    },
    Tool {
        name: "file_rename",
        title: "Rename a file",
        profiles: &[Files],
        help: "Gives a OneDrive file or folder another name. Returns the item; its id stays.",
        params: &[FILE, Param::required("new_name", ParamType::Text { max: 255 }, "The new name, with its ending."), ACCOUNT],
        effect: EFFECT,
        risk: Risk::Moderate,
        idempotent: true,
        asks: Asks::Never,
        canonical: None,
        does: Does::Write { touches: |_| vec![Touch::All], act: |steps, args| Box::pin(by_the_clock(steps, rename(steps, args))) },
    },
];

async fn delete(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    steps.send(GraphRequest::delete(&["me", "drive", "items", file_id(args)])).await?;
    let learned = vec![(file_id(args).to_owned(), Vec::new())];
    Ok(Written { answer: json!({ "status": "deleted" }), touches: Vec::new(), learned, late: false })
}

async fn relocate(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let folder = folder_by_id(steps, args.text("destination_folder_id").unwrap_or_default()).await?;
    change_item(steps, file_id(args), json!({ "parentReference": { "id": folder } }), "moved").await
}

async fn rename(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let name = new_name(args, "new_name")?;
    change_item(steps, file_id(args), json!({ "name": name }), "renamed").await
}

async fn copy(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let folder = folder_by_id(steps, args.text("destination_folder_id").unwrap_or_default()).await?;
    let mut body = Map::new();
    body.insert("parentReference".into(), json!({ "id": folder }));
    if args.has("new_name") {
        body.insert("name".into(), new_name(args, "new_name")?.into());
    }
    let accepted = steps.send(GraphRequest::post(&["me", "drive", "items", file_id(args), "copy"], body.into())).await?;
    let Some(monitor) = accepted.location else {
        // Accepted, and nobody says where to look: what it comes to shows later.
        return Ok(running(Value::Null, true));
    };
    // From here on it happens, whatever becomes of our watching it.
    match steps.files().follow(&monitor, PATIENCE).await {
        Ok(done) if done.status == 200 => {
            let copy = text(&done.body, "resourceId");
            let answer = json!({ "status": "completed", "id": copy, "name": args.text("new_name") });
            let learned = copy.map(|copy| (copy.to_owned(), vec![crate::cache::Scope::children(&folder)])).into_iter().collect();
            Ok(Written { answer, touches: Vec::new(), learned, late: false })
        }
        Ok(still) => Ok(running(still.body.get("percentageComplete").cloned().unwrap_or_default(), true)),
        // The copy itself failed, and Graph said why.
        Err(error) if error.kind == crate::hint::Kind::Denied || error.kind == crate::hint::Kind::User => Err(error),
        Err(error) => Err(StepError { unknown_outcome: true, never_sent: false, ..error }),
    }
}

fn running(percentage: Value, late: bool) -> Written {
    let answer = json!({ "status": "running", "percentage": percentage, "hint": "It goes on by itself; look at the folder in a while." });
    Written { answer, touches: Vec::new(), learned: Vec::new(), late }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, act, refusal};

    fn item(name: &str) -> Value {
        json!({"id": "01A", "name": name, "parentReference": {"id": "Q"}, "@microsoft.graph.downloadUrl": "s"})
    }

    #[tokio::test]
    async fn moving_and_renaming_set_what_is_to_be() {
        let fake = Fake::answering([
            ("PATCH /me/drive/items/01A", item("b.txt")),
            ("GET /me/drive/root", json!({"id": "ROOT"})),
            ("DELETE /me/drive/items/01A", Value::Null),
        ]);
        let moved = act(&fake, "file_move", json!({"account_id": "a", "file_id": "01A", "destination_folder_id": "root"})).await.unwrap();
        assert_eq!(moved.answer, json!({"id": "01A", "name": "b.txt", "parentReference": {"id": "Q"}}));
        assert_eq!(fake.requests()[1].body, Some(json!({"parentReference": {"id": "ROOT"}})), "Graph takes no alias here");
        act(&fake, "file_rename", json!({"account_id": "a", "file_id": "01A", "new_name": "b.txt"})).await.unwrap();
        assert_eq!((fake.requests()[2].body.clone(), fake.requests()[2].idempotent), (Some(json!({"name": "b.txt"})), true));
        for wrong in ["a/b", "..", "con:", "x.", "a\\b", "tab\tx"] {
            let error = act(&fake, "file_rename", json!({"account_id": "a", "file_id": "01A", "new_name": wrong})).await.unwrap_err();
            assert!(error.never_sent, "{wrong}");
        }
        let gone = act(&fake, "file_delete", json!({"account_id": "a", "file_id": "01A", "confirm": true})).await.unwrap();
        assert_eq!(gone.answer, json!({"status": "deleted"}));
    }

    #[tokio::test]
    async fn a_copy_nobody_can_watch_is_said_to_run() {
        let fake = Fake::answering([("POST /me/drive/items/01A/copy", Value::Null)]);
        let given = json!({"account_id": "a", "file_id": "01A", "destination_folder_id": "Q", "new_name": "c.txt"});
        let written = act(&fake, "file_copy", given).await.unwrap();
        assert_eq!((&written.answer["status"], written.late), (&json!("running"), true));
        let asked = &fake.requests()[0];
        assert_eq!((asked.body.clone(), asked.idempotent), (Some(json!({"parentReference": {"id": "Q"}, "name": "c.txt"})), false));
    }

    #[tokio::test]
    async fn a_taken_name_says_what_to_do() {
        let fake = Fake::new(|_| Some(Err(refusal(409, "taken"))));
        let error = act(&fake, "file_rename", json!({"account_id": "a", "file_id": "01A", "new_name": "b.txt"})).await.unwrap_err();
        assert!(error.hint.unwrap().contains("name"));
    }
}
