//! `export`: everything that is held on one account, as one JSON file for its owner alone.

use std::path::Path;

use m365_cached_proto::v1::{ExportAccountRequest, Fault};
use serde::Serialize;

use crate::context::{Context, answered};
use crate::output::{Paint, View, counted};
use crate::private::PrivateFile;

/// `{"file":"…","entries":n,"pieces":n}`
#[derive(Debug, Serialize)]
struct Exported {
    file: String,
    entries: u64,
    pieces: u64,
}

pub(super) async fn run(context: &Context, account: String, path: &Path) -> Result<(), Fault> {
    let done = context.output.meanwhile("writing what is held on the account", export(context, account, path)).await?;
    context.output.show(&done);
    Ok(())
}

async fn export(context: &Context, account: String, path: &Path) -> Result<Exported, Fault> {
    let name: String =
        account.chars().map(|letter| if letter.is_ascii_alphanumeric() || "@.-_".contains(letter) { letter } else { '_' }).collect();
    let mut client = context.records().await?;
    let mut pieces = answered(client.export(ExportAccountRequest { account }).await)?;
    let mut file = Sections { file: PrivateFile::create(path, &format!("m365-{name}.json"))?, open: None };
    let mut done = Exported { file: file.file.path().display().to_string(), entries: 0, pieces: 0 };
    while let Some(piece) = pieces.message().await.map_err(|status| Fault::from_status(&status))? {
        done.pieces += 1;
        done.entries += u64::from(piece.section == "entries");
        file.add(&piece.section, &piece.value)?;
    }
    file.finish()?;
    Ok(done)
}

/// One JSON object with a list for each section.
struct Sections {
    file: PrivateFile,
    open: Option<String>,
}

impl Sections {
    /// Sections come one after the other.
    fn add(&mut self, section: &str, value: &[u8]) -> Result<(), Fault> {
        let before = match &self.open {
            Some(open) if open == section => ",\n".to_owned(),
            Some(_) => format!("],\n\"{section}\":[\n"),
            None => format!("{{\"{section}\":[\n"),
        };
        self.open = Some(section.to_owned());
        self.file.write(before.as_bytes())?;
        self.file.write(value)
    }

    fn finish(mut self) -> Result<(), Fault> {
        let end: &[u8] = if self.open.is_some() { b"]}\n" } else { b"{}\n" };
        self.file.write(end)?;
        self.file.finish()
    }
}

impl View for Exported {
    fn text(&self, _paint: Paint) -> String {
        format!("{} and everything else that is held written to {}\n", counted(self.entries, "answer"), self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_json() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = Sections { file: PrivateFile::create(folder.path(), "x").unwrap(), open: None };
        for (section, value) in [("account", "{\"a\":1}"), ("entries", "{\"b\":2}"), ("entries", "{\"b\":3}")] {
            file.add(section, value.as_bytes()).unwrap();
        }
        file.finish().unwrap();
        let read: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.path().join("x")).unwrap()).unwrap();
        assert_eq!(read, serde_json::json!({ "account": [{ "a": 1 }], "entries": [{ "b": 2 }, { "b": 3 }] }));
    }
}
