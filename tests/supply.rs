//! What a package is made of is known, may be shipped, and can be looked up.

use std::{collections::BTreeSet, fs};

use m365_cached_checks::{
    supply::{Part, System, advisories, bundle, judge, lock, manifest, of_advisories, of_licences, parts, sbom, server_json, strange},
    support::bins::{For, bins},
};
use serde_json::Value;

#[test]
fn every_part_may_be_shipped() {
    assert_eq!(strange(&parts().unwrap()), []);
}

#[test]
fn a_licence_that_asks_for_more_is_found() {
    let of = |licence: Option<&str>| Part {
        name: "p".into(),
        version: "1.0.0".into(),
        licence: licence.map(str::to_owned),
        checksum: Some("0".repeat(64)),
        repository: None,
        parts: Vec::new(),
    };
    for fitting in ["MIT", "MIT/Apache-2.0", "GPL-3.0-only OR MIT", "Apache-2.0 WITH LLVM-exception"] {
        assert_eq!(strange(&[of(Some(fitting))]), [], "{fitting}");
    }
    let ring = parts().unwrap().into_iter().find(|part| part.name == "ring").unwrap();
    let log = of_licences(&strange(&[Part { licence: None, ..ring.clone() }]), &lock().unwrap());
    assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "licence");
    assert_stands_at(&log["runs"][0]["results"][0], &ring);
    assert_eq!(of_licences(&[], "")["runs"][0]["results"], serde_json::json!([]), "SARIF wants a list where nothing was found");
    for other in [Some("GPL-3.0-only"), Some("MIT AND AGPL-3.0-only"), Some("LicenseRef-Ours"), Some("no licence at all"), None] {
        assert_eq!(strange(&[of(other)]).len(), 1, "{other:?}");
    }
}

#[test]
fn the_list_of_parts_names_what_is_linked_and_nothing_else() {
    let parts = parts().unwrap();
    let text = sbom(&parts).unwrap();
    assert_eq!(text, sbom(&parts).unwrap(), "the same lock file gives the same bytes");
    let bom: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let listed = bom["components"].as_array().unwrap();
    let names: BTreeSet<&str> = listed.iter().map(|one| one["name"].as_str().unwrap()).collect();
    for linked in
        ["m365-cached", "m365-cached-daemon", "m365-cached-shim", "rusqlite", "libsqlite3-sys", "openssl-src", "ring", "tokio", "keyring"]
    {
        assert!(names.contains(linked), "{linked} is not listed");
    }
    for strange in ["m365-cached-tenant", "proptest", "insta", "cyclonedx-bom", "protox"] {
        assert!(!names.contains(strange), "{strange} is not linked");
    }
    let refs: BTreeSet<&str> = listed.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(refs.len(), listed.len());
    for one in bom["dependencies"].as_array().unwrap() {
        for below in one["dependsOn"].as_array().into_iter().flatten() {
            assert!(refs.contains(below.as_str().unwrap()), "{below} is not listed");
        }
    }
    for one in listed.iter().filter(|one| !one["name"].as_str().unwrap().starts_with("m365-")) {
        assert_eq!(one["hashes"][0]["content"].as_str().unwrap().len(), 64, "{}", one["name"]);
    }
}

#[test]
fn what_is_known_against_a_part_is_found_and_the_age_of_the_copy_told() {
    let copy = tempfile::tempdir().unwrap();
    assert!(advisories(&[], copy.path()).is_err(), "an empty folder is no database");
    let parts = parts().unwrap();
    let ring = parts.iter().find(|part| part.name == "ring").unwrap();
    let folder = copy.path().join("crates/ring");
    fs::create_dir_all(&folder).unwrap();
    let advisory = |id: &str, patched: &str| {
        let text = format!(
            "```toml\n[advisory]\nid = \"{id}\"\npackage = \"ring\"\ndate = \"2026-01-02\"\n\n[versions]\npatched = [\"{patched}\"]\n```\n\n# Something\n\nIt is bad.\n"
        );
        fs::write(folder.join(format!("{id}.md")), text).unwrap();
    };
    advisory("RUSTSEC-2026-9998", "> 999.0.0");
    advisory("RUSTSEC-2026-9999", ">= 0.0.1");
    let known = advisories(&parts, copy.path()).unwrap();
    assert_eq!((known.advisories, known.newest.as_str()), (2, "2026-01-02"));
    let found: Vec<_> = known.found.iter().map(|one| (one.name.as_str(), one.version.as_str(), one.id.as_str())).collect();
    assert_eq!(found, [("ring", ring.version.as_str(), "RUSTSEC-2026-9998")]);
    let run = &of_advisories(&known, &lock().unwrap())["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][0]["helpUri"], "https://rustsec.org/advisories/RUSTSEC-2026-9998.html");
    assert_eq!((&run["results"][0]["ruleId"], &run["properties"]["newestAdvisory"]), (&"RUSTSEC-2026-9998".into(), &"2026-01-02".into()));
    assert_stands_at(&run["results"][0], ring);
}

/// A finding of SARIF is at the line of `Cargo.lock` that names the part.
fn assert_stands_at(result: &Value, part: &Part) {
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "Cargo.lock");
    let (lock, line) = (lock().unwrap(), usize::try_from(place["region"]["startLine"].as_u64().unwrap()).unwrap());
    let named: Vec<&str> = lock.lines().skip(line - 1).take(2).collect();
    assert_eq!(named, [format!("name = \"{}\"", part.name), format!("version = \"{}\"", part.version)]);
}

#[test]
fn a_bundle_holds_programs_that_start() {
    let shim = &bins(For::Tests).unwrap().shim;
    let folder = tempfile::tempdir().unwrap();
    let daemon = folder.path().join("m365-cached");
    fs::write(&daemon, "#!/bin/sh\necho stands for the daemon\n").unwrap();
    let system = System::here().unwrap();
    let bytes = bundle(system, &[shim, &daemon]).unwrap();
    assert_eq!(bytes, bundle(system, &[shim, &daemon]).unwrap(), "the same programs give the same bytes");
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
    let said: Value = serde_json::from_reader(zip.by_name("manifest.json").unwrap()).unwrap();
    assert_eq!(said, manifest(system));
    let entry = said["server"]["entry_point"].as_str().unwrap();
    assert_eq!(said["server"]["mcp_config"]["command"], format!("${{__dirname}}/{entry}"));
    zip.extract(folder.path().join("unpacked")).unwrap();
    let unpacked = folder.path().join("unpacked").join(entry);
    let version = std::process::Command::new(&unpacked).arg("--version").output().unwrap();
    assert!(version.status.success() && version.stdout.starts_with(b"m365-mcp "), "{version:?}");
    let daemon = std::process::Command::new(unpacked.with_file_name("m365-cached")).output().unwrap();
    assert_eq!(daemon.stdout, b"stands for the daemon\n", "the shim finds it beside itself");
}

#[test]
fn the_registry_learns_where_the_bundles_are() {
    let folder = tempfile::tempdir().unwrap();
    assert!(server_json("owner/m365-cached", folder.path()).is_err(), "no bundle");
    let version = env!("CARGO_PKG_VERSION");
    for (name, content) in [("linux-x86_64", "one"), ("darwin-aarch64", "two")] {
        fs::write(folder.path().join(format!("m365-cached-{version}-{name}.mcpb")), content).unwrap();
    }
    fs::write(folder.path().join("m365-cached-0.0.0-linux-x86_64.mcpb"), "old").unwrap();
    let entry = server_json("owner/m365-cached", folder.path()).unwrap();
    // What the registry's schema of 2025-12-11 asks for.
    assert_eq!(entry["name"], "io.github.owner/m365-cached");
    assert!(entry["description"].as_str().unwrap().chars().count() <= 100);
    let packages = entry["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 2);
    assert_eq!(
        packages[0]["identifier"],
        format!("https://github.com/owner/m365-cached/releases/download/v{version}/m365-cached-{version}-darwin-aarch64.mcpb")
    );
    // printf two | sha256sum
    assert_eq!(packages[0]["fileSha256"], "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3");
    assert_eq!((&packages[0]["registryType"], &packages[0]["transport"]["type"]), (&Value::from("mcpb"), &Value::from("stdio")));
    for wrong in ["owner", "a/b/c", "/b", "a/ b"] {
        assert!(server_json(wrong, folder.path()).is_err(), "{wrong}");
    }
}

/// Fetches the makers' tool from npm's registry, which no ordinary test does.
#[test]
#[ignore = "asks npm's registry: cargo test -p m365-cached-checks --test main supply::the_makers -- --ignored"]
fn the_makers_tools_find_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = folder.path().join("m365-cached");
    fs::write(&daemon, "#!/bin/sh\n").unwrap();
    let system = System::here().unwrap();
    let (file, entry) = (folder.path().join(system.file_name()), folder.path().join("server.json"));
    fs::write(&file, bundle(system, &[&bins(For::Tests).unwrap().shim, &daemon]).unwrap()).unwrap();
    fs::write(&entry, server_json("owner/m365-cached", folder.path()).unwrap().to_string()).unwrap();
    let judged = judge(&file, &entry).unwrap();
    assert!(judged.iter().all(|one| one.state != "failed"), "{judged:#?}");
    assert!(judged.iter().filter(|one| one.by.starts_with("mcpb")).any(|one| one.state == "ok"), "{judged:#?}");
}
