"""msal signs in by authorization code with PKCE and by device code, over TLS, and gets new tokens by refreshing.

Its own HTTP client and its own rules about authorities are at work: nothing of it is replaced.
"""
import json, urllib.parse
import msal, requests
from steps import need, run, same, tenant

at = tenant()
AUTHORITY = at["identity_tls"] + "/organizations"
SCOPES = ["Mail.Read", "User.Read"]
REDIRECT = "http://localhost:4321/back"


def application(authority=AUTHORITY):
    return msal.PublicClientApplication(at["client_id"], authority=authority, verify=at["ca"], instance_discovery=False)


def graph_accepts(result, username):
    need(result.get("access_token"), f"access token in {result}")
    me = requests.get(at["graph"] + "/me", headers={"Authorization": "Bearer " + result["access_token"]})
    same(me.json().get("userPrincipalName"), username, "who the token is for")


def browse(url):
    """What a browser does that is signed in: opens the address and ends up at the redirect address."""
    answer = requests.get(url, verify=at["ca"], allow_redirects=False)
    same(answer.status_code, 302, answer.text[:200])
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["Location"]).query))


def pkce():
    app = application()
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT, login_hint=at["username"])
    result = app.acquire_token_by_auth_code_flow(flow, browse(flow["auth_uri"]))
    graph_accepts(result, at["username"])
    same(result["id_token_claims"]["preferred_username"], at["username"], "the id token")
    same([one["username"] for one in app.get_accounts()], [at["username"]], "the accounts")


def refresh():
    app = application()
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT, login_hint=at["username"])
    first = app.acquire_token_by_auth_code_flow(flow, browse(flow["auth_uri"]))
    account = app.get_accounts()[0]
    same(app.acquire_token_silent(SCOPES, account)["access_token"], first["access_token"], "the cached token")
    second = app.acquire_token_silent_with_error(SCOPES, account, force_refresh=True)
    graph_accepts(second, at["username"])
    need(second["access_token"] != first["access_token"], "new token")


def code_used_twice():
    app = application()
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT, login_hint=at["username"])
    back = browse(flow["auth_uri"])
    need(app.acquire_token_by_auth_code_flow(flow, back).get("access_token"), "token")
    again = application().acquire_token_by_auth_code_flow(flow, back)
    same(again.get("error"), "invalid_grant", "the second use of a code")


def declined():
    app = application()
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT, prompt="deny")
    same(app.acquire_token_by_auth_code_flow(flow, browse(flow["auth_uri"])).get("error"), "access_denied", "a sign-in that was declined")


def device():
    app = application()
    flow = app.initiate_device_flow(scopes=SCOPES)
    need(flow.get("user_code"), f"code in {flow}")
    answer = {"user_code": flow["user_code"], "username": at["username"], "action": "approve"}
    same(requests.post(at["control"] + "/device", data=json.dumps(answer)).status_code, 200, "the person's answer")
    graph_accepts(app.acquire_token_by_device_flow(flow), at["username"])


def device_declined():
    app = application()
    flow = app.initiate_device_flow(scopes=SCOPES)
    requests.post(at["control"] + "/device", data=json.dumps({"user_code": flow["user_code"], "action": "decline"}))
    same(app.acquire_token_by_device_flow(flow).get("error"), "authorization_declined", "a device that was declined")


def personal():
    app = application(at["identity_tls"] + "/consumers")
    flow = app.initiate_auth_code_flow(SCOPES, redirect_uri=REDIRECT, login_hint="casey@outlook.example")
    graph_accepts(app.acquire_token_by_auth_code_flow(flow, browse(flow["auth_uri"])), "casey@outlook.example")


run("msal", [pkce, refresh, code_used_twice, declined, device, device_declined, personal])
