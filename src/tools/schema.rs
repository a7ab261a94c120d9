//! The JSON Schema of a tool's arguments: flat, without references or unions, so that every client and model takes it.
//!
//! Some clients drop a tool, or refuse the whole list, when a schema has `$ref`, a union at its root or a nullable type. An
//! optional parameter is therefore simply not required, and the order of the row is kept.

use serde_json::{Map, Value, json};

use super::{
    Asks, Param, ParamType, Tool,
    check::{DRIVE_PATH_MAX, ID_MAX, LOCAL_PATH_MAX, NAME_MAX, TIME_MAX},
    tool::CONFIRM_TOKEN,
};

impl Tool {
    /// The JSON Schema of the arguments, as MCP's `inputSchema`.
    pub fn input_schema(&self) -> Map<String, Value> {
        object(self.params)
    }

    /// What profiles other than `full` show: see `profile.rs`.
    pub(super) fn short_input_schema(&self, strict: bool) -> Map<String, Value> {
        let mut schema = if strict { self.strict_input_schema() } else { self.input_schema() };
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.retain(|name, _| !self.params.iter().any(|param| param.rare && param.name == name));
        }
        shorten(&mut schema);
        schema
    }

    /// The same where consent is strict: every tool that asks takes the token that agrees.
    pub fn strict_input_schema(&self) -> Map<String, Value> {
        let mut schema = self.input_schema();
        let asks = !matches!(self.asks, Asks::Never);
        if let Some(Value::Object(properties)) = schema.get_mut("properties").filter(|_| asks) {
            properties.entry(CONFIRM_TOKEN.name).or_insert_with(|| property(&CONFIRM_TOKEN));
        }
        schema
    }
}

/// Lengths that are checked all the same, and what keeps out arguments that are not shown.
const LENGTHS: [&str; 5] = ["minLength", "maxLength", "minItems", "maxItems", "additionalProperties"];
/// A largest number from here on is no limit that anybody meets.
const NO_LIMIT: i64 = 50_000;

/// Takes lengths and idle limits out of a schema, all the way down.
fn shorten(schema: &mut Map<String, Value>) {
    schema.retain(|name, value| match name.as_str() {
        "minimum" => value.as_i64().is_none_or(|least| least > 1),
        "maximum" => value.as_i64().is_none_or(|most| most < NO_LIMIT),
        name => !LENGTHS.contains(&name),
    });
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().filter_map(Value::as_object_mut).for_each(shorten);
    }
    if let Some(Value::Object(items)) = schema.get_mut("items") {
        shorten(items);
    }
}

fn object(params: &[Param]) -> Map<String, Value> {
    let properties: Map<String, Value> = params.iter().map(|param| (param.name.to_owned(), property(param))).collect();
    let required: Vec<&str> = params.iter().filter(|param| param.default.is_none()).map(|param| param.name).collect();
    let mut schema = Map::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".into(), required.into());
    }
    schema.insert("additionalProperties".into(), false.into());
    schema
}

fn property(param: &Param) -> Value {
    let text = |max: usize| json!({ "type": "string", "minLength": 1, "maxLength": max });
    let mut property = match param.kind {
        ParamType::Account => text(NAME_MAX),
        ParamType::Text { max } => text(max),
        ParamType::Id => text(ID_MAX),
        ParamType::DrivePath => text(DRIVE_PATH_MAX),
        ParamType::Choice(words) => json!({ "type": "string", "enum": words }),
        ParamType::Int { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        ParamType::Bool => json!({ "type": "boolean" }),
        ParamType::Prose { max } => json!({ "type": "string", "maxLength": max }),
        ParamType::LocalPath => text(LOCAL_PATH_MAX),
        ParamType::Mailbox => text(NAME_MAX),
        // One text is taken for a list of one, without being offered: a union is what strict dialects refuse.
        ParamType::Addresses { max } | ParamType::People { max } => {
            json!({ "type": "array", "items": { "type": "string" }, "maxItems": max })
        }
        ParamType::Texts { least, most, max } => json!({ "type": "array", "items": text(max), "minItems": least, "maxItems": most }),
        ParamType::Choices(words) => json!({ "type": "array", "items": { "type": "string", "enum": words }, "minItems": 1 }),
        ParamType::Object(members) => Value::Object(object(members)),
        ParamType::Time | ParamType::Zone => text(TIME_MAX),
        // Gemini takes no `format` but `date-time` and `enum`, and refuses the tool for any other; the help says what it is.
        ParamType::Date => json!({ "type": "string" }),
        ParamType::Objects(members) => json!({ "type": "array", "items": object(members) }),
    };
    property["description"] = param.help.into();
    // A default of null would need a nullable type: leaving the parameter out says the same.
    if let Some(default) = param.default.and_then(|text| serde_json::from_str::<Value>(text).ok()).filter(|default| !default.is_null()) {
        property["default"] = default;
    }
    property
}
