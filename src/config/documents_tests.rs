//! The table of keys in `packaging/manual/configuration.md`, made of the table of settings. `UPDATE=1 cargo test` writes it.

use std::{fmt::Write as _, fs, path::PathBuf};

use super::keys;

const BEGIN: &str = "<!-- keys: made by the test `config::documents_tests::the_manual_has_every_key` -->\n";
const END: &str = "<!-- end of keys -->\n";

#[test]
fn the_manual_has_every_key() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/manual/configuration.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let mut table = "\n| key | default | takes effect with | meaning |\n|---|---|---|---|\n".to_owned();
    for key in keys() {
        let default = if key.default.is_empty() { "-".to_owned() } else { format!("`{}`", key.default) };
        writeln!(table, "| `{}` | {default} | {} | {} |", key.name, key.takes.as_str(), key.meaning.replace('|', "\\|")).unwrap();
    }
    let made = format!("{head}{BEGIN}{table}\n{END}{tail}");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, made).unwrap();
    } else {
        assert_eq!(text, made, "the page is out of date: `UPDATE=1 cargo test -p m365-cached --lib documents`");
    }
}
