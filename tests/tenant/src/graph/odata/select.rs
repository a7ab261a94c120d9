//! `$select` and `$expand`: which properties of a row are written.

use serde_json::{Map, Value};

use super::schema::{ATTACHMENT, CONTACT, MESSAGE, Schema};
use super::{Answer, Query, Row};
use crate::csdl::Csdl;
use crate::graph::errors::Fault;
use crate::graph::marks::Wanted;

/// The properties to write, in the type's own order.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    schema: &'static Schema,
    /// `None`: the usual ones.
    names: Option<Vec<&'static str>>,
    /// Those that the type declares and nothing here has: `null`, but for drive items, which leave out what they have not.
    without: Vec<String>,
    /// What was named with a derived type: `microsoft.graph.eventMessage/meetingMessageType`.
    casts: Vec<String>,
    /// What was asked, for the context URL.
    asked: Option<String>,
}

impl Selection {
    /// What is written when nothing is selected.
    pub(crate) fn whole(schema: &'static Schema) -> Self {
        Self { schema, names: None, without: Vec::new(), casts: Vec::new(), asked: None }
    }

    /// Reads `$select`; an unknown property is refused with its name.
    pub(crate) fn parse(query: &Query, schema: &'static Schema) -> Answer<Self> {
        Self::from_text(query.get("select"), schema)
    }

    /// The same from the option's value.
    pub(crate) fn from_text(text: Option<&str>, schema: &'static Schema) -> Answer<Self> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::whole(schema));
        };
        let asked: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if asked.contains(&"*") {
            return Ok(Self { schema, names: None, without: Vec::new(), casts: Vec::new(), asked: Some("*".to_owned()) });
        }
        let (mut without, mut casts) = (Vec::new(), Vec::new());
        // `microsoft.graph.fileAttachment/contentBytes`: what only files have is named with their type.
        let cast = format!("{}/", schema.name.replace(".attachment", ".fileAttachment"));
        if schema.name == ATTACHMENT.name
            && let Some(bare) = asked.iter().find(|name| FILES_ONLY.contains(*name))
        {
            return Err(unknown(bare, schema));
        }
        let asked: Vec<&str> = asked.into_iter().map(|name| name.strip_prefix(cast.as_str()).unwrap_or(name)).collect();
        for name in &asked {
            let derived = name.split_once('/').filter(|(kind, _)| schema.name == MESSAGE.name && kind.starts_with("microsoft.graph.event"));
            if let Some((_, property)) = derived.filter(|(kind, property)| Csdl::v1().has_property(kind, property)) {
                casts.push(property.to_owned());
                continue;
            }
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
        Ok(Self { schema, names: Some(names), without, casts, asked: Some(asked.join(",")) })
    }

    /// `(id,subject)` behind the collection's name in a context URL, or nothing.
    pub(crate) fn context(&self) -> String {
        self.asked.as_ref().map(|asked| format!("({asked})")).unwrap_or_default()
    }

    /// True when `$select` was given.
    pub(crate) fn is_explicit(&self) -> bool {
        self.names.is_some()
    }

    /// Whether a property that only a derived type has is to be written.
    pub(crate) fn wants_derived(&self, name: &str) -> bool {
        self.names.is_none() || self.casts.iter().any(|cast| cast == name)
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

/// `$expand` of a message, an event or a contact.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expand {
    pub(crate) attachments: Option<Selection>,
    /// The event that a message about a meeting is about.
    pub(crate) event: bool,
    /// Extensions and extended properties.
    pub(crate) marks: Wanted,
    /// The context URL of the collection that the items are in.
    pub(crate) context: String,
}

impl Expand {
    /// Reads `$expand=attachments($select=id,name),extensions` and the like; `context` is that of the collection.
    pub(crate) fn parse(query: &Query, schema: &Schema, context: String) -> Answer<Self> {
        Self::from_text(query.get("expand"), schema, context)
    }

    /// The same from the option's value.
    pub(crate) fn from_text(text: Option<&str>, schema: &Schema, context: String) -> Answer<Self> {
        let mut out = Self { context, ..Self::default() };
        for part in parts(text.unwrap_or_default()) {
            let (name, inner) = part.split_once('(').unwrap_or((part, ""));
            let name = name.trim();
            let options = Query::parse(&inner.trim_end().strip_suffix(')').unwrap_or(inner).replace(';', "&"));
            if name.eq_ignore_ascii_case("attachments") && schema.name != CONTACT.name {
                out.attachments = Some(Selection::from_text(options.get("select"), &ATTACHMENT)?);
            } else if name.eq_ignore_ascii_case("microsoft.graph.eventMessage/event") && schema.name == MESSAGE.name {
                out.event = true;
            } else if !out.marks.read(name, &options)? {
                return Err(Fault::unknown_property(name, schema.name));
            }
        }
        Ok(out)
    }
}

/// Cuts at the commas that are not inside parentheses or quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted) = (0_usize, false);
    let cut = text.split(|character| {
        quoted ^= character == '\'';
        match character {
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0 && !quoted
    });
    cut.map(str::trim).filter(|part| !part.is_empty()).collect()
}
