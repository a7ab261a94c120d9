//! A personal account: what works there as at work, and what Microsoft does not have for it and is said or done in another way.

use m365_cached_checks::support::{
    mcp::{Era, Mcp},
    world::{BEA, CASEY, Setup, World},
};
use serde_json::{Value, json};

use super::desk::{each, ids};

struct Casey {
    client: Mcp,
    world: World,
}

impl Casey {
    fn start() -> Self {
        let world = World::with(Setup { accounts: &[CASEY, BEA], graph_ids: true, ..Setup::default() }).unwrap();
        std::fs::create_dir_all(world.home.path().join("downloads")).unwrap();
        Self { client: world.client(Era::Modern).unwrap(), world }
    }

    fn call(&mut self, tool: &str, given: Value) -> m365_cached_checks::support::answer::Answer {
        let mut given = given;
        given["account_id"] = self.world.ids[0].clone().into();
        self.client.call(tool, &given).unwrap()
    }

    fn done(&mut self, tool: &str, given: Value) -> Value {
        self.call(tool, given.clone()).json().unwrap_or_else(|error| panic!("{tool} {given}: {error}"))
    }

    fn truth(&self, user: &str, kind: &str) -> Vec<Value> {
        self.world.control().dump(Some(user), Some(kind)).unwrap()["users"][0][kind].as_array().unwrap().clone()
    }
}

#[test]
fn mail_calendar_and_contacts_work_for_a_personal_account() {
    let mut casey = Casey::start();
    let list = casey.done("email_list", json!({"limit": 5}));
    let id = list["messages"][0]["id"].clone();
    let got = casey.done("email_get", json!({"email_id": id}));
    let there = casey.truth(CASEY, "messages").into_iter().find(|message| message["immutableId"] == id).unwrap();
    assert_eq!(got["subject"], there["subject"]);
    casey.done("email_send", json!({"to": BEA, "subject": "From home", "body": "b", "confirm": true}));
    let arrived = casey.truth(BEA, "messages").into_iter().find(|message| message["subject"] == "From home").unwrap();
    assert_eq!(arrived["from"]["emailAddress"]["address"], CASEY);
    let sent = casey.done("email_list", json!({"folder": "sent", "limit": 3}));
    assert_eq!(sent["messages"][0]["subject"], "From home");

    let event = casey.done("calendar_create_event", json!({"subject": "Dentist", "start": "2027-06-08T09:00", "end": "2027-06-08T09:30"}));
    assert_eq!(casey.done("calendar_get_event", json!({"event_id": event["id"]}))["subject"], "Dentist");
    let week = casey.done("calendar_list_events", json!({"start": "2027-06-07", "end": "2027-06-13"}));
    assert!(each(week["events"].as_array().unwrap(), "subject").contains(&"Dentist"));
    for tool in ["calendar_get_free_busy", "calendar_check_availability"] {
        let given = json!({"start": "2027-06-08T08:00Z", "end": "2027-06-08T12:00Z", "attendees": BEA});
        let before = casey.world.control().stats().count("getSchedule");
        assert_eq!(casey.call(tool, given).fault().unwrap().0, "work_account_needed");
        assert_eq!(casey.world.control().stats().count("getSchedule"), before);
    }
    let made = casey.done("contact_create", json!({"given_name": "Quagga", "email_addresses": "q@fabrikam.example"}));
    assert!(ids(&casey.done("contact_list", json!({"limit": 500}))["contacts"]).contains(&made["id"].as_str().unwrap()));
    assert_eq!(casey.done("contact_get", json!({"contact_id": made["id"]}))["givenName"], "Quagga");
    assert_eq!(ids(&casey.done("search_contacts", json!({"query": "quagga"}))["contacts"]), [made["id"].as_str().unwrap()]);
}

#[test]
fn files_work_for_a_personal_account_and_are_not_shared_with_an_organisation_it_lacks() {
    let mut casey = Casey::start();
    let local = casey.world.home.path().join("downloads/home.txt");
    std::fs::write(&local, "at home").unwrap();
    let made = casey.done("file_create", json!({"onedrive_path": "/Quagga home.txt", "local_file_path": local.to_str().unwrap()}));
    let file = json!({"file_id": made["id"]});
    let top = casey.done("file_list", json!({"limit": 500}));
    assert!(ids(&top["items"]).contains(&made["id"].as_str().unwrap()));
    let mut get = file.clone();
    get["download_path"] = "got.txt".into();
    let got = casey.done("file_get", get);
    assert_eq!(std::fs::read_to_string(got["path"].as_str().unwrap()).unwrap(), "at home");
    let tree = casey.done("folder_get_tree", json!({}));
    assert_eq!(tree["complete"], true);
    let folder = casey.done("folder_create", json!({"name": "Quagga"}));
    let mut moving = file.clone();
    moving["destination_folder_id"] = folder["id"].clone();
    casey.done("file_move", moving);
    assert_eq!(ids(&casey.done("file_list", json!({"folder_id": folder["id"]}))["items"]), [made["id"].as_str().unwrap()]);

    let links = "createLink";
    let asked = casey.done("file_share", file.clone());
    let mut agreed = file.clone();
    agreed["confirm_token"] = asked["confirm_token"].clone();
    assert_eq!(casey.call("file_share", agreed).fault().unwrap().0, "no_organization");
    assert_eq!(casey.world.control().stats().count(links), 0);
    let mut public = file;
    public["scope"] = "anonymous".into();
    public["confirm_token"] = casey.done("file_share", public.clone())["confirm_token"].clone();
    assert_eq!(casey.done("file_share", public)["link"]["scope"], "anonymous");
}

/// Microsoft Search is for work accounts; the searches find the same in other ways.
#[test]
fn searches_of_a_personal_account_never_ask_microsoft_search() {
    let mut casey = Casey::start();
    let now = casey.done("search_events", json!({"query": "quagga"}))["_cached_at"].as_str().unwrap()[..10].to_owned();
    let event = json!({"subject": "Quagga crossing", "start": format!("{now}T00:00Z"), "end": format!("{now}T01:00Z")});
    let event = casey.done("calendar_create_event", event)["id"].clone();
    let local = casey.world.home.path().join("downloads/quagga.txt");
    std::fs::write(&local, "x").unwrap();
    let file = casey.done("file_create", json!({"onedrive_path": "/quagga.txt", "local_file_path": local.to_str().unwrap()}))["id"].clone();
    casey.done("email_send", json!({"to": CASEY, "subject": "Quagga letter", "body": "b", "confirm": true}));
    assert_eq!(ids(&casey.done("search_events", json!({"query": "quagga"}))["events"]), [event.as_str().unwrap()]);
    assert_eq!(ids(&casey.done("search_files", json!({"query": "quagga"}))["files"]), [file.as_str().unwrap()]);
    let mail = casey.done("search_emails", json!({"query": "subject:quagga"}));
    assert!(each(mail["messages"].as_array().unwrap(), "subject").contains(&"Quagga letter"), "{mail}");
    let all = casey.done("search_unified", json!({"query": "quagga"}));
    assert!(all.get("errors").is_none(), "{all}");
    assert_eq!((all["event"].as_array().unwrap().len(), all["driveItem"].as_array().unwrap().len()), (1, 1), "{all}");
    assert!(!all["message"].as_array().unwrap().is_empty());
    assert_eq!(casey.world.control().stats().count("/search/query"), 0);
}
