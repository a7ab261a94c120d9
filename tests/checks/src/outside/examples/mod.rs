//! Microsoft's own examples: the tenant must answer each request on a path that it serves with the shape that is shown.
//!
//! `data` reads the examples, `aim` turns a request of theirs into one about things that the tenant has, `scene` finds or makes those
//! things, `shape` compares the answers.

mod aim;
mod data;
mod scene;
mod shape;

use serde_json::Value;

use self::{aim::Aim, data::Example, scene::Scene};
use super::{
    report::{Fared, Report},
    stand::Stand,
};
use crate::demo::say;

/// Asks all examples whose id contains `only`.
pub(super) async fn run(only: Option<&str>, report: &mut Report) -> anyhow::Result<()> {
    let examples = data::examples()?;
    say(&format!("asking {} examples of Microsoft's documentation", examples.len()));
    let scene = Scene::new(Stand::start().await?).await?;
    for example in examples.iter().filter(|example| only.is_none_or(|only| example.id.contains(only))) {
        let fared = ask(&scene, example).await?;
        report.examples.insert(example.id.clone(), (example.title(), fared));
    }
    report.add(scene.end().await?);
    Ok(())
}

/// Asks one example.
async fn ask(scene: &Scene, example: &Example) -> anyhow::Result<Fared> {
    let request = match aim::aim(scene, example).await? {
        Aim::Ask(request) => request,
        Aim::Elsewhere(why) => return Ok(Fared::NotServed(why.to_owned())),
        Aim::Lacking(why) => return Ok(Fared::Badly(vec![why])),
    };
    let answer = scene.ask(&request).await?;
    if let Some(why) = not_served(answer.status, &answer.body) {
        return Ok(Fared::NotServed(why));
    }
    let mut wrong = Vec::new();
    let shown = &example.response;
    if let Some(status) = shown.status
        && status / 100 != answer.status / 100
    {
        let why = answer.body["error"]["message"].as_str().unwrap_or_default();
        wrong.push(format!("{} instead of {status} {why}", answer.status));
    } else if let Some(body) = shown.body.as_ref().filter(|body| body.is_object()) {
        let declared = |name: &str| example.quality.not_in_csdl.iter().all(|lacking| lacking.rsplit('.').next() != Some(name));
        wrong.extend(shape::differences(body, &answer.body, &|name| declared(name) && shape::is_given(name)));
    }
    Ok(if wrong.is_empty() { Fared::Well } else { Fared::Badly(wrong) })
}

/// Why this is no answer but a word that the tenant does not serve the address.
fn not_served(status: u16, body: &Value) -> Option<String> {
    let message = body["error"]["message"].as_str().unwrap_or_default();
    match status {
        400 if message.starts_with("Resource not found for the segment") => Some("the tenant has no such address".to_owned()),
        405 => Some("the tenant has the address, but not this method".to_owned()),
        _ => None,
    }
}
