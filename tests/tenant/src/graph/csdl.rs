//! For tests: the CSDL of v1.0, and whether a reply holds to it.

use std::sync::OnceLock;

use serde_json::Value;

use super::testing::rows;

/// The excerpt of the CSDL.
pub(crate) struct Csdl(Value);

impl Csdl {
    /// Reads the excerpt.
    pub(crate) fn load() -> Self {
        Self(serde_json::from_str(include_str!("../../data/csdl-v1.0.json")).expect("the data file is JSON"))
    }

    /// How a property is declared, here or in a base type.
    pub(crate) fn declared(&self, type_name: &str, property: &str) -> Option<String> {
        let known = &self.0["types"][type_name];
        assert!(known.is_object(), "the excerpt lacks {type_name}");
        for list in ["properties", "navigation"] {
            if let Some(declared) = known[list][property].as_str() {
                return Some(declared.to_owned());
            }
        }
        known["base"].as_str().and_then(|base| self.declared(base, property))
    }

    /// Holds an object to its type.
    pub(crate) fn object(&self, type_name: &str, value: &Value, at: &str) {
        let type_name = value["@odata.type"].as_str().map_or(type_name, |name| name.trim_start_matches("#microsoft.graph."));
        for (name, value) in value.as_object().unwrap_or_else(|| panic!("{at} is no object: {value}")) {
            // Annotations are no properties; the mail address that files name people by lives off `identity` being open.
            if name.starts_with('@') || (type_name == "identity" && name == "email") {
                continue;
            }
            let at = format!("{at}.{name}");
            let declared = self.declared(type_name, name).unwrap_or_else(|| panic!("{at}: {type_name} has no such property"));
            self.value(&declared, value, &at);
        }
    }

    fn value(&self, declared: &str, value: &Value, at: &str) {
        if let Some(one) = declared.trim_end_matches('!').strip_suffix("[]") {
            for (index, item) in value.as_array().unwrap_or_else(|| panic!("{at} is no collection: {value}")).iter().enumerate() {
                self.value(&format!("{one}!"), item, &format!("{at}[{index}]"));
            }
            return;
        }
        if value.is_null() {
            assert!(!declared.ends_with('!'), "{at} is null");
            return;
        }
        let kind = declared.trim_end_matches('!');
        let fits = match kind {
            "Edm.String" => value.is_string(),
            "Edm.Boolean" => value.is_boolean(),
            "Edm.Int16" | "Edm.Int32" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            "Edm.Int64" => value.is_i64() || value.is_u64(),
            "Edm.Double" => value.is_number(),
            "Edm.DateTimeOffset" => {
                value.as_str().is_some_and(|t| t.ends_with('Z') && (t.starts_with("0001") || t.parse::<jiff::Timestamp>().is_ok()))
            }
            "Edm.Date" => value.as_str().is_some_and(|t| t.starts_with("0001") || t.parse::<jiff::civil::Date>().is_ok()),
            "Edm.TimeOfDay" => value.as_str().is_some_and(|t| t.parse::<jiff::civil::Time>().is_ok()),
            "Edm.Guid" => value.as_str().is_some_and(|t| t.len() == 36),
            "Edm.Binary" => {
                use base64::Engine as _;
                value.as_str().is_some_and(|t| base64::engine::general_purpose::STANDARD.decode(t).is_ok())
            }
            other => {
                let known = &self.0["types"][other];
                if let Some(members) = known["enum"].as_array() {
                    members.contains(value)
                } else {
                    self.object(other, value, at);
                    true
                }
            }
        };
        assert!(fits, "{at}: {value} is no {declared}");
    }

    /// Holds the rows of a list that is not empty to their type.
    pub(crate) fn list(&self, type_name: &str, page: &Value, at: &str) -> usize {
        let rows = rows(page);
        assert!(!rows.is_empty(), "{at} is empty");
        for row in &rows {
            self.object(type_name, row, at);
        }
        rows.len()
    }

    /// Holds a whole reply to the type that its context names; a context that names no served type is let pass.
    pub(crate) fn reply(reply: &Value) {
        static CSDL: OnceLock<Csdl> = OnceLock::new();
        let csdl = CSDL.get_or_init(Self::load);
        let Some(context) = reply["@odata.context"].as_str() else {
            return;
        };
        let Some(type_name) = csdl.type_of(context) else {
            return;
        };
        match reply["value"].as_array() {
            Some(rows) => {
                for row in rows.iter().filter(|row| row["@removed"].is_null()) {
                    csdl.object(&type_name, row, context);
                }
            }
            None => csdl.object(&type_name, reply, context),
        }
    }

    /// `…/$metadata#users('x')/messages(id,subject)/$entity` is about a `message`.
    fn type_of(&self, context: &str) -> Option<String> {
        let tail = context.split_once('#')?.1.trim_end_matches("/$entity");
        let inner = tail.strip_prefix("Collection(").and_then(|rest| rest.split_once(')')).map_or(tail, |(inner, _)| inner);
        let mut names = String::new();
        let mut depth = 0;
        for character in inner.chars() {
            match character {
                '(' => depth += 1,
                ')' => depth -= 1,
                other if depth == 0 => names.push(other),
                _ => {}
            }
        }
        let last = names.rsplit('/').next()?.trim_start_matches("microsoft.graph.");
        let type_name = match last {
            "messages" => "message",
            "mailFolders" | "childFolders" if !inner.contains("contactFolders") => "mailFolder",
            "contactFolders" | "childFolders" => "contactFolder",
            "attachments" => "attachment",
            "messageRules" => "messageRule",
            "masterCategories" => "outlookCategory",
            "contacts" => "contact",
            "calendarGroups" => "calendarGroup",
            "calendars" | "calendar" => "calendar",
            "events" | "calendarView" | "instances" => "event",
            "users" => "user",
            "children" | "items" | "root" => "driveItem",
            "drives" | "drive" => "drive",
            other => other,
        };
        self.0["types"][type_name].is_object().then(|| type_name.to_owned())
    }

    /// Whether the excerpt has an enum of this name.
    pub(crate) fn is_enum(&self, type_name: &str) -> bool {
        self.0["types"][type_name]["enum"].is_array()
    }
}
