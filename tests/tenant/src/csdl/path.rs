//! What a request gives back, worked out from its address and the declarations, and from nothing that the tenant says of itself.

use percent_encoding::percent_decode_str;

use super::model::{Csdl, Property};
use crate::wire::unfolded;

/// What the answer to a request holds when it is a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gives {
    /// No body.
    Nothing,
    /// One thing of this type.
    One(String),
    /// A page of things of this type under `value`.
    Many(String),
    /// A simple value, or several, of this type under `value`.
    Value(String, bool),
    /// Bytes or text, nothing that is declared.
    Raw,
    /// The answers to several requests.
    Batch,
}

/// Where a walk along an address has come to.
#[derive(Debug, Clone)]
enum At {
    Set(String),
    One(String),
    Value(String, bool),
    /// A stream property of this type.
    Stream(String),
    /// What an action or function gives.
    Returned(Option<Property>),
    Raw,
}

enum Step {
    Name(String),
    /// `:/a/b:` behind a drive item.
    ItemPath,
}

impl Csdl {
    /// What a request gives; the error is a sentence that names what the declarations do not know.
    ///
    /// # Errors
    /// When the address names something that is not declared.
    pub fn gives(&self, method: &str, path: &str) -> Result<Gives, String> {
        let steps = steps(path);
        let mut steps = steps.iter();
        let Some(Step::Name(first)) = steps.next() else { return Err("an empty path".to_owned()) };
        let graph = |name: &str| format!("microsoft.graph.{name}");
        let mut at = match first.to_ascii_lowercase().as_str() {
            "$batch" => return Ok(Gives::Batch),
            "me" => At::One(graph("user")),
            "users" => At::Set(graph("user")),
            "drive" => At::One(graph("drive")),
            "drives" => At::Set(graph("drive")),
            "shares" => At::Set(graph("sharedDriveItem")),
            "subscriptions" => At::Set(graph("subscription")),
            "search" => At::One(graph("searchEntity")),
            _ => return Err(format!("nothing is declared under /{first}")),
        };
        for step in steps {
            at = match step {
                Step::ItemPath => at,
                Step::Name(name) => self.walk(at, name)?,
            };
        }
        Ok(given(method, at))
    }

    fn walk(&self, at: At, name: &str) -> Result<At, String> {
        // `delta(token='x')` and `microsoft.graph.delta()` are both `delta`.
        let bare = name.split('(').next().unwrap_or(name);
        let plain = bare.rsplit('.').next().unwrap_or(bare);
        let unknown = |type_name: &str| Err(format!("{type_name} declares no {name}"));
        match at {
            At::Set(one) => {
                if name.eq_ignore_ascii_case("$count") {
                    return Ok(At::Raw);
                }
                if let Some(returns) = self.operation(&one, true, plain) {
                    return Ok(At::Returned(returns.cloned()));
                }
                Ok(match self.full_name(name).filter(|_| name.starts_with("microsoft.graph.")) {
                    Some(cast) => At::Set(cast.to_owned()),
                    None => At::One(one),
                })
            }
            At::One(one) => {
                if name.eq_ignore_ascii_case("$value") || name.eq_ignore_ascii_case("$ref") {
                    return Ok(At::Raw);
                }
                if let Some(property) = self.segment(&one, name) {
                    return Ok(match property.type_name.as_str() {
                        "Edm.Stream" => At::Stream(one),
                        simple if simple.starts_with("Edm.") || self.is_enum(simple) => {
                            At::Value(property.type_name.clone(), property.collection)
                        }
                        _ if property.collection => At::Set(property.type_name.clone()),
                        _ => At::One(property.type_name.clone()),
                    });
                }
                if let Some(returns) = self.operation(&one, false, plain) {
                    return Ok(At::Returned(returns.cloned()));
                }
                match self.full_name(name).filter(|_| name.starts_with("microsoft.graph.")) {
                    Some(cast) => Ok(At::One(cast.to_owned())),
                    None => unknown(&one),
                }
            }
            At::Value(..) | At::Stream(_) | At::Raw => Ok(At::Raw),
            At::Returned(Some(returns)) if returns.collection => self.walk(At::Set(returns.type_name), name),
            At::Returned(Some(returns)) => self.walk(At::One(returns.type_name), name),
            At::Returned(None) => unknown("nothing"),
        }
    }
}

/// What is given where the walk ended.
fn given(method: &str, at: At) -> Gives {
    let reads = matches!(method, "GET" | "HEAD");
    match at {
        _ if method == "DELETE" => Gives::Nothing,
        At::Set(one) if reads => Gives::Many(one),
        At::Set(one) | At::One(one) => Gives::One(one),
        At::Value(one, many) => Gives::Value(one, many),
        // Writing a file's content gives the file.
        At::Stream(owner) if !reads => Gives::One(owner),
        At::Stream(_) | At::Raw => Gives::Raw,
        At::Returned(None) => Gives::Nothing,
        At::Returned(Some(returns)) if returns.type_name.starts_with("Edm.") => Gives::Value(returns.type_name, returns.collection),
        At::Returned(Some(returns)) if returns.collection => Gives::Many(returns.type_name),
        At::Returned(Some(returns)) => Gives::One(returns.type_name),
    }
}

/// Cuts an address into steps: `messages('id')` is two, `root:/a/b:` is a name and a path.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let path = unfolded(path);
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    while let Some(part) = parts.next() {
        if let Some(head) = part.strip_suffix(':').filter(|head| !head.is_empty()) {
            steps.push(Step::Name(decode(head)));
            steps.push(Step::ItemPath);
            // Up to the part that closes the path, if any does.
            parts.by_ref().find(|part| part.ends_with(':'));
            continue;
        }
        let text = decode(part);
        match text.strip_suffix("')").and_then(|text| text.split_once("('")) {
            Some((name, key)) => steps.extend([Step::Name(name.to_owned()), Step::Name(key.to_owned())]),
            None => steps.push(Step::Name(text)),
        }
    }
    steps
}

fn decode(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}
