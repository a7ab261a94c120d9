//! Compiles the protos with `protox`, so that no `protoc` is needed on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["admin", "fault", "keys", "mcp", "records", "tools"].map(|name| format!("m365/cached/v1/{name}.proto"));
    let descriptors = protox::compile(&files, ["."])?;
    tonic_prost_build::configure()
        .bytes(".")
        .boxed(".m365.cached.v1.Fault.consent")
        .boxed(".m365.cached.v1.Fault.busy")
        .compile_fds(descriptors)?;
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    Ok(())
}
