//! Compiles the protos with `protox`, so that no `protoc` is needed on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "m365/cached/v1/admin.proto",
        "m365/cached/v1/fault.proto",
        "m365/cached/v1/mcp.proto",
        "m365/cached/v1/records.proto",
        "m365/cached/v1/tools.proto",
    ];
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().bytes(".").boxed(".m365.cached.v1.Fault.consent").compile_fds(descriptors)?;
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    Ok(())
}
