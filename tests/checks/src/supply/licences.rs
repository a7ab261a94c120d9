//! Whether we may ship a part: its licence asks for no more than to be named.

use serde::Serialize;
use spdx::{Expression, LicenseItem, LicenseReq};

use super::Part;

/// Licences that ask of a program in which they are linked only that they are named, and that everybody may use. `MPL-2.0` asks in addition
/// that changes of its own files are published; we change none.
const FITTING: [&str; 16] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "WTFPL",
    "Zlib",
];

/// A part that must not be shipped as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Strange {
    /// Which.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is wrong with its licence.
    pub problem: String,
}

/// The parts whose licence does not fit.
pub fn strange(parts: &[Part]) -> Vec<Strange> {
    let problem = |part: &Part| {
        let Some(text) = &part.licence else { return Some("it names none".to_owned()) };
        // Older packages write `/` for OR.
        let expression = match Expression::parse_mode(text, spdx::ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("`{text}` cannot be read: {}", error.reason)),
        };
        (!expression.evaluate(fits)).then(|| format!("`{text}` is none of those that fit"))
    };
    let strange = |part: &Part| problem(part).map(|problem| Strange { name: part.name.clone(), version: part.version.clone(), problem });
    parts.iter().filter_map(strange).collect()
}

fn fits(asked: &LicenseReq) -> bool {
    match &asked.license {
        LicenseItem::Spdx { id, .. } => FITTING.contains(&id.name),
        LicenseItem::Other { .. } => false,
    }
}
