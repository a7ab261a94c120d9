//! Time zones by the two kinds of names there are: IANA's, which people and models write, and Windows', which Exchange prefers.
//!
//! The rules come from the time zone database (the system's, else the one that is built in), the names of Windows from Unicode CLDR
//! (`data/windows-zones.tsv`): a crate of its own would bring the same 140 lines.

use std::{collections::HashMap, sync::OnceLock};

use jiff::tz::TimeZone;

/// Windows names, the IANA zone of each, and the other IANA names that go by it.
const TABLE: &str = include_str!("data/windows-zones.tsv");

struct Names {
    /// The IANA zone of a Windows name in lower case.
    iana: HashMap<String, &'static str>,
    /// The Windows name of an IANA name in lower case.
    windows: HashMap<String, &'static str>,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let mut names = Names { iana: HashMap::new(), windows: HashMap::new() };
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let mut cells = line.split('\t');
            let (Some(windows), Some(main)) = (cells.next(), cells.next()) else { continue };
            names.iana.insert(windows.to_lowercase(), main);
            for iana in std::iter::once(main).chain(cells.next().unwrap_or_default().split_whitespace()) {
                names.windows.insert(iana.to_lowercase(), windows);
            }
        }
        names
    })
}

/// A zone with its rules and its IANA name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// Universal time.
    pub(super) fn utc() -> Self {
        Self { name: "UTC".into(), rules: TimeZone::UTC }
    }

    /// The zone of an IANA or a Windows name, without regard to case; `None` when there is none, as for Exchange's customized zones.
    pub(super) fn find(name: &str) -> Option<Self> {
        let name = name.trim();
        // What Exchange calls the zone of a mailbox that nobody has set.
        if name.eq_ignore_ascii_case("tzone://Microsoft/Utc") {
            return Some(Self::utc());
        }
        let iana = names().iana.get(&name.to_lowercase()).copied().unwrap_or(name);
        if iana.eq_ignore_ascii_case("Etc/UTC") {
            return Some(Self::utc());
        }
        // The database also knows this placeholder, which is no zone.
        let rules = if iana.eq_ignore_ascii_case("Etc/Unknown") { None } else { TimeZone::get(iana).ok() }?;
        Some(Self { name: rules.iana_name()?.to_owned(), rules })
    }

    /// Its IANA name: `Europe/Berlin`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name to give Exchange: the Windows name where there is one, for it knows every one of these and only some of IANA's.
    pub(super) fn exchange_name(&self) -> &str {
        names().windows.get(&self.name.to_lowercase()).copied().unwrap_or(&self.name)
    }

    /// Its rules.
    pub(super) fn rules(&self) -> &TimeZone {
        &self.rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_leads_to_a_zone_and_back() {
        assert!(names().iana.len() >= 139);
        for (windows, iana) in &names().iana {
            let zone = Zone::find(windows).unwrap_or_else(|| panic!("{windows} leads to no zone"));
            assert!(*iana == "Etc/UTC" || zone.rules == TimeZone::get(iana).unwrap(), "{windows}");
            assert!(zone.exchange_name().eq_ignore_ascii_case(windows), "{windows} came back as {}", zone.exchange_name());
        }
        for iana in names().windows.keys() {
            assert!(Zone::find(iana).is_some(), "{iana}");
        }
    }

    #[test]
    fn both_kinds_of_names_are_known_in_any_case_and_old_ones_too() {
        let known = |name: &str| Zone::find(name).map(|zone| (zone.name().to_owned(), zone.exchange_name().to_owned()));
        let pair = |iana: &str, windows: &str| Some((iana.to_owned(), windows.to_owned()));
        assert_eq!(known("europe/vienna"), pair("Europe/Vienna", "W. Europe Standard Time"));
        assert_eq!(known(" pacific standard time "), pair("America/Los_Angeles", "Pacific Standard Time"));
        assert_eq!(known("Asia/Calcutta").unwrap().1, "India Standard Time");
        assert_eq!(known("Asia/Kolkata").unwrap().1, "India Standard Time");
        for utc in ["utc", "UTC", "Etc/UTC", "tzone://Microsoft/Utc"] {
            assert_eq!(known(utc), pair("UTC", "UTC"), "{utc}");
        }
        for none in ["", "Mars/Olympus", "Customized Time Zone", "tzone://Microsoft/Custom", "../../etc/passwd", "Etc/Unknown"] {
            assert_eq!(known(none), None, "{none}");
        }
    }
}
