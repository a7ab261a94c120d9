//! Signing in and out, without a browser and without waiting: what is kept, what is forgotten, what is asked once.

use m365_cached_checks::support::{
    ctl,
    mcp::{Era, Mcp},
    tenant,
    world::{ALEX, BEA, CASEY, Setup, World},
};
use m365_cached_tenant::{AuthAction, DeviceAction, Options};
use serde_json::json;

fn signed_out() -> World {
    let tenant = Options { device_interval: std::time::Duration::from_millis(1), ..Options::default() };
    World::with(Setup { tenant, ..Setup::default() }).unwrap()
}

#[test]
fn work_and_personal_accounts_sign_in_by_the_loopback_flow() {
    let world = signed_out();
    let ids = [ALEX, CASEY].map(|account| world.sign_in(account).unwrap());
    let accounts = world.ctl_json(&["accounts"]).unwrap();
    let listed = accounts["accounts"].as_array().unwrap();
    assert_eq!(listed.len(), 2, "{accounts}");
    for (id, kind) in ids.iter().zip(["work_school", "personal"]) {
        let account = listed.iter().find(|account| account["id"] == **id).unwrap();
        assert_eq!((&account["state"], &account["account_type"]), (&json!("signed_in"), &json!(kind)), "{accounts}");
    }
    let mut client = world.client(Era::Legacy).unwrap();
    for id in &ids {
        client.call("email_list", &json!({"account_id": id})).unwrap().json().unwrap();
    }
}

#[test]
fn a_device_code_is_approved_or_declined() {
    let world = signed_out();
    for (action, code) in [(DeviceAction::Approve, Some(0)), (DeviceAction::Decline, Some(3))] {
        let mut talk = ctl::start(world.bins, &world.home, &["--json", "login", "--device"]).unwrap();
        let event = talk.event().unwrap().unwrap();
        assert_eq!(event["event"], "device_code", "{event}");
        world.control().device(event["user_code"].as_str().unwrap(), Some(BEA), action).unwrap();
        let last = talk.event().unwrap();
        let said = talk.finish(String::new()).unwrap();
        assert_eq!(said.code, code, "{last:?} {said:?}");
    }
    let accounts = world.ctl_json(&["accounts"]).unwrap();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(accounts["accounts"][0]["username"], BEA);
}

#[test]
fn signing_out_forgets_tokens_and_answers() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], ..Setup::default() }).unwrap();
    let mut client = world.client(Era::Legacy).unwrap();
    for id in &world.ids {
        client.call("email_list", &json!({"account_id": id})).unwrap().json().unwrap();
    }
    let gone = world.ctl_json(&["logout", ALEX, "--yes"]).unwrap();
    assert!(gone["entries_deleted"].as_u64().unwrap() >= 1, "{gone}");
    let before = world.control().stats().requests;
    let (code, _, hint) = client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().fault().unwrap();
    assert_eq!(code, "unknown_account");
    assert!(!hint.is_empty());
    assert_eq!(world.control().stats().requests, before, "nothing is asked for an account that is signed out");
    assert_eq!(client.call("email_list", &json!({"account_id": world.ids[1]})).unwrap().cache_status().unwrap(), "fresh");
}

#[test]
fn an_expired_token_is_renewed_once_for_everybody() {
    let world = World::start().unwrap();
    let mut clients: Vec<Mcp> = (0..6).map(|_| world.client(Era::Legacy).unwrap()).collect();
    world.control().auth(ALEX, AuthAction::ExpireAccess).unwrap();
    world.control().reset_stats();
    std::thread::scope(|scope| {
        for (nth, client) in clients.iter_mut().enumerate() {
            let id = &world.ids[0];
            scope.spawn(move || client.call("email_list", &json!({"account_id": id, "limit": nth + 1})).unwrap().json().unwrap());
        }
    });
    assert_eq!(world.control().stats().tokens.get("refresh_token"), Some(&1));
}

#[test]
fn a_revoked_sign_in_says_who_has_to_do_what() {
    let mut world = World::with(Setup { accounts: &[CASEY, BEA], ..Setup::default() }).unwrap();
    world.expect_log("sign");
    let mut client = world.client(Era::Modern).unwrap();
    world.control().auth(CASEY, AuthAction::Revoke).unwrap();
    world.control().auth(CASEY, AuthAction::ExpireAccess).unwrap();
    for _ in 0..3 {
        let (code, _, hint) = client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().fault().unwrap();
        assert!(code.contains("sign_in"), "{code}");
        assert!(hint.contains("m365-cachectl login"), "{hint}");
    }
    let accounts = world.ctl_json(&["accounts"]).unwrap();
    let state = |id: &str| accounts["accounts"].as_array().unwrap().iter().find(|account| account["id"] == id).unwrap()["state"].clone();
    assert_eq!((state(&world.ids[0]), state(&world.ids[1])), (json!("sign_in_required"), json!("signed_in")));
    let status = world.ctl_json(&["status"]).unwrap();
    let warning = status["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == "sign_in_required").cloned();
    assert_eq!(warning.unwrap_or_default()["hint"], format!("Run `m365-cachectl login --personal --username {CASEY}`."), "{status}");
    client.call("email_list", &json!({"account_id": world.ids[1]})).unwrap().json().unwrap();
    // Signing in again is all that is needed.
    assert_eq!(world.sign_in(CASEY).unwrap(), world.ids[0]);
    client.call("email_list", &json!({"account_id": world.ids[0]})).unwrap().json().unwrap();
}

#[test]
fn the_tools_sign_in_too() {
    let world = signed_out();
    let mut client = world.client(Era::Legacy).unwrap();
    let begun = client.call("account_authenticate", &json!({})).unwrap().json().unwrap();
    let text = begun.to_string();
    assert!(text.contains("http"), "an address to open: {text}");
    assert_eq!(client.call("account_list", &json!({})).unwrap().json().unwrap()["accounts"], json!([]));
}

/// Less may be granted than was asked for: it is told at once, wherever somebody looks, with who has to agree where.
#[test]
fn what_was_not_granted_is_told_with_what_to_do() {
    let mut world = signed_out();
    let withheld = ["Contacts.ReadWrite", "Mail.Send"];
    world.control().auth(ALEX, AuthAction::Withhold { scopes: withheld.map(str::to_owned).to_vec() }).unwrap();
    let id = world.sign_in(ALEX).unwrap();
    world.sign_in(CASEY).unwrap();
    let of = |list: &serde_json::Value, name: &str| -> serde_json::Value {
        let one = list["accounts"].as_array().unwrap().iter().find(|account| account["username"] == name).unwrap();
        one["permissions"].clone()
    };
    let lacks = |world: &World| of(&world.ctl_json(&["accounts"]).unwrap(), ALEX)["not_granted"].clone();
    let names = |list: &serde_json::Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    let accounts = world.ctl_json(&["accounts"]).unwrap();
    let alex = of(&accounts, ALEX);
    assert_eq!(names(&alex["not_granted"]), withheld, "{accounts}");
    assert!(
        names(&alex["asked"]).contains(&"Mail.Send".to_owned()) && !names(&alex["granted"]).contains(&"Mail.Send".to_owned()),
        "{alex}"
    );
    let casey = of(&accounts, CASEY);
    assert_eq!(
        (&casey["not_granted"], &casey["not_asked"], &casey["admin_consent_url"]),
        (&json!([]), &json!([]), &json!(null)),
        "{casey}"
    );

    // As it is kept: a daemon that has just started knows it without asking anybody.
    world.stop_daemon().unwrap();
    world.start_daemon().unwrap();
    world.control().reset_stats();
    assert_eq!(names(&lacks(&world)), withheld);
    assert_eq!(world.control().stats().tokens.values().sum::<u64>(), 0);

    // Whoever looks is told what to do.
    let report = world.ctl_json(&["doctor"]).unwrap();
    let scopes = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "scopes").unwrap();
    assert_eq!((&scopes["state"], &scopes["code"]), (&json!("warning"), &json!("scopes_not_granted")), "{report:#}");
    assert!(scopes["hint"].as_str().unwrap().contains("m365-cachectl permissions"), "{scopes}");
    let told = world.ctl(&["permissions"]).unwrap();
    let url = alex["admin_consent_url"].as_str().unwrap();
    assert!(told.stdout.contains(url) && told.stdout.contains("has not granted"), "{told:?}");
    let mut client = world.client(Era::Legacy).unwrap();
    let (code, _, hint) = client.call("contact_list", &json!({"account_id": id})).unwrap().fault().unwrap();
    assert!(code == "access_denied" && hint.contains("m365-cachectl permissions"), "{code} {hint}");

    // The administrator opens that link; the next token is good for all of it, without another sign-in.
    let landed = world.block_on(async { tenant::http_staying().unwrap().get(url).send().await }).unwrap();
    let back = landed.headers().get("location").map(|back| back.to_str().unwrap().to_owned());
    assert!(back.as_ref().is_some_and(|back| back.starts_with("http://localhost/?admin_consent=True&")), "{landed:?}");
    world.control().auth(ALEX, AuthAction::ExpireAccess).unwrap();
    client.call("contact_list", &json!({"account_id": id})).unwrap().json().unwrap();
    assert_eq!(lacks(&world), json!([]));
    let told = world.ctl(&["permissions"]).unwrap();
    assert!(!told.stdout.contains("has not granted"), "{told:?}");
}
