//! `tools`: the catalogue, and one tool with its arguments.

use m365_cached_proto::v1::tools_client::ToolsClient;
use m365_cached_proto::v1::{Fault, Kind, ListToolsRequest, Tool};
use serde::Serialize;
use serde_json::Value;
use tonic::transport::Channel;

use super::arguments::types;
use crate::cli;
use crate::context::{Context, promptly};
use crate::output::{Paint, View, table};

/// `{"tools":[…]}`
#[derive(Debug, Serialize)]
struct Catalogue {
    tools: Vec<ToolView>,
}

/// One tool; `input_schema` is the JSON Schema of its arguments as an MCP client sees it.
#[derive(Debug, Serialize)]
pub(super) struct ToolView {
    pub(super) name: String,
    title: String,
    description: String,
    read_only: bool,
    pub(super) input_schema: Value,
}

pub(super) async fn run(context: &Context, action: Option<cli::Tools>) -> Result<(), Fault> {
    let mut tools = context.tools().await?;
    match action {
        None => context.output.show(&Catalogue { tools: list(&mut tools).await? }),
        Some(cli::Tools::Show { tool }) => context.output.show(&named(list(&mut tools).await?, &tool)?),
    }
    Ok(())
}

/// Everything the daemon can be asked.
pub(super) async fn list(tools: &mut ToolsClient<Channel>) -> Result<Vec<ToolView>, Fault> {
    let reply = promptly(tools.list_tools(ListToolsRequest {})).await?;
    Ok(reply.tools.into_iter().map(ToolView::from).collect())
}

/// The tool of that name.
pub(super) fn named(tools: Vec<ToolView>, name: &str) -> Result<ToolView, Fault> {
    tools
        .into_iter()
        .find(|tool| tool.name == name)
        .ok_or_else(|| Fault::new(Kind::User, "unknown_tool", format!("There is no tool `{name}`."), "`m365-cachectl tools` lists them"))
}

impl From<Tool> for ToolView {
    fn from(tool: Tool) -> Self {
        Self {
            input_schema: serde_json::from_slice(&tool.input_schema).unwrap_or(Value::Null),
            name: tool.name,
            title: tool.title,
            description: tool.description,
            read_only: tool.read_only,
        }
    }
}

impl View for Catalogue {
    fn text(&self, _paint: Paint) -> String {
        let row = |tool: &ToolView| vec![tool.name.clone(), if tool.read_only { "reads" } else { "writes" }.to_owned(), tool.title.clone()];
        table(&self.tools.iter().map(row).collect::<Vec<_>>())
    }
}

impl View for ToolView {
    fn text(&self, paint: Paint) -> String {
        let effect = if self.read_only { "reads only" } else { "writes" };
        let mut text = format!("{} ({effect})\n{}\n", paint.strong(&self.name), self.description.trim_end());
        let required = |name: &str| self.input_schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let Some(properties) = self.input_schema["properties"].as_object().filter(|all| !all.is_empty()) else {
            return text + "\nno arguments\n";
        };
        let row = |(name, schema): (&String, &Value)| {
            let need = match (&schema["default"], required(name)) {
                (_, true) => "required".to_owned(),
                (Value::Null, false) => String::new(),
                (default, false) => format!("default {default}"),
            };
            vec![format!("  {name}"), types(schema).join("|"), need, schema["description"].as_str().unwrap_or_default().to_owned()]
        };
        text.push_str("\narguments:\n");
        text.push_str(&table(&properties.iter().map(row).collect::<Vec<_>>()));
        text
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::commands) fn email_list() -> ToolView {
        ToolView::from(Tool {
            name: "email_list".into(),
            title: "List mail".into(),
            description: "Mail of a folder, newest first.".into(),
            input_schema: br#"{"type":"object","properties":{
                "account_id":{"type":"string","description":"Which account"},
                "limit":{"type":"integer","default":10,"description":"How many"},
                "unread":{"type":["boolean","null"]},
                "fields":{"type":"array"}},"required":["account_id"]}"#
                .as_slice()
                .into(),
            read_only: true,
        })
    }

    #[test]
    fn tools_read_well() {
        let mark = ToolView { name: "email_mark_read".into(), title: "Mark as read".into(), read_only: false, ..email_list() };
        let view = Catalogue { tools: vec![email_list(), mark] };
        insta::assert_snapshot!("tools_text", view.text(Paint::OFF));
        insta::assert_json_snapshot!("tools_json", view);
        insta::assert_snapshot!("tools_show_text", email_list().text(Paint::OFF));
    }

    #[test]
    fn an_unknown_tool_is_the_users_mistake() {
        let fault = named(vec![email_list()], "email_lst").unwrap_err();
        assert_eq!((fault.code.as_str(), fault.exit_code()), ("unknown_tool", 2));
    }
}
