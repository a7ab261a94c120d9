//! Looks for planted plain text in every file below a directory: as it is, as UTF-16, and as Base64.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

/// A piece of plain text in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which file.
    pub file: PathBuf,
    /// Which text.
    pub text: String,
    /// How it was written: `plain`, `utf-16`, `base64`.
    pub form: &'static str,
}

/// What to look for.
#[derive(Debug)]
pub struct Needles {
    patterns: Vec<(String, &'static str, Vec<u8>)>,
    /// For the first two bytes of each pattern, which patterns begin so.
    begins: Vec<Vec<u16>>,
}

impl Needles {
    /// Texts shorter than eight bytes are left out: they stand in files by chance.
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns = Vec::new();
        for text in texts.into_iter().filter(|text| text.len() >= 8) {
            patterns.push((text.to_owned(), "plain", text.as_bytes().to_vec()));
            patterns.push((text.to_owned(), "utf-16", text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
            patterns.push((text.to_owned(), "utf-16", text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
            for shift in 0..3 {
                patterns.push((text.to_owned(), "base64", in_base64(text.as_bytes(), shift)));
            }
        }
        let mut begins = vec![Vec::new(); 1 << 16];
        for (index, (_, _, pattern)) in patterns.iter().enumerate() {
            begins[pair(pattern[0], pattern[1])].push(u16::try_from(index).unwrap_or(u16::MAX));
        }
        Self { patterns, begins }
    }

    /// How many texts are looked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len() / 6
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Every text found in every file below `dir`, once for each file and form; and how many bytes were looked at.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn scan(&self, dir: &Path) -> anyhow::Result<(Vec<Hit>, u64)> {
        let (mut hits, mut bytes) = (Vec::new(), 0);
        for file in files_under(dir)? {
            let Some(content) = read(&file)? else { continue };
            bytes += content.len() as u64;
            for at in 0..content.len().saturating_sub(1) {
                for index in &self.begins[pair(content[at], content[at + 1])] {
                    let (text, form, pattern) = &self.patterns[usize::from(*index)];
                    let hit = Hit { file: file.clone(), text: text.clone(), form };
                    if content[at..].starts_with(pattern) && !hits.contains(&hit) {
                        hits.push(hit);
                    }
                }
            }
        }
        Ok((hits, bytes))
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// The characters of Base64 that depend on `bytes` alone when `shift` unknown bytes stand before them.
fn in_base64(bytes: &[u8], shift: usize) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(0, shift).chain(bytes.iter().copied()).collect();
    let coded = STANDARD_NO_PAD.encode(&padded).into_bytes();
    // Characters that hold bits of the bytes before or after are cut off.
    let start = (shift * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    coded[start..end].to_vec()
}

/// A file's bytes; `None` when it has gone in the meantime or is no plain file.
fn read(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

/// Plain files below a directory, sorted.
///
/// # Errors
/// When a directory cannot be read.
pub fn files_under(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files_under(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_planted_in_every_form_at_every_offset() {
        let secret = "zebra-quartz-7731";
        let needles = Needles::new([secret]);
        for before in 0..4 {
            let text = format!("{}{secret} and more", "x".repeat(before));
            let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            for (form, content) in
                [("plain", text.clone().into_bytes()), ("utf-16", utf16), ("base64", STANDARD_NO_PAD.encode(&text).into_bytes())]
            {
                let dir = tempfile::tempdir().unwrap();
                std::fs::write(dir.path().join("file"), &content).unwrap();
                let (hits, bytes) = needles.scan(dir.path()).unwrap();
                assert_eq!(bytes, content.len() as u64);
                assert_eq!(hits.iter().map(|hit| hit.form).collect::<Vec<_>>(), [form], "{before} bytes before");
            }
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "zebra quartz 7731").unwrap();
        assert_eq!(needles.scan(dir.path()).unwrap().0, []);
    }
}
