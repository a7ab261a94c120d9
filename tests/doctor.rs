//! `m365-cachectl doctor`: in a healthy world it has nothing to say; in a broken one it begins with what is broken; its report for others
//! holds nothing of anybody. Every fault there is stands in the campaign of the same name; here are the quick ones of each kind.

use std::{fs, io::Read as _, os::unix::fs::PermissionsExt as _};

use m365_cached_checks::{
    campaign::doctor::{FAULTS, first, well},
    support::{mcp::Mcp, process, world::ALEX},
};
use serde_json::{Value, json};

fn states(report: &Value) -> Vec<(&str, &str)> {
    let text = |check: &'_ Value, name: &str| -> &'static str { String::leak(check[name].as_str().unwrap().to_owned()) };
    report["checks"].as_array().unwrap().iter().map(|check| (text(check, "check"), text(check, "state"))).collect()
}

#[test]
fn where_all_is_well_it_says_so_of_every_link() {
    let world = well(false).unwrap();
    let report = world.ctl_json(&["doctor"]).unwrap();
    let strange: Vec<_> = states(&report).into_iter().filter(|(check, state)| *state != "ok" && *check != "proxy").collect();
    assert!(strange.is_empty(), "{report:#}");
    assert_eq!((report["healthy"].as_bool(), states(&report).len()), (Some(true), 18), "{report:#}");
    for check in report["checks"].as_array().unwrap() {
        assert!(!check["message"].as_str().unwrap().is_empty() && !check["why"].as_str().unwrap().is_empty(), "{check}");
    }
}

#[test]
fn a_daemon_that_does_not_run_is_started_unless_that_is_not_wanted() {
    let mut world = well(false).unwrap();
    world.stop_daemon().unwrap();
    let report = world.ctl_json(&["doctor", "--no-start"]).unwrap();
    assert!(process::of_profile(world.home.path()).unwrap().is_empty());
    assert!(states(&report).contains(&("graph", "skipped")) && states(&report).contains(&("database", "ok")), "{report:#}");
    let report = world.ctl_json(&["doctor"]).unwrap();
    assert!(states(&report).contains(&("graph", "ok")), "{report:#}");
    world.ctl(&["stop"]).unwrap().ok().unwrap();
}

fn are_named_first(names: &[&str]) {
    for name in names {
        let fault = FAULTS.iter().find(|fault| fault.name == *name).unwrap();
        let report = (fault.ask)().unwrap();
        let expected = (fault.check.to_owned(), fault.code.to_owned());
        assert_eq!(first(&report), Some(expected), "{name}: {report:#}");
        let found = report["checks"].as_array().unwrap().iter().find(|check| check["code"] == fault.code).unwrap();
        assert!(found["hint"].as_str().is_some_and(|hint| hint.len() > 10), "{name}: {found}");
    }
}

#[test]
fn what_is_broken_is_named_first() {
    are_named_first(&["setting", "hung", "wrong-key", "database", "network", "sign-in", "client-program"]);
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/manual/troubleshooting.md")).unwrap();
    assert!(page.contains(&format!("breaks {} links", FAULTS.len())), "there are {}", FAULTS.len());
}

#[test]
fn what_is_broken_on_the_way_to_microsoft_is_named_first() {
    are_named_first(&["cloud", "company-authority", "proxy-gone", "proxy-asks", "proxy-refuses", "interception"]);
}

#[test]
fn the_exit_code_is_that_of_the_first_failure() {
    let mut world = well(false).unwrap();
    assert_eq!(world.ctl(&["doctor"]).unwrap().code, Some(0));
    world.stop_tenant();
    let said = world.ctl(&["doctor"]).unwrap();
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.stdout.contains("do:") && said.stdout.contains("why:"), "{said:?}");
    world.stop_daemon().unwrap();
    world.home.configure("[grahp]\nhttp2 = true\n").unwrap();
    assert_eq!(world.ctl(&["doctor"]).unwrap().code, Some(7));
}

/// Everything in the archive as one text.
fn texts(path: &std::path::Path) -> String {
    let mut zip = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut all = String::new();
    for at in 0..zip.len() {
        zip.by_index(at).unwrap().read_to_string(&mut all).unwrap();
    }
    all
}

#[test]
fn a_report_for_others_holds_nothing_of_anybody() {
    let world = well(false).unwrap();
    world.ctl_json(&["accounts", "alias", ALEX, "canary-alias"]).unwrap();
    world.home.configure("[policy.Canary-Policy]\nno_send = true\naccounts = [\"canary-alias\"]\n").unwrap();
    world.ctl_json(&["reload"]).unwrap();
    let mut client = Mcp::named(world.bins, &world.home, "desk", &["--policy", "canary-policy"]).unwrap();
    let list = client.call("email_list", &json!({"account_id": "canary-alias", "limit": 3})).unwrap().json().unwrap();
    let of_client = world.ctl_json(&["status"]).unwrap()["clients"][0]["policy"].as_str().unwrap().to_owned();
    assert!(of_client.starts_with("canary-policy: "), "{of_client}");
    world.home.configure("[cache]\nexclude_senders = [\"canary.sender@secret.example\"]\n").unwrap();
    let log = world.home.path().join("m365-cached.log");
    let planted = "INFO token=eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.Q2FuYXJ5MTIzNDU2Nzg5MA.c2ln canary.person@secret.example\n";
    let named = "INFO canary-alias by canary-policy\n";
    fs::write(&log, format!("{planted}{named}INFO the vault is open\n")).unwrap();
    let bundle = world.home.path().join("report.zip");
    let report = world.ctl(&["--json", "doctor", "--bundle", bundle.to_str().unwrap()]).unwrap().json().unwrap();
    assert_eq!(report["bundle"], bundle.to_str().unwrap());
    assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o777, 0o600);
    let all = texts(&bundle);
    for told in ["the vault is open", "<account-1> by <policy-1>", "\"check\": \"graph\"", "\"by_tool\"", "\"policy.*.no_send\""] {
        assert!(all.contains(told), "{told}: {all}");
    }
    let key = world.home.key.clone().unwrap();
    let tenant = world.ids[0].rsplit('.').next().unwrap();
    let subjects = list["messages"].as_array().unwrap().iter().filter_map(|message| message["subject"].as_str());
    let secrets = [ALEX, "alex", "Q2FuYXJ5", "canary", &key, &world.ids[0], tenant, world.home.path().to_str().unwrap()];
    for secret in secrets.into_iter().chain(subjects) {
        assert!(!all.to_lowercase().contains(&secret.to_lowercase()), "{secret} is in the report");
    }
    let again = world.ctl(&["doctor", "--bundle", bundle.to_str().unwrap()]).unwrap();
    assert_eq!(again.code, Some(2), "one that is there is not overwritten: {again:?}");

    // A demo takes no such proxy, and settings that cannot be used are not read: what the log says of them is left out all the same.
    let network = "[network]\nproxy = \"http://canary-proxy.invalid:3128\"\nno_proxy = [\"canary-host.invalid\"]\n";
    world.home.configure(network).unwrap();
    fs::write(&log, format!("{named}INFO through canary-proxy.invalid:3128 and not to canary-host.invalid\n")).unwrap();
    let bundle = world.home.path().join("another.zip");
    world.ctl(&["doctor", "--bundle", bundle.to_str().unwrap()]).unwrap();
    let all = texts(&bundle);
    assert!(all.contains("INFO through <setting>:3128 and not to <setting>") && !all.contains("canary"), "{all}");
}
