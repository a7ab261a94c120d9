//! A whole answer: its envelope, then the things in it.

use serde_json::Value;

use super::Exchange;
use super::model::Csdl;
use super::path::Gives;
use super::report::Findings;
use super::value;

/// Members that the envelope of a page may have beside `value`.
const ENVELOPE: &[&str] = &["@odata.context", "@odata.nextLink", "@odata.deltaLink", "@odata.count", "@odata.type"];

/// Checks an answer; what is found goes into `findings`.
pub(super) fn check(csdl: &Csdl, exchange: &Exchange<'_>, findings: &mut Findings) {
    findings.responses += 1;
    let is_json = exchange.content_type.is_empty() || exchange.content_type.to_ascii_lowercase().starts_with("application/json");
    if (300..400).contains(&exchange.status) {
        return;
    }
    let parsed = || serde_json::from_slice::<Value>(exchange.body);
    if exchange.status >= 400 {
        return match parsed() {
            Ok(body) if is_json => error(&body, findings),
            // A 304 or 412 may come without words; anything else must say why.
            _ if exchange.body.is_empty() => {}
            _ => findings.offence("error", "is no JSON", &Value::Null),
        };
    }
    let gives = match csdl.gives(exchange.method, exchange.path) {
        Ok(gives) => gives,
        Err(why) => return findings.offence("address", &why, &Value::Null),
    };
    if gives == Gives::Raw || exchange.body.is_empty() {
        let owed = exchange.method == "GET" && exchange.status == 200 && gives != Gives::Raw;
        if owed {
            findings.offence("body", "is missing", &Value::Null);
        }
        return;
    }
    match parsed() {
        Ok(body) if is_json => against(csdl, &gives, exchange, &body, findings),
        _ => findings.offence("body", "is no JSON", &Value::Null),
    }
}

fn against(csdl: &Csdl, gives: &Gives, exchange: &Exchange<'_>, body: &Value, findings: &mut Findings) {
    match gives {
        Gives::Nothing => findings.offence("body", "is there, and nothing is declared", body),
        Gives::One(one) => value::entity(csdl, one, body, short(one), findings),
        Gives::Many(one) => {
            envelope(body, findings);
            let Some(rows) = body["value"].as_array() else { return findings.offence("value", "is no collection", body) };
            for row in rows {
                value::one(csdl, one, row, short(one), findings);
            }
        }
        Gives::Value(one, many) => {
            envelope(body, findings);
            match (&body["value"], many) {
                (Value::Array(rows), true) => rows.iter().for_each(|row| value::one(csdl, one, row, "value[]", findings)),
                (Value::Null, false) => {}
                (single, false) => value::one(csdl, one, single, "value", findings),
                (other, true) => findings.offence("value", "is no collection", other),
            }
        }
        Gives::Batch => batch(csdl, exchange, body, findings),
        Gives::Raw => {}
    }
}

fn short(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or(type_name)
}

fn envelope(body: &Value, findings: &mut Findings) {
    for (name, value) in body.as_object().into_iter().flatten().filter(|(name, _)| *name != "value") {
        findings.checked += 1;
        let fits = if name == "@odata.count" { value.is_u64() } else { value.is_string() };
        if !ENVELOPE.contains(&name.as_str()) || !fits {
            findings.offence(name, "does not belong into the envelope of a page", value);
        }
    }
}

/// `{"error":{"code","message","innerError"}}`
fn error(body: &Value, findings: &mut Findings) {
    findings.checked += 1;
    let error = &body["error"];
    if !error["code"].is_string() || !error["message"].is_string() {
        findings.offence("error", "has no code or no message", body);
    }
    for (name, value) in error.as_object().into_iter().flatten() {
        let fits = match name.as_str() {
            "code" | "message" => true,
            "target" => value.is_string() || value.is_null(),
            "innerError" | "innererror" => value.is_object(),
            "details" => value.is_array(),
            _ => false,
        };
        if !fits {
            findings.offence(&format!("error.{name}"), "does not belong into an error", value);
        }
    }
}

/// Each answer of a batch against its own request.
fn batch(csdl: &Csdl, exchange: &Exchange<'_>, body: &Value, findings: &mut Findings) {
    let request: Value = serde_json::from_slice(exchange.request).unwrap_or_default();
    let asked = request["requests"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(answers) = body["responses"].as_array() else { return findings.offence("responses", "is no collection", body) };
    for answer in answers {
        let same = |one: &&Value| match (&one["id"], &answer["id"]) {
            (Value::Number(sent), Value::String(back)) => sent.to_string() == *back,
            (sent, back) => sent == back,
        };
        let (Some(status), Some(asked)) =
            (answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()), asked.iter().find(same))
        else {
            findings.offence("responses[]", "has no status, or an id that nobody sent", answer);
            continue;
        };
        let headers = answer["headers"].as_object();
        let kind = headers.and_then(|headers| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")));
        let url = asked["url"].as_str().unwrap_or_default();
        let inner = if answer["body"].is_null() { Vec::new() } else { answer["body"].to_string().into_bytes() };
        check(
            csdl,
            &Exchange {
                method: &asked["method"].as_str().unwrap_or_default().to_ascii_uppercase(),
                path: url.split('?').next().unwrap_or_default(),
                request: &[],
                status,
                content_type: kind.and_then(|(_, value)| value.as_str()).unwrap_or_default(),
                body: &inner,
            },
            findings,
        );
    }
}
