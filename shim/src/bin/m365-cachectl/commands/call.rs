//! `call`: one tool call, as an MCP client would make it. With `--json` the answer is printed as the daemon wrote it.

use m365_cached_proto::v1::{CallToolRequest, Fault, Kind};
use serde::Serialize;
use serde_json::Value;

use super::{arguments, tools};
use crate::cli;
use crate::context::{Context, answered};
use crate::output::{Paint, View};

/// The tool's own answer.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Answer(Value);

pub(super) async fn run(context: &Context, args: cli::Call) -> Result<(), Fault> {
    let mut client = context.tools().await?;
    let arguments = match &args.arguments {
        Some(json) => whole(json)?,
        None if args.args.is_empty() => "{}".to_owned(),
        None => {
            let tool = tools::named(tools::list(&mut client).await?, &args.tool)?;
            Value::Object(arguments::object(&tool.input_schema, &args.args)?).to_string()
        }
    };
    // As long as it takes: the daemon has a deadline of its own.
    let reply = answered(client.call_tool(CallToolRequest { name: args.tool, arguments: arguments.into() }).await)?;
    let text = String::from_utf8_lossy(&reply.text);
    match serde_json::from_str(&text) {
        Ok(answer) if !context.output.json => context.output.show(&Answer(answer)),
        _ => context.output.line(&text),
    }
    Ok(())
}

/// The argument object as the user wrote it, checked.
fn whole(json: &str) -> Result<String, Fault> {
    let hint = "write an object, quoted for the shell: '{\"limit\":5}'";
    match serde_json::from_str::<Value>(json) {
        Ok(Value::Object(_)) => Ok(json.to_owned()),
        Ok(_) => Err(Fault::new(Kind::User, "invalid_argument", "The arguments are JSON but no object.", hint)),
        Err(error) => Err(Fault::new(Kind::User, "invalid_argument", format!("The arguments are not JSON: {error}."), hint)),
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
        assert_eq!(whole("{\"a\":1}").unwrap(), "{\"a\":1}");
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
