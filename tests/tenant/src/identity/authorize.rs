//! The authorize endpoint (code + PKCE on a loopback redirect) and logout.

use http::header::LOCATION;
use http::{Response, StatusCode};
use url::Url;

use super::errors::{Refusal, refuse};
use super::grants::{Code, Grant};
use super::{Call, admits, known, pages, scopes, token};
use crate::door::reply::{self, Body};
use crate::state::State;

/// A checked authorize request.
struct Wish {
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    form_post: bool,
}

/// `GET /{tenant}/oauth2/v2.0/authorize`.
pub(super) fn answer(state: &State, call: &Call) -> Response<Body> {
    let asked = |name: &str| call.query.get(name).cloned();
    let wish = Wish {
        client_id: asked("client_id").unwrap_or_default(),
        redirect_uri: asked("redirect_uri").unwrap_or_default(),
        state: asked("state"),
        form_post: asked("response_mode").as_deref() == Some("form_post"),
    };
    // These two must never be answered with a redirect: the address itself is in doubt.
    let trusted = known(state, &wish.client_id, &call.authority)
        .and_then(|()| if is_loopback(&wish.redirect_uri) { Ok(()) } else { Err(refuse(50011)) });
    if let Err(refusal) = trusted {
        let text = format!("<p>{}</p>", pages::escape(&refusal.line()));
        return reply::html(StatusCode::BAD_REQUEST, pages::page("Sign-in failed", &text));
    }
    match grant(state, call, &wish) {
        Ok(Some(pairs)) => back(&wish, &pairs),
        Ok(None) => chooser(state, call),
        Err(refusal) => {
            let pairs = vec![("error", refusal.error.to_owned()), ("error_description", refusal.line())];
            back(&wish, &pairs)
        }
    }
}

type Pairs = Vec<(&'static str, String)>;

/// What goes back to the application; `None` when a person has to choose an account first.
fn grant(state: &State, call: &Call, wish: &Wish) -> Result<Option<Pairs>, Refusal> {
    let asked = |name: &str| call.query.get(name).map_or("", String::as_str);
    if asked("response_type") != "code" {
        return Err(refuse(70005));
    }
    if !matches!(asked("response_mode"), "" | "query" | "form_post") {
        return Err(refuse(70007));
    }
    let scopes = scopes(asked("scope"))?;
    if asked("code_challenge").len() != 43 || asked("code_challenge_method") != "S256" {
        return Err(refuse(9_002_325));
    }
    if asked("prompt") == "deny" {
        return Err(refuse(65004));
    }
    if asked("prompt") == "none" && asked("login_hint").is_empty() {
        return Err(Refusal { error: "login_required", ..refuse(50076) });
    }
    if asked("login_hint").is_empty() {
        return Ok(None);
    }
    let user = state.user(asked("login_hint")).ok_or_else(|| refuse(50034).about(asked("login_hint")))?;
    admits(&call.authority, &user)?;
    let code = state.ids.token("0.A");
    let mut pairs = vec![("code", code.clone())];
    if asked("client_info") == "1" {
        pairs.push(("client_info", token::client_info(&user)));
    }
    let grant = Grant {
        user,
        client_id: wish.client_id.clone(),
        scopes,
        authority: call.authority.clone(),
        nonce: call.query.get("nonce").cloned(),
    };
    let kept = Code::new(grant, asked("code_challenge").to_owned(), wish.redirect_uri.clone(), state.clock.seconds());
    state.grants.keep_code(code, kept);
    Ok(Some(pairs))
}

/// Sends the browser back to the application.
fn back(wish: &Wish, pairs: &Pairs) -> Response<Body> {
    let mut pairs = pairs.clone();
    if let Some(state) = &wish.state {
        pairs.push(("state", state.clone()));
    }
    if wish.form_post {
        let fields: String = pairs
            .iter()
            .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", pages::escape(value)))
            .collect();
        let form = format!(
            "<form method=\"post\" action=\"{}\">{fields}<button>Continue</button></form><script>document.forms[0].submit()</script>",
            pages::escape(&wish.redirect_uri)
        );
        return reply::html(StatusCode::OK, pages::page("Working...", &form));
    }
    let Ok(mut target) = Url::parse(&wish.redirect_uri) else {
        return reply::html(StatusCode::BAD_REQUEST, pages::page("Sign-in failed", ""));
    };
    target.query_pairs_mut().extend_pairs(&pairs);
    redirect(target.as_str())
}

pub(super) fn redirect(target: &str) -> Response<Body> {
    let mut response = reply::html(StatusCode::FOUND, String::new());
    reply::set(&mut response, LOCATION, target);
    response
}

/// The page on which a person picks an account: each link is the same request with a `login_hint`.
fn chooser(state: &State, call: &Call) -> Response<Body> {
    let link = |name: &str, value: &str| {
        let pairs = call.query.iter().filter(|(key, _)| key.as_str() != name);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs).append_pair(name, value);
        pages::escape(&format!("/{}/oauth2/v2.0/authorize?{}", call.authority, query.finish()))
    };
    let accounts: String = pages::accounts(state)
        .iter()
        .map(|user| {
            let (target, name) = (link("login_hint", &user.username), pages::escape(&user.display_name));
            format!("<li><a href=\"{target}\">{name} ({})</a></li>\n", pages::escape(&user.username))
        })
        .collect();
    let body = format!("<ul>\n{accounts}</ul>\n<p><a href=\"{}\">Decline</a></p>", link("prompt", "deny"));
    reply::html(StatusCode::OK, pages::page("Pick an account", &body))
}

/// `/{tenant}/oauth2/v2.0/logout`.
pub(super) fn logout(call: &Call) -> Response<Body> {
    match call.query.get("post_logout_redirect_uri") {
        Some(target) if is_loopback(target) => redirect(target),
        _ => reply::html(StatusCode::OK, pages::page("You signed out of your account", "")),
    }
}

/// Redirects go to `http://localhost` or `http://127.0.0.1`, any port and path.
pub(super) fn is_loopback(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|uri| uri.scheme() == "http" && matches!(uri.host_str(), Some("localhost" | "127.0.0.1")))
}
