//! Tests of where a profile lives.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn places() -> Places {
    Places {
        config: "/home/ada/.config/m365-cached".into(),
        data: "/home/ada/.local/share/m365-cached".into(),
        usual: true,
        runtime: Some("/run/user/1000/m365-cached".into()),
        short: "/tmp/m365-cached-1000".into(),
    }
}

#[test]
fn one_directory_holds_every_file() {
    let profile = Profile::under(Path::new("/srv/demo"), Some(&places()));
    let files = [
        profile.config_file(),
        profile.database(),
        profile.keys_file(),
        profile.lock_file(),
        profile.starter_file(),
        profile.settings_turn_file(),
        profile.log_file(),
        profile.socket().to_owned(),
    ];
    let names = [
        "config.toml",
        "cache.db",
        "cache.keys",
        "m365-cached.lock",
        "m365-cached.starting",
        "m365-cached.settings",
        "m365-cached.log",
        "m365-cached.sock",
    ];
    for (file, name) in files.iter().zip(names) {
        assert_eq!(file, &Path::new("/srv/demo").join(name));
    }
    assert_eq!(profile.runtime, Path::new("/srv/demo"));
    assert!(profile.explicit);
}

#[test]
fn the_system_profile_uses_three_places() {
    let profile = Profile::system(&places());
    assert_eq!(profile.config_file(), Path::new("/home/ada/.config/m365-cached/config.toml"));
    assert_eq!(profile.database(), Path::new("/home/ada/.local/share/m365-cached/cache.db"));
    assert_eq!(profile.socket(), Path::new("/run/user/1000/m365-cached/m365-cached.sock"));
    let no_runtime = Profile::system(&Places { runtime: None, ..places() });
    assert_eq!(no_runtime.socket(), Path::new("/home/ada/.local/share/m365-cached/m365-cached.sock"));
}

#[test]
fn every_folder_for_data_has_a_socket_of_its_own() {
    let at = |data: &str, usual| Profile::system(&Places { data: data.into(), usual, ..places() });
    let (usual, sandbox, shell) = (
        at("/home/ada/.local/share/m365-cached", true),
        at("/home/ada/.var/app/editor/data/m365-cached", false),
        at("/srv/data/m365-cached", false),
    );
    assert_eq!(usual.socket(), Path::new("/run/user/1000/m365-cached/m365-cached.sock"), "the units of packages know that name");
    assert!(usual.socket() != sandbox.socket() && sandbox.socket() != shell.socket() && shell.socket() != usual.socket());
    for profile in [&usual, &sandbox, &shell] {
        assert_eq!(profile.socket().parent(), Some(Path::new("/run/user/1000/m365-cached")));
        assert_eq!(profile.socket(), profile.runtime.join(profile.socket_name()), "where a service is told to listen");
    }
    assert_eq!(at("/srv//data/m365-cached/", false), shell, "one folder has one socket, however it is spelled");
    // A session without a folder for run-time files: then the socket lies with the data, and the unit of a service is named all the same.
    let alone = Profile::system(&Places { data: shell.dir.clone(), usual: false, runtime: None, ..places() });
    assert_eq!(alone.socket(), Path::new("/srv/data/m365-cached/m365-cached.sock"));
    assert_eq!(alone.socket_name(), shell.socket_name());
    assert_eq!(
        Profile::under(Path::new("/srv/demo"), Some(&Places { usual: false, ..places() })).socket(),
        Path::new("/srv/demo/m365-cached.sock")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_snap_names_for_itself_leads_nobody_away() {
    let home = Path::new("/home/ada");
    let at = |dir: &str| no_snaps(Path::new(dir), home, DATA);
    let usual = Path::new("/home/ada/.local/share/m365-cached");
    assert_eq!(at("/home/ada/snap/code/7/.local/share/m365-cached"), usual);
    for own in ["/home/ada/.local/share/m365-cached", "/srv/snap/m365-cached", "/home/ada/snapshots/m365-cached"] {
        assert_eq!(at(own), Path::new(own));
    }
}

#[cfg(not(target_vendor = "apple"))]
#[test]
fn the_usual_place_is_below_the_home() {
    let usual = |data: &str| is_usual(Path::new(data), Path::new("/home/ada"));
    assert!(usual("/home/ada/.local/share/m365-cached") && usual("/home/ada/.local/share//m365-cached/"));
    assert!(!usual("/home/ada/.var/app/editor/data/m365-cached") && !usual("/home/ada/.local/share/other"));
}

#[test]
fn a_socket_path_at_the_limit_stays_and_one_byte_more_moves() {
    let room = SOCKET_PATH_MAX - "/".len() - "/m365-cached.sock".len();
    let fits = PathBuf::from(format!("/{}", "d".repeat(room)));
    let profile = Profile::under(&fits, Some(&places()));
    assert_eq!(profile.socket().as_os_str().len(), SOCKET_PATH_MAX);
    assert_eq!(profile.runtime, fits);

    let long = PathBuf::from(format!("/{}", "d".repeat(room + 1)));
    let moved = Profile::under(&long, Some(&places()));
    assert_eq!(moved.runtime, Path::new("/run/user/1000/m365-cached"));
    assert_eq!(moved.dir, long, "only the socket moves");
    let other = Profile::under(&PathBuf::from(format!("/{}", "e".repeat(room + 1))), Some(&places()));
    assert_ne!(moved.socket(), other.socket(), "two profiles never share a socket");

    let no_runtime = Profile::under(&long, Some(&Places { runtime: None, ..places() }));
    assert_eq!(no_runtime.runtime, Path::new("/tmp/m365-cached-1000"));
    let long_runtime = Profile::under(&long, Some(&Places { runtime: Some(long.clone()), ..places() }));
    assert_eq!(long_runtime.runtime, Path::new("/tmp/m365-cached-1000"), "a long run-time directory is no way out");
}

#[test]
fn the_short_name_never_changes() {
    assert_eq!(format!("{:016x}", fingerprint(Path::new("/srv/demo"))), "60f704c1f5e2cc03");
}

#[test]
fn a_pipe_is_one_however_its_folder_is_spelled() {
    let pipe = pipe_for(Path::new(r"C:\Users\Ada\m365"));
    assert_eq!(pipe, pipe_for(Path::new(r"c:\users\ada\M365")));
    assert_ne!(pipe, pipe_for(Path::new(r"C:\Users\Ada\other")));
    assert!(pipe.to_str().unwrap().starts_with(r"\\.\pipe\m365-cached-"));
}

#[test]
fn the_variable_decides_and_empty_means_unset() {
    let found = Profile::find(&|name| (name == DIR_VARIABLE).then(|| "/srv/demo/".into())).unwrap();
    assert_eq!(found.dir, Path::new("/srv/demo"), "one directory has one spelling");
    let relative = Profile::find(&|_| Some("some/where".into())).unwrap();
    assert!(relative.dir.is_absolute());
    if let Ok(unset) = Profile::find(&|_| Some(OsString::new())) {
        assert!(!unset.explicit);
    }
}

#[test]
fn a_private_directory_is_made_or_refused() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("a/b");
    private_dir(&dir).unwrap();
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    private_dir(&dir).unwrap();

    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o750)).unwrap();
    assert!(matches!(private_dir(&dir), Err(PrivateDirError::Open { mode: 0o750, .. })));

    let link = home.path().join("link");
    std::os::unix::fs::symlink(home.path().join("a"), &link).unwrap();
    assert!(matches!(private_dir(&link), Err(PrivateDirError::Foreign { .. })), "a link is somebody else's choice of place");
}
