//! What a client sends, written as the service keeps it: it takes members of enumerations in any case, truth values as text, and days as
//! instants, and gives all of them back in one form.

use serde_json::Value;

use super::model::{Csdl, Property};
use super::path::Gives;

impl Csdl {
    /// Rewrites the body of a request to this address. What is not declared stays as it is: whoever reads it refuses it.
    pub fn canonical(&self, method: &str, path: &str, body: &mut Value) {
        // What an action takes has other names than what it gives; where a name is the same, so is the type.
        if let Ok(Gives::One(one)) = self.gives(method, path) {
            self.canonical_entity(&one, body);
        }
    }

    fn canonical_entity(&self, type_name: &str, value: &mut Value) {
        let actual = value["@odata.type"].as_str().and_then(|name| self.full_name(name)).unwrap_or(type_name);
        let Some(fields) = value.as_object_mut() else { return };
        for (name, value) in fields {
            if let Some(declared) = self.member(actual, name) {
                self.canonical_property(declared, value);
            }
        }
    }

    fn canonical_property(&self, declared: &Property, value: &mut Value) {
        match value {
            Value::Array(rows) if declared.collection => rows.iter_mut().for_each(|row| self.canonical_one(&declared.type_name, row)),
            _ => self.canonical_one(&declared.type_name, value),
        }
    }

    fn canonical_one(&self, type_name: &str, value: &mut Value) {
        let Value::String(text) = &*value else { return self.canonical_entity(type_name, value) };
        match type_name {
            "Edm.Boolean" if text.eq_ignore_ascii_case("true") => *value = Value::Bool(true),
            "Edm.Boolean" if text.eq_ignore_ascii_case("false") => *value = Value::Bool(false),
            "Edm.DateTimeOffset" => {
                let day = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10);
                let instant = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok()).map(|zoned| zoned.timestamp());
                if let Some(at) = instant.or_else(|| text.parse().ok().filter(|_| !text.ends_with('Z'))) {
                    *value = Value::String(at.to_string());
                }
            }
            named => {
                let member = self.find(named).and_then(|known| known.members.keys().find(|member| member.eq_ignore_ascii_case(text)));
                if let Some(member) = member {
                    *value = Value::String(member.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_sent_is_kept_in_one_form() {
        let mut event = json!({"isOnlineMeeting": "false", "attendees": [{"type": "Required", "status": {"time": "2026-01-01T02:00:00+02:00"}}],
            "location": {"locationType": "Default"}, "showAs": "nonsense", "subject": "True", "unknown": "Required"});
        Csdl::v1().canonical("POST", "/me/calendars/a/events", &mut event);
        let expected = json!({"isOnlineMeeting": false, "attendees": [{"type": "required", "status": {"time": "2026-01-01T00:00:00Z"}}],
            "location": {"locationType": "default"}, "showAs": "nonsense", "subject": "True", "unknown": "Required"});
        assert_eq!(event, expected);
        let mut contact = json!({"birthday": "1974-07-22"});
        Csdl::v1().canonical("PATCH", "/me/contacts/a", &mut contact);
        assert_eq!(contact, json!({"birthday": "1974-07-22T00:00:00Z"}));
        let mut action = json!({"Comment": "true"});
        Csdl::v1().canonical("POST", "/me/events/a/accept", &mut action);
        assert_eq!(action, json!({"Comment": "true"}));
    }
}
