//! The few HTML pages people see when they sign in by hand.

use http::{Response, StatusCode};

use crate::door::reply::{self, Body};
use crate::seed::{Kind, User};
use crate::state::State;

/// A page.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
}

/// Text for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The accounts a person can choose from.
pub(super) fn accounts(state: &State) -> Vec<User> {
    state.graph.users().into_iter().filter(|user| user.kind != Kind::Shared).collect()
}

/// The form that takes a device's code; `note` says how the last try went.
pub(super) fn device_form(state: &State, note: &str) -> Response<Body> {
    let options: String =
        accounts(state).iter().map(|user| format!("<option value=\"{0}\">{0}</option>", escape(&user.username))).collect();
    let body = format!(
        "<p>{}</p>\n<form method=\"post\" action=\"/devicelogin\">\n<label>Code <input name=\"user_code\" autofocus></label>\n<label>Account <select name=\"username\">{options}</select></label>\n<button name=\"action\" value=\"approve\">Sign in</button>\n<button name=\"action\" value=\"decline\">Decline</button>\n</form>",
        escape(note)
    );
    reply::html(StatusCode::OK, page("Enter code", &body))
}
