//! One request being answered: who asks, whose things, when, and in which form; and the replies in that form.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::errors::Fault;
use super::odata::{Answer, Query, encode};
use super::route::{Owner, Resource};
use super::store::{Drive, Mailbox, State};
use super::view::View;
use crate::csdl::Csdl;
use crate::seed::Kind;
use crate::wire::{Reply, Request};

/// A request with everything that is the same for all resources.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) now: Timestamp,
    pub(crate) query: Query,
    pub(crate) view: View,
    /// Who asks: an index into the users.
    pub(crate) caller: usize,
    /// Whose mailbox or drive it is: an index into users, mailboxes and drives.
    pub(crate) owner: usize,
    /// `users('…')` or `drives('…')`, for context URLs.
    scope: String,
}

/// The user with this object id or user principal name.
pub(crate) fn find_user(state: &State, id: &str) -> Option<usize> {
    state.users.iter().position(|user| user.id.eq_ignore_ascii_case(id) || user.username.eq_ignore_ascii_case(id))
}

impl<'a> Call<'a> {
    /// Finds out who asks and whether they may.
    pub(crate) fn new(state: &State, request: &'a Request, owner: &Owner, resource: &Resource, now: Timestamp) -> Answer<Self> {
        let caller = state.users.iter().position(|user| user.id == request.user).ok_or_else(|| {
            Fault::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
        })?;
        let (index, scope) = match owner {
            Owner::Me => (caller, format!("users('{}')", encode(&state.users[caller].id))),
            Owner::User(id) => {
                let index = find_user(state, id).ok_or_else(|| Fault::user_not_found(id))?;
                (index, format!("users('{}')", encode(id)))
            }
            Owner::Drive(id) => {
                let same = |drive: &Drive| drive.key.id.eq_ignore_ascii_case(id);
                let index = state.drives.iter().position(same).ok_or_else(Fault::item_not_found)?;
                (index, format!("drives('{}')", encode(id)))
            }
        };
        let (me, them) = (&state.users[caller], &state.users[index]);
        let same_tenant = me.kind != Kind::Personal && me.tenant_id == them.tenant_id;
        let profile = *resource == Resource::User;
        let open = index == caller || (same_tenant && (profile || them.kind == Kind::Shared));
        if !open {
            return Err(match resource {
                Resource::User => Fault::user_not_found(&them.id),
                Resource::Drive | Resource::Drives | Resource::Item(..) => {
                    Fault::new(StatusCode::FORBIDDEN, "accessDenied", "Access denied")
                }
                _ => Fault::access_denied(),
            });
        }
        let view = View::parse(&request.headers)?;
        Ok(Self { request, now, query: Query::parse(&request.query), view, caller, owner: index, scope })
    }

    /// The mailbox asked about.
    pub(crate) fn mailbox<'s>(&self, state: &'s State) -> &'s Mailbox {
        &state.mailboxes[self.owner]
    }

    /// The drive asked about.
    pub(crate) fn drive<'s>(&self, state: &'s State) -> &'s Drive {
        &state.drives[self.owner]
    }

    /// The request's own address without its query.
    pub(crate) fn address(&self) -> String {
        format!("{}{}", self.request.base, self.request.path)
    }

    /// A context URL: `…/$metadata#users('…')/messages`.
    pub(crate) fn context(&self, tail: &str) -> String {
        format!("{}/$metadata#{}{tail}", self.request.base, self.scope)
    }

    /// A context URL that does not name an owner: `…/$metadata#Collection(message)`.
    pub(crate) fn plain_context(&self, tail: &str) -> String {
        format!("{}/$metadata#{tail}", self.request.base)
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as a JSON object, in the form in which the service keeps it; no body is an empty one.
    pub(crate) fn body(&self) -> Answer<Map<String, Value>> {
        if self.request.body.is_empty() {
            return Ok(Map::new());
        }
        let mut body = serde_json::from_slice(&self.request.body);
        if let Ok(body) = &mut body {
            Csdl::v1().canonical(self.request.method.as_str(), &self.request.path, body);
        }
        match body {
            Ok(Value::Object(body)) => Ok(body),
            Ok(_) | Err(_) => Err(Fault::bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
            )),
        }
    }

    /// A JSON reply with a context in front.
    pub(crate) fn json(&self, status: StatusCode, context: &str, body: Map<String, Value>) -> Reply {
        let mut out = Map::with_capacity(body.len() + 1);
        out.insert("@odata.context".to_owned(), Value::String(context.to_owned()));
        out.extend(body);
        self.reply(
            status,
            Bytes::from(serde_json::to_vec(&out).unwrap_or_default()),
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
        )
    }

    /// A reply with a body of another kind.
    pub(crate) fn reply(&self, status: StatusCode, body: Bytes, content_type: &str) -> Reply {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(content_type) {
            headers.insert(header::CONTENT_TYPE, value);
        }
        headers.insert(HeaderName::from_static("odata-version"), HeaderValue::from_static("4.0"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        if !self.view.applied.is_empty()
            && let Ok(value) = HeaderValue::from_str(&self.view.applied.join(", "))
        {
            headers.insert(HeaderName::from_static("preference-applied"), value);
        }
        Reply { status, headers, body }
    }

    /// The tag of `If-Match`, when there is one that is not `*`.
    pub(crate) fn if_match(&self) -> Option<&str> {
        self.header("if-match").map(str::trim).filter(|tag| *tag != "*")
    }
}
