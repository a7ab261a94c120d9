//! The JSON Schema of a tool's arguments: flat, without references or unions, so that every client and model takes it.
//!
//! Some clients drop a tool, or refuse the whole list, when a schema has `$ref`, a union at its root or a nullable type. An
//! optional parameter is therefore simply not required, and the order of the row is kept.

use serde_json::{Map, Value, json};

use super::{Param, ParamType, Tool, args::DRIVE_PATH_MAX, args::ID_MAX, args::NAME_MAX};

impl Tool {
    /// The JSON Schema of the arguments, as MCP's `inputSchema`.
    pub fn input_schema(&self) -> Map<String, Value> {
        let properties: Map<String, Value> = self.params.iter().map(|param| (param.name.to_owned(), property(param))).collect();
        let required: Vec<&str> = self.params.iter().filter(|param| param.default.is_none()).map(|param| param.name).collect();
        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        schema.insert("properties".into(), Value::Object(properties));
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        schema.insert("additionalProperties".into(), false.into());
        schema
    }
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
    };
    property["description"] = param.help.into();
    // A default of null would need a nullable type: leaving the parameter out says the same.
    if let Some(default) = param.default.and_then(|text| serde_json::from_str::<Value>(text).ok()).filter(|default| !default.is_null()) {
        property["default"] = default;
    }
    property
}
