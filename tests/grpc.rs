//! Services, methods, messages and fields of the daemon's gRPC, in `packaging/manual/grpc.md`: made of `proto/`, so that the page says what the
//! daemon speaks, and no method and no field is without a word. `UPDATE=1 cargo test --test main grpc` writes it.
//!
//! Decided here: the descriptors that `protox` makes are read, as `proto/build.rs` has it make them for the code. A page by `protoc-gen-doc` was
//! rejected: it needs `protoc` and a program in Go, and says of a field without a comment nothing instead of failing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use protox::prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// Numbers of the fields of a descriptor, as paths of comments name them. Source: `descriptor.proto`.
const MESSAGES: i32 = 4;
const ENUMS: i32 = 5;
const SERVICES: i32 = 6;
/// Of a message its fields, of a service its methods, of an enum its values.
const PARTS: i32 = 2;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The files of the protocol, each with what was remarked where.
struct Files(Vec<(FileDescriptorProto, BTreeMap<Vec<i32>, String>)>);

impl Files {
    fn read() -> Self {
        let folder = root().join("proto");
        let mut names: Vec<PathBuf> = fs::read_dir(folder.join("m365/cached/v1")).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut compiler = protox::Compiler::new([&folder]).unwrap();
        compiler.include_source_info(true).include_imports(false).open_files(&names).unwrap();
        let remarks = |file: &FileDescriptorProto| {
            let places = file.source_code_info.iter().flat_map(|info| &info.location);
            let told = places.filter_map(|place| Some((place.path.clone(), place.leading_comments.as_deref()?)));
            told.map(|(path, text)| (path, text.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
        };
        let files = compiler.file_descriptor_set().file.into_iter();
        Self(
            files
                .map(|file| {
                    let told = remarks(&file);
                    (file, told)
                })
                .collect(),
        )
    }

    /// What stands above a service, a message or an enum, or above its part.
    fn remark(&self, file: usize, path: &[i32]) -> &str {
        self.0[file].1.get(path).map_or("", String::as_str)
    }
}

fn number(at: usize) -> i32 {
    i32::try_from(at).unwrap()
}

/// A table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The last part of a full name.
fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn link(name: &str) -> String {
    format!("[`{}`](#{})", short(name), short(name).to_lowercase())
}

/// The type of a field as the protocol spells it; messages and enums with their place on the page.
fn kind(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let one = |field: &FieldDescriptorProto| match field.r#type() {
        Type::Message | Type::Enum => link(field.type_name()),
        other => format!("{other:?}").to_lowercase(),
    };
    let map = message.nested_type.iter().find(|nested| field.type_name().ends_with(&format!(".{}.{}", message.name(), nested.name())));
    match (map, field.label()) {
        (Some(pair), _) => format!("map of {} to {}", one(&pair.field[0]), one(&pair.field[1])),
        (None, Label::Repeated) => format!("list of {}", one(field)),
        (None, _) if field.proto3_optional() => format!("{}, or absent", one(field)),
        (None, _) => one(field),
    }
}

fn service(page: &mut String, files: &Files, file: usize, at: usize, service: &ServiceDescriptorProto) {
    let path = [SERVICES, number(at)];
    let _ = writeln!(page, "\n## {}\n\n{}\n\n| method | takes | gives | |\n|---|---|---|---|", service.name(), files.remark(file, &path));
    for (part, method) in service.method.iter().enumerate() {
        let stream = |streams: bool, name: &str| format!("{}{}", if streams { "a stream of " } else { "" }, link(name));
        let takes = stream(method.client_streaming(), method.input_type());
        let gives = stream(method.server_streaming(), method.output_type());
        let remark = files.remark(file, &[SERVICES, number(at), PARTS, number(part)]);
        let _ = writeln!(page, "| `{}` | {takes} | {gives} | {} |", method.name(), cell(remark));
    }
}

fn message(page: &mut String, files: &Files, file: usize, at: usize, message: &DescriptorProto) {
    let _ = writeln!(page, "\n### {}", message.name());
    let remark = files.remark(file, &[MESSAGES, number(at)]);
    if !remark.is_empty() {
        let _ = writeln!(page, "\n{remark}");
    }
    if message.field.is_empty() {
        page.push_str("\nIt has no fields.\n");
        return;
    }
    page.push_str("\n| field | | type | |\n|---|---|---|---|\n");
    for (part, field) in message.field.iter().enumerate() {
        let remark = files.remark(file, &[MESSAGES, number(at), PARTS, number(part)]);
        // An absent field is one of its own for the compiler.
        let choice =
            field.oneof_index.filter(|_| !field.proto3_optional()).and_then(|one| message.oneof_decl.get(usize::try_from(one).ok()?));
        let only = choice.map(|one| format!(" (only one of `{}`)", one.name())).unwrap_or_default();
        let _ = writeln!(page, "| `{}` | {} | {}{only} | {} |", field.name(), field.number(), kind(message, field), cell(remark));
    }
}

fn enumeration(page: &mut String, files: &Files, file: usize, at: usize, words: &EnumDescriptorProto) {
    let remark = files.remark(file, &[ENUMS, number(at)]);
    let _ = writeln!(page, "\n### {}\n\n{remark}\n\n| value | | |\n|---|---|---|", words.name());
    for (part, value) in words.value.iter().enumerate() {
        let remark = files.remark(file, &[ENUMS, number(at), PARTS, number(part)]);
        let _ = writeln!(page, "| `{}` | {} | {} |", value.name(), value.number(), cell(remark));
    }
}

fn page(files: &Files) -> String {
    let mut page = String::from(
        "# gRPC\n\nWhat `m365-mcp`, `m365-cachectl` and programs of your own ask of the daemon: gRPC over its socket, without TLS, for the user it runs as alone. The\n\
         place of the socket is `profile.socket` of `m365-cachectl status --json`. A call that fails has a [`Fault`](#fault), encoded in the details of its gRPC\n\
         status; its codes are those of [errors](errors.md). Beside these services the daemon answers the standard `grpc.health.v1.Health`.\n\n\
         Generated from `proto/`: `UPDATE=1 cargo test --test main grpc`.\n",
    );
    for (file, (descriptor, _)) in files.0.iter().enumerate() {
        for (at, found) in descriptor.service.iter().enumerate() {
            service(&mut page, files, file, at, found);
        }
    }
    page.push_str("\n## Messages\n");
    for (file, (descriptor, _)) in files.0.iter().enumerate() {
        for (at, found) in descriptor.message_type.iter().enumerate() {
            message(&mut page, files, file, at, found);
        }
        for (at, found) in descriptor.enum_type.iter().enumerate() {
            enumeration(&mut page, files, file, at, found);
        }
    }
    page
}

#[test]
fn the_page_is_what_the_protocol_says() {
    let path = root().join("packaging/manual/grpc.md");
    let made = page(&Files::read());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap_or_default() == made, "out of date: `UPDATE=1 cargo test --test main grpc`");
}

/// A request or a reply is explained by its method; everything else by a remark above it.
#[test]
fn nothing_of_the_protocol_is_without_a_word() {
    let files = Files::read();
    let methods = files.0.iter().flat_map(|(file, _)| &file.service).flat_map(|service| &service.method);
    let of_methods: BTreeSet<&str> = methods.flat_map(|method| [method.input_type(), method.output_type()]).map(short).collect();
    let mut parts = 0;
    let mut bare = Vec::new();
    let mut look = |file: usize, path: &[i32], name: String| {
        parts += 1;
        let remark = files.remark(file, path);
        if !remark.ends_with('.') {
            bare.push(format!("{name}: {remark:?}"));
        }
    };
    for (file, (descriptor, _)) in files.0.iter().enumerate() {
        for (at, service) in descriptor.service.iter().enumerate() {
            look(file, &[SERVICES, number(at)], service.name().into());
            for (part, method) in service.method.iter().enumerate() {
                look(file, &[SERVICES, number(at), PARTS, number(part)], format!("{}.{}", service.name(), method.name()));
            }
        }
        for (at, message) in descriptor.message_type.iter().enumerate() {
            if !of_methods.contains(message.name()) {
                look(file, &[MESSAGES, number(at)], message.name().into());
            }
            for (part, field) in message.field.iter().enumerate() {
                look(file, &[MESSAGES, number(at), PARTS, number(part)], format!("{}.{}", message.name(), field.name()));
            }
        }
        for (at, words) in descriptor.enum_type.iter().enumerate() {
            look(file, &[ENUMS, number(at)], words.name().into());
            for (part, value) in words.value.iter().enumerate() {
                look(file, &[ENUMS, number(at), PARTS, number(part)], value.name().into());
            }
        }
    }
    assert!(bare.is_empty(), "no remark that is a sentence:\n{}", bare.join("\n"));
    assert!(parts > 250, "{parts}");
}
