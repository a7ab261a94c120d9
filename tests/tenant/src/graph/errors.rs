//! Refusals, with the codes and words that Graph uses.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use crate::wire::{Reply, Request};

/// Why a request is refused.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The second-level code in `innerError`.
    pub(crate) inner: Option<&'static str>,
    pub(crate) location: Option<String>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self { status, code, message: message.into(), inner: None, location: None })
    }

    /// 400 with the general code.
    pub(crate) fn bad_request(message: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 400 from OneDrive.
    pub(crate) fn invalid_request(message: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::BAD_REQUEST, "invalidRequest", message)
    }

    pub(crate) fn unknown_segment(segment: &str) -> Box<Self> {
        Self::bad_request(format!("Resource not found for the segment '{segment}'."))
    }

    pub(crate) fn unknown_property(name: &str, type_name: &str) -> Box<Self> {
        let message = format!("Could not find a property named '{name}' on type '{type_name}'.");
        Self::new(StatusCode::BAD_REQUEST, "RequestBroker--ParseUri", message)
    }

    /// A member of an action's body that the action does not take.
    pub(crate) fn unknown_parameter(name: &str, action: &str) -> Box<Self> {
        let message = format!("The parameter '{name}' in the request payload is not a valid parameter for the operation '{action}'.");
        Self::new(StatusCode::BAD_REQUEST, "RequestBodyRead", message)
    }

    pub(crate) fn method_not_allowed() -> Box<Self> {
        let message = "Specified HTTP method is not allowed for the request target.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Request_BadRequest", message)
    }

    /// An Exchange item that does not exist, or no longer under this id.
    pub(crate) fn item_gone() -> Box<Self> {
        let message = "The specified object was not found in the store., The process failed to get the correct properties.";
        Self::new(StatusCode::NOT_FOUND, "ErrorItemNotFound", message)
    }

    pub(crate) fn folder_gone() -> Box<Self> {
        Self::new(StatusCode::NOT_FOUND, "ErrorItemNotFound", "The specified folder could not be found in the store.")
    }

    pub(crate) fn malformed_id() -> Box<Self> {
        Self::new(StatusCode::BAD_REQUEST, "ErrorInvalidIdMalformed", "Id is malformed.")
    }

    pub(crate) fn access_denied() -> Box<Self> {
        Self::new(StatusCode::FORBIDDEN, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
    }

    /// A drive item or drive that does not exist.
    pub(crate) fn item_not_found() -> Box<Self> {
        Self::new(StatusCode::NOT_FOUND, "itemNotFound", "The resource could not be found.")
    }

    pub(crate) fn user_not_found(id: &str) -> Box<Self> {
        let message = format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present.");
        Self::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
    }

    pub(crate) fn name_taken() -> Box<Self> {
        Self::new(StatusCode::CONFLICT, "nameAlreadyExists", "The specified item name already exists.")
    }

    pub(crate) fn folder_exists() -> Box<Self> {
        Self::new(StatusCode::CONFLICT, "ErrorFolderExists", "A folder with the specified name already exists.")
    }

    /// The tag in `If-Match` is not that of the drive item.
    pub(crate) fn resource_modified() -> Box<Self> {
        let message = "The resource has changed since the caller last read it; usually an eTag mismatch.";
        let mut fault = Self::new(StatusCode::PRECONDITION_FAILED, "resourceModified", message);
        fault.inner = Some("entityTagDoesNotMatch");
        fault
    }

    /// The change key in `If-Match` is not that of the Exchange item.
    pub(crate) fn conflict() -> Box<Self> {
        let message = "The send or update operation could not be performed because the change key passed in the request does not match the current change key for the item.";
        Self::new(StatusCode::PRECONDITION_FAILED, "ErrorIrresolvableConflict", message)
    }

    pub(crate) fn sync_state_gone(epoch: u32) -> Box<Self> {
        let (token, now) = (149 + epoch, 157 + epoch);
        let message = format!("The sync state generation is not found; generation={token};[highest={now}][{now}][{token}][{token}].");
        Self::new(StatusCode::GONE, "SyncStateNotFound", message)
    }

    pub(crate) fn resync_required(location: String) -> Box<Self> {
        let message = "Resync required. Replace any local items with the server's version (including deletes) if you're sure that the service was up to date with your local changes when you last sync'd. Upload any local changes that the server doesn't know about.";
        let mut fault = Self::new(StatusCode::GONE, "resyncRequired", message);
        fault.inner = Some("resyncChangesApplyDifferences");
        fault.location = Some(location);
        fault
    }

    /// The reply with Graph's error object.
    pub(crate) fn reply(&self, request: &Request, now: jiff::Timestamp) -> Reply {
        let header = |name: &str| request.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let client = header("client-request-id");
        let id = header("request-id")
            .or_else(|| client.clone())
            .unwrap_or_else(|| crate::seed::prng::Prng::new(now.as_nanosecond() as u64, &request.path).guid());
        let date = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let mut inner = json!({"date": date, "request-id": id, "client-request-id": client.unwrap_or_else(|| id.clone())});
        if let Some(code) = self.inner {
            inner["code"] = json!(code);
        }
        let body = json!({"error": {"code": self.code, "message": self.message, "innerError": inner}});
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(location) = self.location.as_deref().and_then(|l| HeaderValue::from_str(l).ok()) {
            headers.insert(HeaderName::from_static("location"), location);
        }
        Reply { status: self.status, headers, body: Bytes::from(body.to_string()) }
    }
}
