//! `name=value` to JSON: a value is read as the type the tool declares, and `@file` is what is in the file.

use std::borrow::Cow;

use m365_cached_proto::v1::{Fault, Kind};
use serde_json::{Map, Value};

/// The argument object for a tool with this schema.
pub(super) fn object(schema: &Value, args: &[String]) -> Result<Map<String, Value>, Fault> {
    let mut object = Map::new();
    for arg in args {
        let (name, text) = arg
            .split_once('=')
            .ok_or_else(|| wrong(format!("`{arg}` has no `=`"), "Write `name=value`, or all arguments as one JSON object."))?;
        let text = content(name, text)?;
        if object.insert(name.to_owned(), value(name, &schema["properties"][name], &text)?).is_some() {
            return Err(wrong(format!("`{name}` is given twice"), "For a list write `name='[\"a\",\"b\"]'`."));
        }
    }
    Ok(object)
}

/// What was typed, or what is in the file that was named.
fn content<'a>(name: &str, text: &'a str) -> Result<Cow<'a, str>, Fault> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.into()) };
    if path.starts_with('@') {
        return Ok(path.into());
    }
    let unread = |error: std::io::Error| {
        wrong(format!("`{path}`, given for `{name}`, cannot be read: {error}"), "For text that begins with @ write @@.")
    };
    std::fs::read_to_string(path).map(Cow::from).map_err(unread)
}

/// The JSON types a schema allows; empty when it does not say.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn value(name: &str, schema: &Value, text: &str) -> Result<Value, Fault> {
    let parsed = serde_json::from_str::<Value>(text).ok();
    let types = types(schema);
    let fits = |value: &Value| match value {
        Value::Null => types.contains(&"null"),
        Value::Bool(_) => types.contains(&"boolean"),
        Value::Number(number) => types.contains(&"number") || (types.contains(&"integer") && !number.is_f64()),
        Value::String(_) => false,
        Value::Array(_) => types.contains(&"array"),
        Value::Object(_) => types.contains(&"object"),
    };
    match parsed {
        // An argument the tool does not declare is for the daemon to refuse; JSON is the best guess.
        _ if types.is_empty() => Ok(parsed.unwrap_or_else(|| text.into())),
        Some(value) if fits(&value) => Ok(value),
        // Text stays as it was typed, also when it looks like a number.
        _ if types.contains(&"string") => Ok(text.into()),
        // One text is a list of one, and the daemon takes addresses apart at their commas.
        _ if types.contains(&"array") && schema["items"]["type"] == "string" => Ok(text.into()),
        _ => {
            Err(wrong(format!("`{name}` must be {}, not `{text}`", types.join(" or ")), "`m365-cachectl tools TOOL` lists the arguments."))
        }
    }
}

fn wrong(message: String, hint: &str) -> Fault {
    Fault::new(Kind::User, "invalid_argument", message, hint)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::commands::tools::tests::email_list;

    fn read(args: &[&str]) -> Result<Value, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        object(&email_list().input_schema, &args).map(Value::Object).map_err(|fault| fault.message)
    }

    #[test]
    fn values_take_the_declared_type() {
        let got = read(&["account_id=5", "limit=5", "unread=true", "fields=[\"a\"]", "other=x=y", "more=7"]);
        assert_eq!(got, Ok(json!({"account_id":"5","limit":5,"unread":true,"fields":["a"],"other":"x=y","more":7})));
        assert_eq!(read(&["to=a@x.example, b@x.example"]), Ok(json!({"to": "a@x.example, b@x.example"})));
        assert_eq!(read(&["unread=null", "account_id="]), Ok(json!({"unread":null,"account_id":""})));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(read(&["limit=many"]), Err("`limit` must be integer, not `many`".into()));
        assert_eq!(read(&["limit=1.5"]), Err("`limit` must be integer, not `1.5`".into()));
        assert_eq!(read(&["limit"]), Err("`limit` has no `=`".into()));
        assert_eq!(read(&["limit=1", "limit=2"]), Err("`limit` is given twice".into()));
    }

    #[test]
    fn a_file_stands_for_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letter.txt");
        std::fs::write(&path, "Dear Bob,\nhello").unwrap();
        assert_eq!(read(&[&format!("account_id=@{}", path.display())]), Ok(json!({"account_id": "Dear Bob,\nhello"})));
        std::fs::write(&path, "[\"a\"]").unwrap();
        assert_eq!(read(&[&format!("fields=@{}", path.display())]), Ok(json!({"fields": ["a"]})));
        assert_eq!(read(&["account_id=@@home"]), Ok(json!({"account_id": "@home"})));
        assert!(read(&["account_id=@/nowhere/at/all"]).unwrap_err().contains("`/nowhere/at/all`, given for `account_id`, cannot be read"));
    }

    proptest! {
        #[test]
        fn text_arrives_as_typed(text in any::<String>()) {
            let at = if text.starts_with('@') { "@" } else { "" };
            let args = [format!("account_id={at}{text}")];
            prop_assert_eq!(&object(&email_list().input_schema, &args).unwrap()["account_id"], &Value::from(text));
        }
    }
}
