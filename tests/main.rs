//! The one integration binary: everything is judged from outside, on real processes.

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod backend;
#[cfg(test)]
mod cachectl;
#[cfg(test)]
mod calendar;
#[cfg(test)]
mod campaign;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod clock_steps;
#[cfg(test)]
mod compat;
#[cfg(test)]
mod config;
#[cfg(test)]
mod consent;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod elsewhere;
#[cfg(test)]
mod email;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod every;
#[cfg(test)]
mod fences;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod fuzzing;
#[cfg(test)]
mod gnome_keyring;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod handles;
#[cfg(test)]
mod health;
#[cfg(test)]
mod hurry;
#[cfg(test)]
mod import;
#[cfg(test)]
mod install;
#[cfg(test)]
mod json;
#[cfg(test)]
mod keyring;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod life;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod locked;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod mcp_changes;
#[cfg(test)]
mod mcp_fixtures;
#[cfg(test)]
mod mcp_resources;
#[cfg(test)]
mod mcp_signin;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod network;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod pause;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod profiles;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod safekeeping;
#[cfg(test)]
mod safety;
#[cfg(test)]
mod secret_service;
#[cfg(test)]
mod service;
#[cfg(test)]
mod service_systemd;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod shim;
#[cfg(test)]
mod sign_in;
#[cfg(test)]
mod source;
#[cfg(test)]
mod stats;
#[cfg(test)]
mod store;
#[cfg(test)]
mod supply;
#[cfg(test)]
mod suspend;
#[cfg(test)]
mod times;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod top;
#[cfg(test)]
mod trip;
#[cfg(test)]
mod trouble;
#[cfg(test)]
mod warm;
#[cfg(test)]
mod warming;
#[cfg(test)]
mod wine;
#[cfg(test)]
mod workday;
#[cfg(test)]
mod writes;

#[test]
fn no_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            assert!(include_str!("main.rs").contains(&format!("\nmod {name};\n")), "tests/{name}.rs is not listed in tests/main.rs");
        }
    }
}
