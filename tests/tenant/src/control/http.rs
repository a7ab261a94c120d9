//! The control port: [`Control`]'s verbs as JSON over HTTP.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Control;
use super::verbs::{AuthAction, DeviceAction, Wait};
use crate::clock::ClockSetting;
use crate::door::reply::{self, Body};
use crate::faults::Fault;
use crate::options::{Latency, Throttle};
use crate::state::State;

/// The verbs, as `GET /` lists them.
pub(crate) const VERBS: &[(&str, &str)] = &[
    ("GET /", "this list"),
    ("GET /stats", "counts since the start or the last reset"),
    ("POST /stats/reset", "start all counts again, and forget what was asked"),
    ("GET /asked", "the last thousand requests to Graph that were no GET: method, path with query, headers without the token, body"),
    ("GET /csdl", "how many properties of answers were held to the declarations of v1.0, and which did not hold; needs `--check-csdl`"),
    (
        "GET /wait?route=&count=&concurrent=&timeout_ms=",
        "wait for so many requests on routes containing `route` to have come and to be in flight; 408 when time runs out",
    ),
    ("GET /faults", "faults and how often each struck"),
    (
        "POST /faults",
        r#"add a fault: {"port":"graph|identity|downloads","route":"GET /me/messages","user":"alex@contoso.example","count":1,"after":0,"effect":{"kind":"status","status":503,"code":"serviceNotAvailable","retry_after":2}}; all but `effect` optional. Kinds: status{status,code,message?,retry_after?: n | {"date_in_s":n} | "text"}, unauthorized, claims_challenge, garbage{how: not_json|truncated_json|wrong_length}, reset{at: before|after}, hang{ms}, slow_body{pieces,ms}, empty_body, html_page{status}, loop_next_link, foreign_next_link, hold{at: before|after}"#,
    ),
    ("DELETE /faults?id=", "remove one fault or all; what they hold goes on"),
    ("POST /release", r#"let held requests go and remove the hold: {"id":1}, or {} for all"#),
    ("GET /clock?after=&timeout_ms=", "the tenant's time; with `after` waits until its revision is higher"),
    ("POST /clock", r#"{"set":"2026-11-20T09:00:00Z","advance_ms":1000,"freeze":true,"run":true}, each optional, in this order"#),
    ("POST /changes", "a change by somebody else, or a list of them; see the data model's `apply`"),
    ("GET /dump?user=&kind=", "the state as JSON; kind: messages, mailFolders, driveItems, contacts, events"),
    ("POST /lag", r#"{"ms":5000}: how late lists and searches show what a write did"#),
    ("POST /latency", r#"{"latency":"none|real"}"#),
    ("POST /throttle", r#"{"on":true,"limit":4,"retry_after":1,"strict_batch":false}, each optional"#),
    ("POST /token_lifetime", r#"{"seconds":3600} for access tokens issued from now on"#),
    ("POST /device", r#"{"user_code":"ABC","username":"alex@contoso.example","action":"approve|decline|slow_down"}"#),
    (
        "POST /auth",
        r#"{"username":"alex@contoso.example","action":"revoke|expire_access|fail_refresh|withhold","code":50173,"scopes":["Mail.Send"]}; `code` for fail_refresh, `scopes` for withhold"#,
    ),
    ("POST /stop", "end the tenant"),
];

/// Answers a request on the control port.
pub(crate) async fn answer(state: &Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let control = Control::new(Arc::clone(state));
    // A long log of changes fits in easily.
    let answer = match reply::read(request, 64 * 1024 * 1024).await {
        Ok((parts, body)) => {
            let call = Call {
                verb: format!("{} {}", parts.method, parts.uri.path()),
                query: url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect(),
                body: if body.is_empty() { b"{}".to_vec() } else { body.to_vec() },
            };
            respond(&control, &call).await
        }
        Err(problem) => Err(anyhow::anyhow!("the body could not be read: {problem:?}")),
    };
    Ok(answer.unwrap_or_else(|error| {
        reply::json(StatusCode::BAD_REQUEST, &json!({"error": format!("{error:#}"), "hint": "GET / lists the verbs"}))
    }))
}

struct Call {
    verb: String,
    query: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Call {
    fn body<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// A query parameter that is a number.
    fn number(&self, name: &str) -> anyhow::Result<Option<u64>> {
        let value = self.query.get(name).filter(|value| !value.is_empty());
        value.map(|value| value.parse().map_err(|_| anyhow::anyhow!("{name} is not a number: {value}"))).transpose()
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn only(&self, names: &[&str]) -> anyhow::Result<()> {
        match self.query.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(anyhow::anyhow!("unknown parameter {name}")),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    #[serde(default)]
    id: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lag {
    ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLatency {
    latency: Latency,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifetime {
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    user_code: String,
    #[serde(default)]
    username: Option<String>,
    action: DeviceAction,
}

#[derive(Deserialize)]
struct Auth {
    username: String,
    #[serde(flatten)]
    rest: Value,
}

async fn respond(control: &Control, call: &Call) -> anyhow::Result<Response<Body>> {
    let done = json!({"ok": true});
    let value = match call.verb.as_str() {
        "GET /" => {
            let list: BTreeMap<&str, &str> = VERBS.iter().copied().collect();
            serde_json::to_value(list)?
        }
        "GET /stats" => serde_json::to_value(control.stats())?,
        "POST /stats/reset" => {
            control.reset_stats();
            done
        }
        "GET /asked" => serde_json::to_value(control.asked())?,
        "GET /csdl" => serde_json::to_value(control.csdl()?)?,
        "GET /wait" => {
            call.only(&["route", "count", "concurrent", "timeout_ms"])?;
            let wait = Wait {
                route: call.text("route").unwrap_or_default().to_owned(),
                count: call.number("count")?.unwrap_or(0),
                concurrent: call.number("concurrent")?.unwrap_or(0),
                timeout_ms: call.number("timeout_ms")?,
            };
            let waited = control.wait(&wait).await;
            let status = if waited.reached { StatusCode::OK } else { StatusCode::REQUEST_TIMEOUT };
            return Ok(reply::json(status, &serde_json::to_value(waited)?));
        }
        "GET /faults" => serde_json::to_value(control.faults())?,
        "POST /faults" => json!({"id": control.fault(call.body::<Fault>()?)}),
        "DELETE /faults" => {
            call.only(&["id"])?;
            json!({"removed": control.clear_faults(call.number("id")?)})
        }
        "POST /release" => json!({"removed": control.release(call.body::<Release>()?.id)}),
        "GET /clock" => {
            call.only(&["after", "timeout_ms"])?;
            let timeout = Duration::from_millis(call.number("timeout_ms")?.unwrap_or(30_000));
            let reading = match call.number("after")? {
                Some(revision) => control.clock_after(revision, timeout).await,
                None => control.clock(),
            };
            serde_json::to_value(reading)?
        }
        "POST /clock" => serde_json::to_value(control.set_clock(&call.body::<ClockSetting>()?))?,
        "POST /changes" => match call.body::<Value>()? {
            Value::Array(changes) => changes.iter().map(|change| control.change(change)).collect::<anyhow::Result<Value>>()?,
            change => control.change(&change)?,
        },
        "GET /dump" => {
            call.only(&["user", "kind"])?;
            control.dump(call.text("user"), call.text("kind"))?
        }
        "POST /lag" => {
            control.set_lag(Duration::from_millis(call.body::<Lag>()?.ms));
            done
        }
        "POST /latency" => {
            control.set_latency(call.body::<SetLatency>()?.latency);
            done
        }
        "POST /throttle" => {
            control.set_throttle(call.body::<Throttle>()?);
            done
        }
        "POST /token_lifetime" => {
            control.set_token_lifetime(Duration::from_secs(call.body::<Lifetime>()?.seconds));
            done
        }
        "POST /device" => {
            let device: Device = call.body()?;
            control.device(&device.user_code, device.username.as_deref(), device.action)?;
            done
        }
        "POST /auth" => {
            let auth: Auth = call.body()?;
            control.auth(&auth.username, action(&auth.rest)?)?;
            done
        }
        "POST /stop" => {
            control.stop();
            done
        }
        verb => {
            return Ok(reply::json(
                StatusCode::NOT_FOUND,
                &json!({"error": format!("no such verb: {verb}"), "hint": "GET / lists the verbs"}),
            ));
        }
    };
    Ok(reply::json(StatusCode::OK, &value))
}

/// `{"action":"fail_refresh","code":50173}`, `{"action":"withhold","scopes":["Mail.Send"]}` and the two that are an action alone.
fn action(fields: &Value) -> anyhow::Result<AuthAction> {
    let code = fields["code"].as_u64().and_then(|code| u32::try_from(code).ok());
    match (fields["action"].as_str(), code) {
        (Some("revoke"), None) => Ok(AuthAction::Revoke),
        (Some("expire_access"), None) => Ok(AuthAction::ExpireAccess),
        (Some("fail_refresh"), Some(code)) => Ok(AuthAction::FailRefresh { code }),
        (Some("withhold"), None) => Ok(AuthAction::Withhold { scopes: serde_json::from_value(fields["scopes"].clone())? }),
        _ => anyhow::bail!("action is revoke, expire_access, fail_refresh with a numeric code, or withhold with scopes"),
    }
}
