//! One value against the type and limits of its parameter: refused with a reason, or brought into its one spelling.
//!
//! A refusal names the place (`updates.flag.flagStatus`) and never repeats the value, which may be content.

use serde_json::{Map, Value};

use super::{ArgError, Param, ParamType, Tool, args::nearest_of};

/// Longest account name or id, in characters: a UPN has at most 64 + 1 + 255.
pub(super) const NAME_MAX: usize = 320;
/// Longest Graph id, in characters. Exchange's longest have some 200.
pub(super) const ID_MAX: usize = 1024;
/// Longest OneDrive path, in characters (Microsoft: restrictions on file names and path lengths).
pub(super) const DRIVE_PATH_MAX: usize = 400;
/// Longest path of a file on this machine, in characters (Linux: `PATH_MAX`).
pub(super) const LOCAL_PATH_MAX: usize = 4096;
/// Most members of a list of objects.
pub(super) const OBJECTS_MAX: usize = 500;

/// What is wrong with a value, and where inside it.
#[derive(Debug)]
pub(super) enum Wrong {
    /// A member that does not exist.
    Unknown { at: String, nearest: Option<&'static str> },
    /// A member that is missing.
    Missing { at: String },
    /// The value itself.
    Invalid { at: String, reason: String, expected: String },
}

impl Wrong {
    fn new(reason: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid { at: String::new(), reason: reason.into(), expected: expected.into() }
    }

    /// The same, one level further out.
    fn within(mut self, name: &str) -> Self {
        let (Self::Unknown { at, .. } | Self::Missing { at } | Self::Invalid { at, .. }) = &mut self;
        *at = if at.is_empty() || at.starts_with('[') { format!("{name}{at}") } else { format!("{name}.{at}") };
        self
    }

    /// As the error of a call.
    pub(super) fn of(self, tool: &Tool, param: &Param) -> ArgError {
        match self.within(param.name) {
            Self::Unknown { at, nearest } => ArgError::Unknown { tool: tool.name, name: at, nearest },
            Self::Missing { at } => ArgError::Missing { tool: tool.name, name: at },
            Self::Invalid { at, reason, expected } => ArgError::Invalid { name: at, reason, expected },
        }
    }
}

/// The value in its one spelling.
pub(super) fn checked(kind: ParamType, value: &Value) -> Result<Value, Wrong> {
    match kind {
        ParamType::Bool => match value {
            Value::Bool(_) => Ok(value.clone()),
            _ => Err(Wrong::new("it is not true or false", "true or false")),
        },
        ParamType::Int { min, max } => whole(value, min, max),
        ParamType::Choice(words) => choice(value, words).map(Value::from),
        ParamType::Choices(words) => {
            let chosen = one_or_many(value, words.len().max(1))?
                .into_iter()
                .map(|word| choice(&word.into(), words))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(words.iter().filter(|word| chosen.contains(word)).copied().collect())
        }
        ParamType::Account => Ok(text_of(value, 1, NAME_MAX)?.trim().into()),
        ParamType::Text { max } => Ok(text_of(value, 1, max)?.into()),
        ParamType::Prose { max } => Ok(text_of(value, 0, max)?.into()),
        ParamType::Texts { least: 0, .. } if value.as_array().is_some_and(Vec::is_empty) => Ok(value.clone()),
        ParamType::Texts { most, max, .. } => {
            let texts = one_or_many(value, most)?;
            texts.into_iter().map(|text| text_of(&text.into(), 1, max).map(Value::from)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        ParamType::Id => {
            let text = text_of(value, 1, ID_MAX)?;
            if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
                return Err(Wrong::new("it holds white space or control characters", "an id as an earlier answer gave it"));
            }
            Ok(text.into())
        }
        ParamType::DrivePath => drive_path(value),
        ParamType::LocalPath => {
            let text = text_of(value, 1, LOCAL_PATH_MAX)?;
            if text.chars().any(char::is_control) {
                return Err(Wrong::new("it holds control characters", "the path of a file on this machine"));
            }
            Ok(text.into())
        }
        ParamType::Mailbox => address(text_of(value, 1, NAME_MAX)?).map(Value::from),
        ParamType::Addresses { max } => addresses(value, max),
        ParamType::People { max } => people(value, max),
        ParamType::Object(members) => object(value, members),
        ParamType::Objects(members) => {
            let list = match value {
                Value::Array(list) => list.as_slice(),
                single => std::slice::from_ref(single),
            };
            if list.len() > OBJECTS_MAX {
                return Err(Wrong::new(format!("it has more than {OBJECTS_MAX} members"), format!("at most {OBJECTS_MAX}")));
            }
            let each = list.iter().enumerate().map(|(at, value)| object(value, members).map_err(|wrong| wrong.within(&format!("[{at}]"))));
            each.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
    }
}

fn whole(value: &Value, min: i64, max: i64) -> Result<Value, Wrong> {
    let expected = || format!("a whole number from {min} to {max}");
    // 10.0 is how some clients write 10.
    let number = value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64));
    match number {
        None => Err(Wrong::new("it is not a whole number", expected())),
        Some(number) if !(min..=max).contains(&number) => Err(Wrong::new("it is out of range", expected())),
        Some(number) => Ok(number.into()),
    }
}

fn choice(value: &Value, words: &'static [&'static str]) -> Result<&'static str, Wrong> {
    let expected = || format!("one of {}", words.join(", "));
    let word = value.as_str().ok_or_else(|| Wrong::new("it is not text", expected()))?;
    let word = words.iter().find(|known| known.eq_ignore_ascii_case(word.trim()));
    word.copied().ok_or_else(|| Wrong::new("it is not one of the words", expected()))
}

/// One text, or a list of texts.
fn one_or_many(value: &Value, most: usize) -> Result<Vec<String>, Wrong> {
    let expected = || format!("text, or a list of 1 to {most} texts");
    let texts: Vec<String> = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list
            .iter()
            .map(|text| text.as_str().map(str::to_owned).ok_or_else(|| Wrong::new("a member of it is not text", expected())))
            .collect::<Result<_, _>>()?,
        _ => return Err(Wrong::new("it is neither text nor a list", expected())),
    };
    match texts.len() {
        0 => Err(Wrong::new("it is empty", expected())),
        many if many > most => Err(Wrong::new(format!("it has more than {most} members"), expected())),
        _ => Ok(texts),
    }
}

/// Each address once, as it was written first, without regard to case. An empty list stays empty: that is how attendees are cleared.
fn addresses(value: &Value, most: usize) -> Result<Value, Wrong> {
    if value.as_array().is_some_and(Vec::is_empty) {
        return Ok(value.clone());
    }
    let given = one_or_many(value, most)?;
    let mut unique: Vec<String> = Vec::new();
    for part in given.iter().flat_map(|text| text.split([',', ';'])).map(str::trim).filter(|part| !part.is_empty()) {
        let one = address(part)?;
        if !unique.contains(&one) {
            unique.push(one);
        }
    }
    match unique.len() {
        0 => Err(Wrong::new("it names nobody", "one or more e-mail addresses")),
        many if many > most => Err(Wrong::new(format!("it names more than {most} people"), format!("at most {most} addresses"))),
        _ => Ok(unique.into()),
    }
}

/// People by address, each once, with the name that came first.
fn people(value: &Value, most: usize) -> Result<Value, Wrong> {
    let one = |value: &Value| -> Result<Value, Wrong> {
        let inner = value.get("emailAddress").unwrap_or(value);
        let Some(given) = inner.get("address") else {
            return Err(Wrong::new("a member of it has no address", "addresses, or objects with address and name"));
        };
        let mut person = Map::new();
        person.insert("address".into(), address(text_of(given, 1, NAME_MAX)?)?.into());
        if let Some(name) = inner.get("name").filter(|name| !name.is_null()) {
            person.insert("name".into(), text_of(name, 0, NAME_MAX)?.into());
        }
        Ok(person.into())
    };
    let list = match value {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    };
    let mut unique: Vec<Value> = Vec::new();
    for member in list {
        let found = match member {
            Value::Object(_) => vec![one(member)?],
            text => match addresses(text, most)? {
                Value::Array(found) => found.into_iter().map(|address| serde_json::json!({ "address": address })).collect(),
                _ => Vec::new(),
            },
        };
        for person in found {
            if !unique.iter().any(|known| known["address"] == person["address"]) {
                unique.push(person);
            }
        }
    }
    if unique.len() > most {
        return Err(Wrong::new(format!("it names more than {most} people"), format!("at most {most} addresses")));
    }
    Ok(unique.into())
}

/// An address in lower case, as the original has it. Deliberately simple: Exchange decides what can be delivered.
fn address(text: &str) -> Result<String, Wrong> {
    let expected = "an e-mail address such as ada@example.com";
    let text = text.trim();
    let wrong = || Wrong::new("it is not an e-mail address", expected);
    let (local, domain) = text.rsplit_once('@').ok_or_else(wrong)?;
    let odd = |letter: char| letter.is_control() || letter.is_whitespace() || "<>()[]\\,;:\"@".contains(letter);
    let labels = domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
    if local.is_empty() || local.chars().any(odd) || domain.chars().any(odd) || !labels || text.chars().count() > NAME_MAX {
        return Err(wrong());
    }
    Ok(text.to_lowercase())
}

/// A OneDrive path, normalised: no trailing or doubled slash, so that one folder has one key.
fn drive_path(value: &Value) -> Result<Value, Wrong> {
    let expected = "a path such as /Documents/2026";
    let text = text_of(value, 1, DRIVE_PATH_MAX)?;
    if !text.starts_with('/') {
        return Err(Wrong::new("it does not start with /", expected));
    }
    if text.chars().any(|letter| letter.is_control() || "<>:\"|?*".contains(letter)) {
        return Err(Wrong::new("it holds a character that OneDrive does not allow", expected));
    }
    let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(Wrong::new("it holds a . or .. segment", expected));
    }
    Ok(format!("/{}", segments.join("/")).into())
}

fn text_of(value: &Value, min: usize, max: usize) -> Result<&str, Wrong> {
    let expected = || format!("text of {min} to {max} characters");
    let text = value.as_str().ok_or_else(|| Wrong::new("it is not text", expected()))?;
    if text.trim().chars().count() < min {
        return Err(Wrong::new("it is empty", expected()));
    }
    if text.chars().count() > max {
        return Err(Wrong::new(format!("it has more than {max} characters"), expected()));
    }
    Ok(text)
}

/// Members in the order of the row, so that one change has one spelling.
fn object(value: &Value, members: &'static [Param]) -> Result<Value, Wrong> {
    let names = || members.iter().map(|member| member.name);
    let expected = || format!("an object with {}", names().collect::<Vec<_>>().join(", "));
    let given = value.as_object().ok_or_else(|| Wrong::new("it is not an object", expected()))?;
    if let Some(unknown) = given.keys().find(|name| !names().any(|known| known == **name)) {
        let at = unknown.chars().take(64).collect();
        return Err(Wrong::Unknown { at, nearest: nearest_of(names(), unknown) });
    }
    if given.is_empty() {
        return Err(Wrong::new("it is empty", expected()));
    }
    let mut object = Map::new();
    for member in members {
        match given.get(member.name) {
            None if member.default.is_none() => return Err(Wrong::Missing { at: member.name.to_owned() }),
            None => {}
            Some(Value::Null) if member.default == Some("null") => drop(object.insert(member.name.to_owned(), Value::Null)),
            Some(value) => {
                let value = checked(member.kind, value).map_err(|wrong| wrong.within(member.name))?;
                object.insert(member.name.to_owned(), value);
            }
        }
    }
    Ok(object.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FLAG: &[Param] = &[Param::required("status", ParamType::Choice(&["flagged", "complete"]), "The flag.")];
    const UPDATES: &[Param] = &[
        Param::member("subject", ParamType::Text { max: 5 }, "The subject."),
        Param::member("flag", ParamType::Object(FLAG), "The flag."),
        Param::optional("phone", ParamType::Text { max: 5 }, "null", "The phone."),
    ];

    fn refused(value: Value) -> String {
        match checked(ParamType::Object(UPDATES), &value).unwrap_err() {
            Wrong::Unknown { at, nearest } => format!("unknown {at} {nearest:?}"),
            Wrong::Missing { at } => format!("missing {at}"),
            Wrong::Invalid { at, reason, .. } => format!("{at}: {reason}"),
        }
    }

    #[test]
    fn an_object_is_checked_all_the_way_down_and_errors_name_the_place() {
        let given = json!({"phone": null, "flag": {"status": "Complete"}});
        assert_eq!(checked(ParamType::Object(UPDATES), &given).unwrap().to_string(), r#"{"flag":{"status":"complete"},"phone":null}"#);
        assert_eq!(refused(json!({"subjct": "x"})), r#"unknown subjct Some("subject")"#);
        assert_eq!(refused(json!({"flag": {}})), "flag: it is empty");
        assert_eq!(refused(json!({"flag": {"x": 1}})), "unknown flag.x None");
        assert_eq!(refused(json!({"flag": {"status": "y"}})), "flag.status: it is not one of the words");
        assert_eq!(refused(json!({"subject": null})), "subject: it is not text");
        assert_eq!(refused(json!({"subject": "123456"})), "subject: it has more than 5 characters");
        assert_eq!(refused(json!({})), ": it is empty");
        let Err(Wrong::Missing { at }) =
            checked(ParamType::Objects(FLAG), &json!([{"status": "flagged"}, {}])).map_err(|wrong| match wrong {
                Wrong::Invalid { at, .. } => Wrong::Missing { at },
                other => other,
            })
        else {
            panic!("an empty member passed")
        };
        assert_eq!(at, "[1]");
    }

    #[test]
    fn people_are_named_once_whatever_the_spelling() {
        let people = |value| checked(ParamType::Addresses { max: 3 }, &value);
        assert_eq!(people(json!("Ada@Example.com, bob@x.org;ada@example.COM")).unwrap(), json!(["ada@example.com", "bob@x.org"]));
        assert_eq!(people(json!(["ada@example.com", "c@d"])).unwrap(), json!(["ada@example.com", "c@d"]));
        assert_eq!(people(json!([])).unwrap(), json!([]));
        for wrong in
            [json!("ada"), json!("a b@c"), json!("<a@b>"), json!("a@b..c"), json!(""), json!([1]), json!("a@b,c@d,e@f,g@h"), json!({})]
        {
            assert!(people(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn people_may_have_names_in_either_form() {
        let people = |value| checked(ParamType::People { max: 2 }, &value);
        let given =
            json!(["Ada@x.org", {"emailAddress": {"name": "Bob", "address": "bob@x.org"}}, {"address": "BOB@x.org", "name": "Robert"}]);
        assert_eq!(people(given).unwrap(), json!([{"address": "ada@x.org"}, {"address": "bob@x.org", "name": "Bob"}]));
        assert_eq!(people(json!([])).unwrap(), json!([]));
        for wrong in [json!([{"name": "x"}]), json!(["x"]), json!(["a@b", "c@d", "e@f"]), json!(5)] {
            assert!(people(wrong.clone()).is_err(), "{wrong}");
        }
        let once = people(json!({"address": "A@b", "name": ""})).unwrap();
        assert_eq!(people(once.clone()).unwrap(), once);
    }

    #[test]
    fn words_come_in_the_order_of_the_row() {
        let words = ParamType::Choices(&["message", "event"]);
        assert_eq!(checked(words, &json!(["EVENT", "message", "event"]).clone()).map_err(|_| ()), Err(()));
        assert_eq!(checked(words, &json!(["EVENT", "message"])).unwrap(), json!(["message", "event"]));
        assert_eq!(checked(words, &json!("event")).unwrap(), json!(["event"]));
    }

    proptest! {
        #[test]
        fn what_passed_passes_again_unchanged(value in prop_oneof![
            "[a-zA-Z]{1,6}@[a-z]{1,4}(, ?[A-Z]{1,3}@[a-z]{1,3}){0,2}".prop_map(Value::from),
            proptest::collection::vec("[a-zA-Z.]{1,6}@[a-z.]{1,4}", 0..4).prop_map(Value::from),
        ]) {
            if let Ok(once) = checked(ParamType::Addresses { max: 500 }, &value) {
                prop_assert_eq!(checked(ParamType::Addresses { max: 500 }, &once).unwrap(), once);
            }
        }
    }
}
