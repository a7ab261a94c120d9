//! Which reads each write of files and folders makes untrue, beside `matrix_tests.rs`.

use serde_json::{Value, json};

use super::{
    fake::{Fake, named},
    matrix::{Asked, matrix},
};

/// The drive's top (`ROOT`) has the file `f` and the folder `D`; in `D` are the file `g` and the empty folder `E`.
fn drive() -> Fake {
    Fake::new(|request| {
        let item = |id: &str, parent: &str, path: &str, kind: &str| {
            json!({"id": id, "name": id, kind: {"childCount": 2}, "parentReference": {"id": parent, "path": format!("/drive/root:{path}")}})
        };
        let (f, d) = (|| item("f", "ROOT", "", "file"), || item("D", "ROOT", "", "folder"));
        let (g, e) = (|| item("g", "D", "/D", "file"), || item("E", "D", "/D", "folder"));
        let root = || json!({"id": "ROOT", "name": "root", "root": {}, "folder": {"childCount": 2}});
        let name = named(request);
        Some(Ok(match name.as_str() {
            "GET /me/drive/root/children" => json!({"value": [d(), f()]}),
            "GET /me/drive/items/D/children" | "GET /me/drive/root:/D:/children" => json!({"value": [e(), g()]}),
            "GET /me/drive/items/E/children" => json!({"value": []}),
            "GET /me/drive/root" => root(),
            "GET /me/drive/root:/D" | "GET /me/drive/items/D" => d(),
            "GET /me/drive/items/E" => e(),
            "GET /me/drive/root/delta" => json!({"value": [root(), d(), f(), e(), g()], "@odata.deltaLink": "d"}),
            "PUT /me/drive/root:/D/new.txt:/content" => item("new", "D", "/D", "file"),
            "POST /me/drive/items/D/children" => item("N", "D", "/D", "folder"),
            "POST /me/drive/root/children" => item("N", "ROOT", "", "folder"),
            "PUT /me/drive/items/g/content" | "PATCH /me/drive/items/g" => g(),
            "PATCH /me/drive/items/E" => e(),
            name if name.starts_with("POST ") || name.starts_with("DELETE ") => Value::Null,
            _ => return None,
        }))
    })
    .with_file("new.txt", "text/plain", *b"abc")
}

const READS: &[Asked] = &[
    ("files at the top", "file_list", "{}"),
    ("files of D by id", "file_list", r#"{"folder_id":"D"}"#),
    ("files of D by path", "file_list", r#"{"path":"/D"}"#),
    ("files of E", "file_list", r#"{"folder_id":"E"}"#),
    ("folders at the top", "folder_list", "{}"),
    ("folders in D", "folder_list", r#"{"folder_id":"D"}"#),
    ("the top", "folder_get", r#"{"path":"/"}"#),
    ("folder D", "folder_get", r#"{"folder_id":"D"}"#),
    ("folder E in D", "folder_get", r#"{"folder_id":"E"}"#),
    ("tree of folders", "folder_get_tree", "{}"),
];

const WRITES: &[Asked] = &[
    ("new.txt in D", "file_create", r#"{"onedrive_path":"/D/new.txt","local_file_path":"new.txt"}"#),
    ("g in D", "file_update", r#"{"file_id":"g","local_file_path":"new.txt"}"#),
    ("g in D", "file_delete", r#"{"file_id":"g"}"#),
    ("f into D", "file_copy", r#"{"file_id":"f","destination_folder_id":"D"}"#),
    ("g to the top", "file_move", r#"{"file_id":"g","destination_folder_id":"root"}"#),
    ("g in D", "file_rename", r#"{"file_id":"g","new_name":"h"}"#),
    ("g in D", "file_share", r#"{"file_id":"g"}"#),
    ("at the top", "folder_create", r#"{"name":"N"}"#),
    ("in D", "folder_create", r#"{"name":"N","parent_folder_id":"D"}"#),
    ("E in D", "folder_rename", r#"{"folder_id":"E","new_name":"n"}"#),
    ("E to the top", "folder_move", r#"{"folder_id":"E","destination_folder_id":"root"}"#),
    ("E in D", "folder_delete", r#"{"folder_id":"E"}"#),
];

#[tokio::test]
async fn what_each_write_of_files_makes_untrue() {
    insta::assert_json_snapshot!(matrix(&drive(), READS, WRITES).await);
}
