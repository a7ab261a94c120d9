//! A mailbox that Alex and Bea share and Casey may not open: its mail is read, marked and moved there, and shown to nobody else.

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{ALEX, BEA, CASEY, Setup, World},
};
use m365_cached_tenant::{Effect, Fault};
use serde_json::{Value, json};

use super::desk::{each, ids};

const SUPPORT: &str = "support@contoso.example";

fn done(client: &mut Mcp, tool: &str, given: &Value) -> Value {
    client.call(tool, given).unwrap().json().unwrap_or_else(|error| panic!("{tool} {given}: {error}"))
}

/// Arguments for the shared mailbox.
fn shared(account: &str, more: Value) -> Value {
    let mut given = json!({"account_id": account, "mailbox": SUPPORT});
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    given
}

fn there(world: &World, kind: &str) -> Vec<Value> {
    world.control().dump(Some(SUPPORT), Some(kind)).unwrap()["users"][0][kind].as_array().unwrap().clone()
}

fn one(world: &World, id: &str) -> Value {
    there(world, "messages").into_iter().find(|message| message["immutableId"] == id).unwrap_or_else(|| panic!("no {id} there"))
}

#[test]
fn mail_of_a_shared_mailbox_is_read_marked_and_moved_where_it_is() {
    let world = World::with(Setup { accounts: &[ALEX, BEA], graph_ids: true, ..Setup::default() }).unwrap();
    let (alex, bea) = (&world.ids[0], &world.ids[1]);
    let (mut a, mut b) = (world.client(Era::Legacy).unwrap(), world.client(Era::Modern).unwrap());
    let own = |world: &World| [ALEX, BEA].map(|user| world.control().dump(Some(user), Some("messages")).unwrap());
    let before = own(&world);
    let list = json!({"limit": 20});
    let shown = done(&mut a, "email_list", &shared(alex, list.clone()));
    let subjects = each(shown["messages"].as_array().unwrap(), "subject").into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(ids(&done(&mut b, "email_list", &shared(bea, list.clone()))["messages"]), ids(&shown["messages"]));
    assert_ne!(
        each(done(&mut a, "email_list", &json!({"account_id": alex, "limit": 20}))["messages"].as_array().unwrap(), "subject"),
        subjects
    );

    let id = shown["messages"][0]["id"].as_str().unwrap();
    let get = json!({"email_id": id});
    assert_eq!(done(&mut a, "email_get", &shared(alex, get.clone()))["subject"], one(&world, id)["subject"]);
    done(&mut b, "email_get", &shared(bea, get.clone()));
    for is_read in [false, true] {
        done(&mut a, "email_mark_read", &shared(alex, json!({"email_id": id, "is_read": is_read})));
        assert_eq!(one(&world, id)["isRead"], is_read);
        assert_eq!(done(&mut b, "email_get", &shared(bea, get.clone()))["isRead"], is_read, "Bea reads the same mailbox");
    }
    let moved = done(&mut b, "email_move", &shared(bea, json!({"email_id": id, "destination_folder": "archive"})));
    let archive = there(&world, "mailFolders").into_iter().find(|folder| folder["displayName"] == "Archive").unwrap();
    assert_eq!(one(&world, moved["new_id"].as_str().unwrap())["parentFolderId"], archive["id"]);
    assert!(!ids(&done(&mut a, "email_list", &shared(alex, list))["messages"]).contains(&id), "Alex sees at once what Bea moved");
    // Neither own mailbox knows the message, and neither has changed.
    let (code, ..) = a.call("email_get", &json!({"account_id": alex, "email_id": id})).unwrap().fault().unwrap();
    assert!(["not_found", "invalid_id", "access_denied"].contains(&code.as_str()), "{code}");
    assert!(own(&world) == before, "an own mailbox has changed");
}

#[test]
fn who_has_no_rights_in_it_is_shown_nothing_that_another_has_read() {
    let world = World::with(Setup { accounts: &[ALEX, BEA, CASEY], graph_ids: true, ..Setup::default() }).unwrap();
    let [alex, bea, casey] = [0, 1, 2].map(|at: usize| world.ids[at].clone());
    let mut client = world.client(Era::Legacy).unwrap();
    let read = done(&mut client, "email_list", &shared(&alex, json!({})));
    let telling = |message: &&Value| message["subject"].as_str().unwrap().len() > 8;
    let read_by_alex = read["messages"].as_array().unwrap().iter().skip(2).find(telling).unwrap();
    let id = read_by_alex["id"].clone();
    done(&mut client, "email_get", &shared(&alex, json!({"email_id": id})));
    // Bea had the right, and has it no more; what she has seen is not what is asked for.
    done(&mut client, "email_list", &shared(&bea, json!({"limit": 2})));
    let denied = Effect::Status { status: 403, code: "ErrorAccessDenied".into(), message: None, retry_after: None };
    world.control().fault(Fault { user: Some(BEA.into()), ..Fault::always("/users/", denied) });
    for account in [&bea, &casey] {
        for (tool, more) in [("email_list", json!({})), ("email_get", json!({"email_id": id})), ("emailfolders_list", json!({}))] {
            let answer = client.call(tool, &shared(account, more)).unwrap();
            let (code, message, _) = answer.fault().unwrap_or_else(|error| panic!("{tool}: {error}"));
            assert!(code != "internal" && code != "outcome_unknown", "{tool}: {code} {message}");
            assert!(!answer.text.contains(read_by_alex["subject"].as_str().unwrap()), "{tool} shows it: {}", answer.text);
        }
        let before = one(&world, id.as_str().unwrap());
        let mark = shared(account, json!({"email_id": id, "is_read": before["isRead"] == false}));
        client.call("email_mark_read", &mark).unwrap().fault().unwrap();
        assert_eq!(one(&world, id.as_str().unwrap())["isRead"], before["isRead"]);
    }
    assert_eq!(client.call("email_list", &shared(&alex, json!({}))).unwrap().cache_status().unwrap(), "fresh", "Alex's stays");
}
