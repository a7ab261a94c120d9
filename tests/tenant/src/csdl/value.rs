//! One value against its declared type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::model::{Csdl, Property};
use super::report::Findings;

/// An annotation's name, and whether it may hold a value.
type Annotation = (&'static str, fn(&Value) -> bool);

/// Annotations an object may carry, and what they hold.
const ANNOTATIONS: &[Annotation] = &[
    ("@odata.context", Value::is_string),
    ("@odata.type", Value::is_string),
    ("@odata.id", Value::is_string),
    ("@odata.etag", Value::is_string),
    ("@odata.editLink", Value::is_string),
    ("@odata.mediaContentType", Value::is_string),
    ("@odata.mediaEditLink", Value::is_string),
    ("@odata.mediaReadLink", Value::is_string),
    ("@odata.mediaEtag", Value::is_string),
    ("@microsoft.graph.downloadUrl", Value::is_string),
    ("@removed", |value| matches!(value["reason"].as_str(), Some("changed" | "deleted"))),
];

/// Annotations a property may carry (`children@odata.count`).
const PROPERTY_ANNOTATIONS: &[Annotation] = &[
    ("odata.context", Value::is_string),
    ("odata.type", Value::is_string),
    ("odata.count", Value::is_u64),
    ("odata.nextLink", Value::is_string),
    ("odata.navigationLink", Value::is_string),
    ("odata.associationLink", Value::is_string),
    ("odata.mediaContentType", Value::is_string),
    ("odata.mediaReadLink", Value::is_string),
    ("odata.mediaEditLink", Value::is_string),
];

/// Types whose further members are the sender's own, which is what they are for.
const FREE: &[&str] = &[
    "microsoft.graph.Dictionary",
    "microsoft.graph.extension",
    "microsoft.graph.openTypeExtension",
    "microsoft.graph.resourceData",
    "microsoft.graph.resultTemplateDictionary",
];

/// Members of open types that the service sends though they are not declared, with their types.
const UNDECLARED: &[(&str, &str, &str)] = &[
    // The mail address by which drive items name people.
    ("microsoft.graph.identity", "email", "Edm.String"),
    // Thumbnails of a size that was asked for: `c300x400_crop`.
    ("microsoft.graph.thumbnailSet", "*", "microsoft.graph.thumbnail"),
];

/// An object against an entity type or a complex type.
pub(super) fn entity(csdl: &Csdl, type_name: &str, value: &Value, at: &str, findings: &mut Findings) {
    let Some(object) = value.as_object() else { return findings.offence(at, "is no object", value) };
    let Some(actual) = actual_type(csdl, type_name, object, at, findings) else { return };
    for (name, value) in object {
        member(csdl, actual, name, value, &format!("{at}.{name}"), findings);
    }
}

/// The type that the object says it has; it must be the declared one or derive from it.
fn actual_type<'a>(csdl: &'a Csdl, declared: &'a str, object: &Map<String, Value>, at: &str, findings: &mut Findings) -> Option<&'a str> {
    let said = object.get("@odata.type").and_then(Value::as_str);
    let name = said.map_or(Some(declared), |said| csdl.full_name(said));
    let Some((name, known)) = name.and_then(|name| Some((name, csdl.find(name)?))) else {
        findings.offence(at, &format!("is of a type that is not declared: {}", said.unwrap_or(declared)), &Value::Null);
        return None;
    };
    if !csdl.is_a(name, declared) {
        findings.offence(at, &format!("is of type {name}, which is no {declared}"), &Value::Null);
    }
    // What was removed is told by its id alone.
    if known.is_abstract && !object.contains_key("@removed") {
        findings.offence(at, &format!("is of the abstract type {name} and does not say which it really is"), &Value::Null);
    }
    Some(name)
}

fn member(csdl: &Csdl, type_name: &str, name: &str, value: &Value, at: &str, findings: &mut Findings) {
    findings.checked += 1;
    if name.starts_with('@') {
        return annotation(ANNOTATIONS, name, value, at, findings);
    }
    if let Some((property, annotated)) = name.split_once('@') {
        if csdl.member(type_name, property).is_none() {
            findings.offence(at, &format!("annotates what {type_name} does not declare"), value);
        }
        return annotation(PROPERTY_ANNOTATIONS, annotated, value, at, findings);
    }
    if let Some(declared) = csdl.member(type_name, name) {
        return property(csdl, declared, value, at, findings);
    }
    let open = UNDECLARED.iter().find(|(of, known, _)| *of == type_name && (*known == "*" || *known == name));
    match open {
        Some((_, _, kind)) => one(csdl, kind, value, at, findings),
        None if FREE.contains(&type_name) => {}
        None => findings.offence(at, &format!("is not declared by {type_name}"), value),
    }
}

fn annotation(known: &[Annotation], name: &str, value: &Value, at: &str, findings: &mut Findings) {
    match known.iter().find(|(known, _)| *known == name) {
        Some((_, fits)) if fits(value) => {}
        Some(_) => findings.offence(at, "is an annotation with a wrong value", value),
        None => findings.offence(at, "is an annotation that Graph does not send", value),
    }
}

/// A value against a declared property.
pub(super) fn property(csdl: &Csdl, declared: &Property, value: &Value, at: &str, findings: &mut Findings) {
    if !declared.collection {
        if !value.is_null() {
            one(csdl, &declared.type_name, value, at, findings);
        } else if declared.nullable == Some(false) {
            findings.offence(at, "is null and must not be", value);
        }
        return;
    }
    match value {
        Value::Array(rows) => {
            for row in rows {
                one(csdl, &declared.type_name, row, &format!("{at}[]"), findings);
            }
        }
        _ => findings.offence(at, &format!("is no collection of {}", declared.type_name), value),
    }
}

/// A value that is there against its type.
pub(super) fn one(csdl: &Csdl, type_name: &str, value: &Value, at: &str, findings: &mut Findings) {
    let fits = match type_name {
        "Edm.String" => value.is_string(),
        "Edm.Boolean" => value.is_boolean(),
        "Edm.Byte" => value.as_u64().is_some_and(|n| u8::try_from(n).is_ok()),
        "Edm.Int16" => value.as_i64().is_some_and(|n| i16::try_from(n).is_ok()),
        "Edm.Int32" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "Edm.Int64" => value.is_i64(),
        "Edm.Double" | "Edm.Single" | "Edm.Decimal" => value.is_number(),
        "Edm.DateTimeOffset" => text(value, |text| text.ends_with('Z') && (never(text) || text.parse::<jiff::Timestamp>().is_ok())),
        "Edm.Date" => text(value, |text| never(text) || text.parse::<jiff::civil::Date>().is_ok()),
        "Edm.TimeOfDay" => text(value, |text| text.parse::<jiff::civil::Time>().is_ok()),
        "Edm.Duration" => text(value, |text| text.parse::<jiff::Span>().is_ok()),
        "Edm.Guid" => text(value, is_guid),
        "Edm.Binary" => text(value, |text| STANDARD.decode(text).is_ok()),
        named => match csdl.find(named) {
            None => return findings.offence(at, &format!("is of a type that is not declared: {named}"), value),
            Some(known) if known.members.is_empty() => return entity(csdl, named, value, at, findings),
            Some(known) => {
                text(value, |text| text.split(',').all(|one| known.members.contains_key(one)) && (known.flags || !text.contains(',')))
            }
        },
    };
    if !fits {
        findings.offence(at, &format!("is no {type_name}"), value);
    }
}

fn text(value: &Value, fits: impl FnOnce(&str) -> bool) -> bool {
    value.as_str().is_some_and(fits)
}

/// The year one, by which Exchange says `no date`; no calendar here begins so early.
fn never(text: &str) -> bool {
    text.starts_with("0001-01-01")
}

fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
