//! `file_share`.
//!
//! The original makes a link for anybody on the internet unless told otherwise, and does not ask. Here the default is the organisation, and
//! every link needs the user's consent.

use serde_json::json;

use super::{FILE, file_id};
use crate::{
    cache::Service,
    graph::GraphRequest,
    ids::ToolProfile::{Essential, Files},
    tools::{
        Args, Asks, Does, Effect, Param, ParamType, Risk, StepError, Steps, Tool, Written,
        local::by_the_clock,
        shape::pick,
        tool::{ACCOUNT, CONFIRM_TOKEN},
    },
};

pub(in crate::tools) const TOOLS: &[Tool] = &[Tool {
    name: "file_share",
    title: "Share a file by link",
    profiles: &[Essential, Files],
    help: "Makes a link to a OneDrive file or folder: for the organisation by default, for anybody on the internet with \
           scope=anonymous. Needs the user's consent. Returns link.webUrl.",
    params: &[
        FILE,
        ACCOUNT,
        Param::optional("permission_type", ParamType::Choice(&["view", "edit"]), "\"view\"", "What the link allows."),
        Param::optional(
            "scope",
            ParamType::Choice(&["anonymous", "organization"]),
            "\"organization\"",
            "Who can use it; personal accounts only have anonymous.",
        ),
        CONFIRM_TOKEN,
    ],
    effect: Effect::Write { service: Service::Files },
    risk: Risk::Dangerous,
    // Graph gives the link that is there already.
    idempotent: true,
    asks: Asks::Always,
    canonical: None,
    // No answer that is kept shows permissions.
    does: Does::Write { touches: |_| Vec::new(), act: |steps, args| Box::pin(by_the_clock(steps, share(steps, args))) },
}];

async fn share(steps: &dyn Steps, args: &Args) -> Result<Written, StepError> {
    let scope = args.text("scope").unwrap_or("organization");
    if steps.personal() && scope == "organization" {
        let what = "a personal account has no organisation to share with";
        return Err(StepError::user("no_organization", what, "Pass scope=anonymous: then anybody who has the link can use it."));
    }
    let body = json!({ "type": args.text("permission_type"), "scope": scope });
    let made = steps.send(GraphRequest::post(&["me", "drive", "items", file_id(args), "createLink"], body)).await?.body;
    let answer = pick(&made, &["id", "roles", "link", "hasPassword", "expirationDateTime"]).into();
    Ok(Written { answer, touches: Vec::new(), learned: Vec::new(), late: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::fake::{Fake, act};

    #[tokio::test]
    async fn a_link_is_for_the_organisation_unless_asked_otherwise() {
        let made = json!({"@odata.context": "c", "id": "P", "roles": ["read"], "link": {"type": "view", "scope": "organization", "webUrl": "https://x"}});
        let fake = Fake::answering([("POST /me/drive/items/01A/createLink", made)]);
        let written = act(&fake, "file_share", json!({"account_id": "a", "file_id": "01A"})).await.unwrap();
        assert_eq!(fake.requests()[0].body, Some(json!({"type": "view", "scope": "organization"})));
        assert_eq!((&written.answer["link"]["webUrl"], written.answer.get("@odata.context")), (&json!("https://x"), None));
        let personal = Fake::answering([]).of_personal();
        let error = act(&personal, "file_share", json!({"account_id": "a", "file_id": "01A"})).await.unwrap_err();
        assert!(error.never_sent && error.hint.unwrap().contains("scope=anonymous"));
    }
}
