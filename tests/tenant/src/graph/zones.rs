//! Time zones by the two kinds of names that Exchange takes.

use std::collections::HashMap;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// Windows names, the IANA zone of each, and the other IANA zones that go by it (CLDR windowsZones).
const TABLE: &str = include_str!("../../data/windows-zones.tsv");

struct Names {
    /// IANA zones by Windows name in lower case.
    iana: HashMap<String, &'static str>,
    /// Windows names by IANA name.
    windows: HashMap<&'static str, &'static str>,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut out = Names { iana: HashMap::new(), windows: HashMap::new() };
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let mut cells = line.split('\t');
            if let (Some(windows), Some(main)) = (cells.next(), cells.next()) {
                out.iana.insert(windows.to_lowercase(), main);
                out.windows.insert(main, windows);
                for other in cells.next().unwrap_or("").split_whitespace() {
                    out.windows.entry(other).or_insert(windows);
                }
            }
        }
        out
    })
}

/// The zone of this Windows or IANA name.
pub(crate) fn find(name: &str) -> Option<TimeZone> {
    let iana = names().iana.get(&name.to_lowercase()).copied().unwrap_or(name);
    if iana.is_empty() { None } else { TimeZone::get(iana).ok() }
}

/// The Windows name of an IANA zone where there is one, as `mailboxSettings` shows it.
pub(crate) fn windows_name(iana: &str) -> &str {
    names().windows.get(iana).copied().unwrap_or(iana)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_windows_name_leads_to_a_zone() {
        assert!(names().iana.len() >= 139);
        for windows in names().iana.keys() {
            assert!(find(windows).is_some(), "{windows}");
        }
        for (iana, windows) in &names().windows {
            assert!(TimeZone::get(iana).is_ok(), "{iana} of {windows}");
        }
    }

    #[test]
    fn both_kinds_of_names_are_taken_and_others_are_not() {
        assert_eq!(find("pacific standard time"), find("America/Los_Angeles"));
        assert!(find("Mars/Olympus").is_none() && find("").is_none());
        assert_eq!(windows_name("Europe/Berlin"), "W. Europe Standard Time");
        assert_eq!(windows_name("Europe/Vienna"), "W. Europe Standard Time");
        assert_eq!(windows_name("Nowhere/At_All"), "Nowhere/At_All");
    }
}
