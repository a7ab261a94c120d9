//! Microsoft's own examples: the tenant must answer each request on a path that it serves with the shape that is shown.
//!
//! `data` reads the examples, `aim` turns a request of theirs into one about things that the tenant has, `scene` finds or makes those
//! things, `shape` compares the answers.

mod aim;
mod data;
mod scene;
mod shape;

use m365_cached_tenant::csdl::Csdl;
use serde_json::Value;

use self::{
    aim::Aim,
    data::Example,
    scene::{Answer, Scene},
};
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

/// Why an example cannot be answered as it is shown, by what it says. It counts as failed all the same: this only tells why.
const REASONS: &[(&str, &str)] = &[
    ("ext55gb1l09", "the tenant holds no schema extensions"),
    ("contoso_oilChange", "the tenant holds no facets of one's own"),
    ("thumbnails", "the tenant makes no thumbnails"),
    ("remoteItem", "the tenant holds no shortcuts to other drives"),
    ("listItem", "the tenant holds no lists"),
    ("\"site\"", "the tenant holds no sites"),
    ("externalItem", "the tenant holds no items of connectors"),
];

/// Asks one example.
async fn ask(scene: &Scene, example: &Example) -> anyhow::Result<Fared> {
    let mut fared = match aim::aim(scene, example).await? {
        Aim::Ask(request) => judge(example, &scene.ask(&request).await?),
        Aim::Elsewhere(why) => Fared::NotServed(why.to_owned()),
        // What an example is about can be made only where the tenant serves that.
        Aim::Lacking(why) if why.contains("Resource not found for the segment") || why.contains(": 405 ") => {
            Fared::NotServed("the tenant has no way to make what it is about".to_owned())
        }
        Aim::Lacking(why) => Fared::Badly(vec![why]),
    };
    if let Fared::Badly(why) = &mut fared {
        let all = example.text();
        why.extend(REASONS.iter().filter(|(said, _)| all.contains(said)).map(|(_, reason)| (*reason).to_owned()));
    }
    Ok(fared)
}

/// Compares an answer with what the example shows.
fn judge(example: &Example, answer: &Answer) -> Fared {
    if let Some(why) = not_served(answer.status, &answer.body) {
        return Fared::NotServed(why);
    }
    if answer.body["responses"].as_array().is_some_and(|all| all.iter().any(|one| not_served(400, &one["body"]).is_some())) {
        return Fared::NotServed("the tenant has not all that the batch asks for".to_owned());
    }
    let mut wrong = Vec::new();
    let shown = &example.response;
    if let Some(status) = shown.status
        && status / 100 != answer.status / 100
    {
        let why = answer.body["error"]["message"].as_str().unwrap_or_default();
        wrong.push(format!("{} instead of {status} {why}", answer.status));
    } else if let Some(body) = shown.body.as_ref().filter(|body| body.is_object()) {
        wrong.extend(shape::differences(body, &answer.body, &|at| declared(example, at)));
    }
    if wrong.is_empty() { Fared::Well } else { Fared::Badly(wrong) }
}

/// Whether v1.0 declares what stands at this place of an example; some show what only beta has, or had.
fn declared(example: &Example, at: &str) -> bool {
    let name = at.rsplit('.').next().unwrap_or(at);
    if example.quality.not_in_csdl.iter().any(|lacking| lacking.rsplit('.').next() == Some(name)) {
        return false;
    }
    // The members of the thing itself; the examples were looked through for deeper ones only as far as the list above.
    let own = at.strip_prefix("value[].").unwrap_or(at);
    match example.quality.checked_as.as_deref().and_then(|full| full.strip_prefix("microsoft.graph.")) {
        Some(type_name) if !own.contains(['.', '@', '[']) && own != "value" => Csdl::v1().declares(type_name, own),
        _ => true,
    }
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
