//! `$select` and `$expand`: which properties of a row are written.

use serde_json::{Map, Value};

use super::schema::{ATTACHMENT, Schema};
use super::{Answer, Query, Row};
use crate::csdl::Csdl;
use crate::graph::errors::Fault;

/// The properties to write, in the type's own order.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    schema: &'static Schema,
    /// `None`: the usual ones.
    names: Option<Vec<&'static str>>,
    /// Those that the type declares and nothing here has: `null`, but for drive items, which leave out what they have not.
    without: Vec<String>,
    /// What was asked, for the context URL.
    asked: Option<String>,
}

impl Selection {
    /// Reads `$select`; an unknown property is refused with its name.
    pub(crate) fn parse(query: &Query, schema: &'static Schema) -> Answer<Self> {
        Self::from_text(query.get("select"), schema)
    }

    /// The same from the option's value.
    pub(crate) fn from_text(text: Option<&str>, schema: &'static Schema) -> Answer<Self> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Ok(Self { schema, names: None, without: Vec::new(), asked: None });
        };
        let asked: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if asked.contains(&"*") {
            return Ok(Self { schema, names: None, without: Vec::new(), asked: Some("*".to_owned()) });
        }
        let mut without = Vec::new();
        // `microsoft.graph.fileAttachment/contentBytes`: what only files have is named with their type.
        let cast = format!("{}/", schema.name.replace(".attachment", ".fileAttachment"));
        if schema.name == ATTACHMENT.name
            && let Some(bare) = asked.iter().find(|name| FILES_ONLY.contains(*name))
        {
            return Err(unknown(bare, schema));
        }
        let asked: Vec<&str> = asked.into_iter().map(|name| name.strip_prefix(cast.as_str()).unwrap_or(name)).collect();
        for name in &asked {
            // A path into a structure selects the structure.
            let first = name.split('/').next().unwrap_or(name);
            let annotation = first.starts_with('@') && !schema.outlook;
            if schema.kind(first).is_some() || annotation || is_navigation(schema, first) {
                continue;
            }
            if !Csdl::v1().has_property(schema.name, first) {
                return Err(unknown(first, schema));
            }
            without.push(first.to_owned());
        }
        let wanted = |name: &str| asked.iter().any(|a| a.split('/').next() == Some(name));
        let names = schema
            .properties
            .iter()
            .chain(schema.on_request)
            .map(|(name, _)| *name)
            .filter(|name| wanted(name) || (schema.outlook && *name == "id"))
            .collect();
        Ok(Self { schema, names: Some(names), without, asked: Some(asked.join(",")) })
    }

    /// `(id,subject)` behind the collection's name in a context URL, or nothing.
    pub(crate) fn context(&self) -> String {
        self.asked.as_ref().map(|asked| format!("({asked})")).unwrap_or_default()
    }

    /// True when `$select` was given.
    pub(crate) fn is_explicit(&self) -> bool {
        self.names.is_some()
    }

    /// Writes the row's selected properties behind what `out` already holds.
    pub(crate) fn write(&self, row: &dyn Row, out: &mut Map<String, Value>) {
        if self.schema.name != "microsoft.graph.driveItem" {
            out.extend(self.without.iter().map(|name| (name.clone(), Csdl::v1().nothing(self.schema.name, name))));
        }
        match &self.names {
            Some(names) => {
                for name in names {
                    if let Some(value) = row.property(name) {
                        out.insert((*name).to_owned(), value);
                    }
                }
            }
            None => {
                for (name, _) in self.schema.properties {
                    if let Some(value) = row.property(name) {
                        out.insert((*name).to_owned(), value);
                    }
                }
            }
        }
    }
}

/// Properties of file attachments that attachments of other kinds do not have.
const FILES_ONLY: &[&str] = &["contentId", "contentLocation", "contentBytes"];

fn is_navigation(schema: &Schema, name: &str) -> bool {
    matches!(
        (schema.name, name),
        ("microsoft.graph.message" | "microsoft.graph.event", "attachments")
            | ("microsoft.graph.mailFolder", "childFolders" | "messages")
            | ("microsoft.graph.driveItem", "children" | "content")
    )
}

fn unknown(name: &str, schema: &Schema) -> Box<Fault> {
    if schema.outlook {
        return Fault::unknown_property(name, schema.name);
    }
    let mut fault = Fault::unknown_property(name, schema.name);
    fault.message = format!("Parsing OData Select and Expand failed: {}", fault.message);
    fault.code = "BadRequest";
    fault
}

/// `$expand` of a message: its attachments or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Expand {
    pub(crate) attachments: Option<Selection>,
}

impl Expand {
    /// Reads `$expand=attachments` or `$expand=attachments($select=id,name)`.
    pub(crate) fn parse(query: &Query) -> Answer<Self> {
        Self::from_text(query.get("expand"))
    }

    /// The same from the option's value.
    pub(crate) fn from_text(text: Option<&str>) -> Answer<Self> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self { attachments: None });
        };
        let Some(rest) = text.strip_prefix("attachments") else {
            let name = text.split(['(', ',']).next().unwrap_or(text);
            return Err(Fault::unknown_property(name, "microsoft.graph.message"));
        };
        let inner = rest.trim().trim_start_matches('(').trim_end_matches(')');
        let options = Query::parse(&inner.replace(';', "&"));
        let select = options.get("select").map(str::to_owned);
        Ok(Self { attachments: Some(Selection::from_text(select.as_deref(), &ATTACHMENT)?) })
    }
}
