//! `tools`: the catalogue, and one tool with its arguments.

use m365_cached_proto::v1::tools_client::ToolsClient;
use m365_cached_proto::v1::{Fault, Kind, ListToolsRequest, Tool};
use serde::Serialize;
use serde_json::Value;
use tonic::transport::Channel;

use super::arguments::types;
use super::tool_costs;
use crate::context::{Context, promptly};
use crate::output::{Paint, View, table};

/// Which tools to list.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Profiles:
  `--profile PROFILE` lists what clients of a profile of tools are shown, and with which schemas: essential,
  mail, calendar, files, read-only or full. Any other value is a folder as above; both can be given.
  `tools.profile` of `config.toml`, or `m365-mcp --tools PROFILE` in a client's launch line, says which
  profile a client has.

Examples:
  m365-cachectl tools
  m365-cachectl tools email_list
  m365-cachectl tools --profile essential
  m365-cachectl tools --profile essential --tokens
  m365-cachectl tools --tokens --json")]
pub(crate) struct Args {
    /// The tool's name
    pub(crate) tool: Option<String>,
    /// Count what the list costs a model, in tokens of o200k_base
    #[arg(long, conflicts_with = "tool")]
    pub(crate) tokens: bool,
    /// The profile of tools that `--profile` named: see `Cli::settle`.
    #[arg(skip)]
    pub(crate) profile: Option<String>,
}

/// `{"profile":"essential","configured":"essential","tools":[…],"schemas":{"bytes":n,"tokens":n}}`
#[derive(Debug, Serialize)]
struct Catalogue {
    /// Whose tools these are.
    profile: String,
    /// The profile of clients whose launch line names none.
    configured: String,
    tools: Vec<ToolView>,
    schemas: Schemas,
}

/// What a client puts before its model when it offers these tools: names, descriptions and schemas. Tokens are those of `o200k_base`.
#[derive(Debug, Serialize)]
struct Schemas {
    bytes: usize,
    tokens: u32,
}

/// One tool; `input_schema` is the JSON Schema of its arguments as an MCP client sees it.
#[derive(Debug, Serialize)]
pub(super) struct ToolView {
    pub(super) name: String,
    title: String,
    category: String,
    description: String,
    pub(super) read_only: bool,
    idempotent: bool,
    /// `safe`, `moderate`, `dangerous` or `critical`.
    safety_level: String,
    /// `never`, `sometimes` or `always`.
    asks: String,
    effect: String,
    /// The profiles whose lists show it.
    profiles: Vec<String>,
    /// What name, description and schema cost a model, in tokens of `o200k_base`.
    pub(super) tokens: u32,
    pub(super) input_schema: Value,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Fault> {
    let mut tools = context.tools().await?;
    if args.tokens {
        return tool_costs::run(context, &mut tools, args.profile.as_deref()).await;
    }
    let profile = args.profile.unwrap_or_else(|| "full".to_owned());
    let (all, configured) = listed(&mut tools, &profile).await?;
    match args.tool {
        None => context.output.show(&Catalogue::of(profile, configured, all)),
        Some(tool) => context.output.show(&named(all, &tool)?),
    };
    Ok(())
}

impl Catalogue {
    fn of(profile: String, configured: String, tools: Vec<ToolView>) -> Self {
        let schemas = Schemas { bytes: tools.iter().map(ToolView::bytes).sum(), tokens: tools.iter().map(|tool| tool.tokens).sum() };
        Self { profile, configured, tools, schemas }
    }
}

/// Everything the daemon can be asked.
pub(super) async fn list(tools: &mut ToolsClient<Channel>) -> Result<Vec<ToolView>, Fault> {
    Ok(listed(tools, "full").await?.0)
}

/// What clients of a profile are shown, and the profile that is configured.
pub(super) async fn listed(tools: &mut ToolsClient<Channel>, profile: &str) -> Result<(Vec<ToolView>, String), Fault> {
    let reply = promptly(tools.list_tools(ListToolsRequest { profile: profile.to_owned() })).await?;
    Ok((reply.tools.into_iter().map(ToolView::from).collect(), reply.configured))
}

impl ToolView {
    /// What a client puts before its model.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.description.len() + self.input_schema.to_string().len()
    }
}

/// The tool of that name.
pub(super) fn named(tools: Vec<ToolView>, name: &str) -> Result<ToolView, Fault> {
    tools
        .into_iter()
        .find(|tool| tool.name == name)
        .ok_or_else(|| Fault::new(Kind::User, "unknown_tool", format!("there is no tool `{name}`"), "`m365-cachectl tools` lists them."))
}

impl From<Tool> for ToolView {
    fn from(tool: Tool) -> Self {
        Self {
            input_schema: serde_json::from_slice(&tool.input_schema).unwrap_or(Value::Null),
            name: tool.name,
            title: tool.title,
            description: tool.description,
            read_only: tool.read_only,
            category: tool.category,
            idempotent: tool.idempotent,
            safety_level: tool.safety_level,
            asks: tool.asks,
            effect: tool.effect,
            profiles: tool.profiles,
            tokens: tool.tokens,
        }
    }
}

impl View for Catalogue {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        let row = |tool: &ToolView| {
            let asks = match tool.asks.as_str() {
                "always" => "asks",
                "sometimes" => "may ask",
                _ => "",
            };
            vec![format!("  {}", tool.name), tool.safety_level.clone(), asks.to_owned(), tool.title.clone()]
        };
        // One table, so that the columns of all families line up.
        let rows = table(&self.tools.iter().map(row).collect::<Vec<_>>());
        let mut family = "";
        for (tool, row) in self.tools.iter().zip(rows.lines()) {
            if tool.category != family {
                family = &tool.category;
                text.push_str(&format!("{}\n", paint.strong(family)));
            }
            text.push_str(&format!("{row}\n"));
        }
        let Schemas { bytes, tokens } = self.schemas;
        let Self { profile, configured, .. } = self;
        let count = self.tools.len();
        text + &format!(
            "\n{count} tools of the profile {profile}; their schemas have {bytes} bytes, {tokens} tokens of o200k_base\n\
             clients are shown the profile {configured}, unless their launch line names another\n"
        )
    }
}

impl View for ToolView {
    fn text(&self, paint: Paint) -> String {
        let asks = match self.asks.as_str() {
            "always" => "; asks first",
            "sometimes" => "; with some arguments it asks first",
            _ => "",
        };
        let (name, profiles) = (paint.strong(&self.name), self.profiles.join(", "));
        let head = format!("{name} ({}{asks})", self.safety_level);
        let mut text = format!("{head}\n{}\n\n{}\nshown in {profiles}; {} tokens\n", self.description.trim_end(), self.effect, self.tokens);
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
            let kind = [types(schema).join("|"), limits(schema)].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
            vec![format!("  {name}"), kind, need, schema["description"].as_str().unwrap_or_default().to_owned()]
        };
        text.push_str("\narguments:\n");
        text.push_str(&table(&properties.iter().map(row).collect::<Vec<_>>()));
        text
    }
}

/// What a value may be: `1..200`, `to 64 characters`, `a, b or c`, `1..10 items`.
fn limits(schema: &Value) -> String {
    let range = |least: &str, most: &str| match (schema[least].as_u64(), schema[most].as_u64()) {
        (None | Some(0), Some(most)) => format!("to {most}"),
        (Some(least), Some(most)) => format!("{least}..{most}"),
        (Some(least), None) => format!("from {least}"),
        (None, None) => String::new(),
    };
    let of = |range: String, what: &str| if range.is_empty() { range } else { format!("{range} {what}") };
    if let Some(words) = schema["enum"].as_array().or_else(|| schema["items"]["enum"].as_array()) {
        return words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    }
    match types(schema).as_slice() {
        ["array"] => of(range("minItems", "maxItems"), "items"),
        ["string"] => schema["maxLength"].as_u64().map_or(String::new(), |most| format!("to {most} characters")),
        _ => range("minimum", "maximum"),
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
                "limit":{"type":"integer","minimum":1,"maximum":200,"default":10,"description":"How many"},
                "folder":{"type":"string","enum":["inbox","sent"]},
                "unread":{"type":["boolean","null"]},
                "to":{"type":"array","items":{"type":"string"},"maxItems":500},
                "fields":{"type":"array","minItems":1,"maxItems":10}},"required":["account_id"]}"#
                .as_slice()
                .into(),
            read_only: true,
            category: "email".into(),
            safety_level: "safe".into(),
            asks: "never".into(),
            idempotent: true,
            effect: "reads mail; fresh for 120 s, stale until 600 s".into(),
            profiles: vec!["essential".into(), "mail".into(), "full".into()],
            tokens: 320,
        })
    }

    #[test]
    fn tools_read_well() {
        let send = ToolView {
            name: "email_send".into(),
            title: "Send a message".into(),
            read_only: false,
            safety_level: "dangerous".into(),
            asks: "always".into(),
            ..email_list()
        };
        let folder = ToolView { name: "folder_list".into(), category: "folder".into(), asks: "sometimes".into(), ..email_list() };
        let view = Catalogue::of("mail".into(), "essential".into(), vec![email_list(), send, folder]);
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
