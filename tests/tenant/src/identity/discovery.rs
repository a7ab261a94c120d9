//! What clients read first: where the endpoints are.
//!
//! On the TLS port the document names this tenant. On the plain port it names Microsoft's host, as the real document
//! does: Microsoft's own libraries refuse endpoints that are not https, so whoever reads this over plain HTTP maps
//! the host himself and must be able to map the endpoints in the same way. Clients that follow a document literally
//! use the TLS port.

use http::{Response, StatusCode};
use serde_json::json;

use super::Call;
use super::errors::refuse;
use crate::door::reply::{self, Body};
use crate::seed::Kind;
use crate::state::State;

/// `/{tenant}/v2.0/.well-known/openid-configuration`.
pub(super) fn document(state: &State, call: &Call) -> Response<Body> {
    let tenant = match call.authority.as_str() {
        "common" | "organizations" => "{tenantid}".to_owned(),
        "consumers" => super::PERSONAL.to_owned(),
        id if state.graph.users().iter().any(|user| user.tenant_id == id && user.kind != Kind::Shared) => id.to_owned(),
        other => return call.refusal(state, &refuse(90002).about(other)),
    };
    let (base, authority) = (call.named(), &call.authority);
    let endpoint = |name: &str| format!("{base}/{authority}/oauth2/v2.0/{name}");
    reply::json(
        StatusCode::OK,
        &json!({
            "token_endpoint": endpoint("token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "jwks_uri": format!("{base}/{authority}/discovery/v2.0/keys"),
            "response_modes_supported": ["query", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["HS256"],
            "response_types_supported": ["code"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": format!("{base}/{tenant}/v2.0"),
            "request_uri_parameter_supported": false,
            "userinfo_endpoint": "https://graph.microsoft.com/oidc/userinfo",
            "authorization_endpoint": endpoint("authorize"),
            "device_authorization_endpoint": endpoint("devicecode"),
            "end_session_endpoint": endpoint("logout"),
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "oid", "ver"],
            "tenant_region_scope": null,
            "cloud_instance_name": "microsoftonline.com",
            "msgraph_host": "graph.microsoft.com"
        }),
    )
}

/// `/common/discovery/instance`: which hosts are the same cloud.
pub(super) fn instance(call: &Call) -> Response<Body> {
    let host = call.named().split_once("://").map_or("", |(_, host)| host);
    reply::json(
        StatusCode::OK,
        &json!({
            "tenant_discovery_endpoint": format!("{}/common/v2.0/.well-known/openid-configuration", call.named()),
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}]
        }),
    )
}
