//! `tools --tokens`: what lists of tools cost a model, tool by tool of one profile, or profile by profile.

use m365_cached_proto::TOOL_PROFILES;
use m365_cached_proto::v1::Fault;
use m365_cached_proto::v1::tools_client::ToolsClient;
use serde::Serialize;
use tonic::transport::Channel;

use super::tools::{ToolView, listed};
use crate::context::Context;
use crate::output::{Paint, View, table};

/// What tokens are counted by. Vocabularies of other models are not published; theirs differ by some per cent.
const VOCABULARY: &str = "o200k_base";

/// One profile, tool by tool.
#[derive(Debug, Serialize)]
struct Costs {
    profile: String,
    /// The profile of clients whose launch line names none.
    configured: String,
    vocabulary: &'static str,
    tokens: u32,
    bytes: usize,
    tools: Vec<Cost>,
}

#[derive(Debug, Serialize)]
struct Cost {
    name: String,
    tokens: u32,
    bytes: usize,
}

/// Every profile.
#[derive(Debug, Serialize)]
struct Profiles {
    configured: String,
    vocabulary: &'static str,
    profiles: Vec<ProfileCost>,
}

#[derive(Debug, Serialize)]
struct ProfileCost {
    profile: &'static str,
    tools: usize,
    tokens: u32,
    bytes: usize,
}

pub(super) async fn run(context: &Context, tools: &mut ToolsClient<Channel>, profile: Option<&str>) -> Result<(), Fault> {
    if let Some(profile) = profile {
        let (list, configured) = listed(tools, profile).await?;
        context.output.show(&Costs::of(profile.to_owned(), configured, &list));
        return Ok(());
    }
    let (mut profiles, mut configured) = (Vec::new(), String::new());
    for profile in TOOL_PROFILES {
        let (list, of_daemon) = listed(tools, profile).await?;
        let (tokens, bytes) = sums(&list);
        profiles.push(ProfileCost { profile, tools: list.len(), tokens, bytes });
        configured = of_daemon;
    }
    context.output.show(&Profiles { configured, vocabulary: VOCABULARY, profiles });
    Ok(())
}

fn sums(list: &[ToolView]) -> (u32, usize) {
    (list.iter().map(|tool| tool.tokens).sum(), list.iter().map(ToolView::bytes).sum())
}

impl Costs {
    fn of(profile: String, configured: String, list: &[ToolView]) -> Self {
        let (tokens, bytes) = sums(list);
        let tools = list.iter().map(|tool| Cost { name: tool.name.clone(), tokens: tool.tokens, bytes: tool.bytes() }).collect();
        Self { profile, configured, vocabulary: VOCABULARY, tokens, bytes, tools }
    }
}

impl View for Costs {
    fn text(&self, paint: Paint) -> String {
        let row = |cost: &Cost| vec![format!("  {}", cost.name), cost.tokens.to_string(), format!("{} bytes", cost.bytes)];
        let Self { profile, tokens, bytes, .. } = self;
        let rows = table(&self.tools.iter().map(row).collect::<Vec<_>>());
        format!("{}\n{rows}\n{} tools, {tokens} tokens of {VOCABULARY}, {bytes} bytes\n", paint.strong(profile), self.tools.len())
    }
}

impl View for Profiles {
    fn text(&self, _: Paint) -> String {
        let row = |cost: &ProfileCost| {
            let mark = if cost.profile == self.configured { "configured" } else { "" };
            let ProfileCost { profile, tools, tokens, bytes } = cost;
            vec![(*profile).to_owned(), format!("{tools} tools"), format!("{tokens} tokens"), format!("{bytes} bytes"), mark.to_owned()]
        };
        format!("{}\ntokens of {VOCABULARY}\n", table(&self.profiles.iter().map(row).collect::<Vec<_>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tools::tests::email_list;

    #[test]
    fn costs_read_well() {
        let costs = Costs::of("essential".into(), "essential".into(), &[email_list()]);
        insta::assert_snapshot!("tool_costs_text", costs.text(Paint::OFF));
        insta::assert_json_snapshot!("tool_costs_json", costs);
        let cost = |profile, tools, tokens| ProfileCost { profile, tools, tokens, bytes: 4 * tokens as usize };
        let profiles = vec![cost("essential", 30, 5800), cost("full", 88, 28_000)];
        let profiles = Profiles { configured: "essential".into(), vocabulary: VOCABULARY, profiles };
        insta::assert_snapshot!("tool_profiles_text", profiles.text(Paint::OFF));
        insta::assert_json_snapshot!("tool_profiles_json", profiles);
    }
}
