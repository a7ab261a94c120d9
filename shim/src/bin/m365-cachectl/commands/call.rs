//! `call`: one tool call, as an MCP client would make it. With `--json` the answer is printed as the daemon wrote it.

use m365_cached_proto::v1::{CallToolRequest, Consent, Fault, Kind};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{arguments, tools};
use crate::agree::declined;
use crate::context::{Context, answered};
use crate::output::{Paint, View};

/// What to call.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl call email_list account_id=ada@contoso.com folder=inbox limit=5
  m365-cachectl call email_get '{\"account_id\":\"ada@contoso.com\",\"email_id\":\"AAMk…\"}'
  m365-cachectl call email_send account_id=ada@contoso.com to=bob@contoso.com subject=Hello body=@letter.txt --dry-run

A value is read as the type the tool declares: `limit=5` is a number where the tool wants one and text where it wants text; lists and
objects are JSON. `@FILE` stands for what is in the file, `@@` for an `@` at the beginning. `m365-cachectl tools TOOL` lists the arguments.

A tool that reaches other people or destroys asks on the terminal first. Without a terminal it is refused, unless --yes is given.")]
pub(crate) struct Args {
    /// The tool's name
    pub(crate) tool: String,
    /// Arguments, or all of them as one JSON object
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) arguments: Vec<String>,
    /// One argument; as NAME=VALUE
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    pub(crate) args: Vec<String>,
    /// Show the requests a write would make, and make none of them
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Agree to what the tool asks
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The tool's own answer.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Answer(Value);

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Fault> {
    let mut client = context.tools().await?;
    let given: Vec<String> = args.arguments.into_iter().chain(args.args).collect();
    let mut arguments = match given.as_slice() {
        [] => Map::new(),
        [json] if json.trim_start().starts_with(['{', '[']) || !json.contains('=') => whole(json)?,
        given => {
            let tool = tools::named(tools::list(&mut client).await?, &args.tool)?;
            arguments::object(&tool.input_schema, given)?
        }
    };
    let request = |arguments: &Map<String, Value>| {
        let arguments = Value::Object(arguments.clone()).to_string().into();
        CallToolRequest { name: args.tool.clone(), arguments, dry_run: args.dry_run }
    };
    // As long as it takes: the daemon has a deadline of its own.
    let mut reply = answered(client.call_tool(request(&arguments)).await);
    if let Err(fault) = &reply
        && let Some(consent) = fault.consent.as_deref().cloned()
    {
        agreed(fault, &consent, args.yes, context)?;
        arguments.insert(consent.argument, serde_json::from_slice(&consent.value).unwrap_or_default());
        reply = answered(client.call_tool(request(&arguments)).await);
    }
    let text = String::from_utf8_lossy(&reply?.text).into_owned();
    match serde_json::from_str(&text) {
        Ok(answer) if !context.output.json => context.output.show(&Answer(answer)),
        _ => context.output.line(&text),
    };
    Ok(())
}

/// Asks the person at the terminal, unless they have said yes before.
fn agreed(fault: &Fault, consent: &Consent, yes: bool, context: &Context) -> Result<(), Fault> {
    if yes {
        return Ok(());
    }
    match context.output.ask(&consent.question) {
        Some(true) => Ok(()),
        Some(false) => Err(declined()),
        // Nobody is there to ask.
        None => {
            let message = format!("{}\n{}", fault.message, consent.question);
            Err(Fault::new(
                fault.kind(),
                &fault.code,
                message,
                "Look at it, then add `--yes`; `--dry-run` shows the requests it would make.",
            ))
        }
    }
}

/// The argument object as the user wrote it, checked.
fn whole(json: &str) -> Result<Map<String, Value>, Fault> {
    let hint = "Write `name=value`, or an object, quoted for the shell: '{\"limit\":5}'.";
    match serde_json::from_str::<Value>(json) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Fault::new(Kind::User, "invalid_argument", "the arguments are JSON but no object", hint)),
        Err(error) => Err(Fault::new(Kind::User, "invalid_argument", format!("the arguments are not JSON: {error}"), hint)),
    }
}

impl View for Answer {
    fn text(&self, _paint: Paint) -> String {
        format!("{:#}\n", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_sent() {
        assert_eq!(whole("{\"a\":1}").unwrap()["a"], 1);
        for wrong in ["[1]", "5", "{a:1}", ""] {
            assert_eq!(whole(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn an_answer_keeps_its_order() {
        let answer = Answer(serde_json::from_str(r#"{"z":1,"a":[]}"#).unwrap());
        assert_eq!(answer.text(Paint::OFF), "{\n  \"z\": 1,\n  \"a\": []\n}\n");
    }
}
