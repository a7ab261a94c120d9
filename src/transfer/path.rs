//! Which path a caller's text means, below which allowed folder: a pure rule, the same on every machine but for what Windows adds.
//!
//! It looks at the text only. That nothing on the way is a link is seen when the folders are opened, one by one, in `roots.rs`.

/// Whose rules for names hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Unix,
    Windows,
}

/// The machine's own.
pub(super) const HERE: Style = if cfg!(windows) { Style::Windows } else { Style::Unix };

/// A file below an allowed folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the allowed folder.
    pub(super) root: usize,
    /// The folders on the way, from there.
    pub(super) folders: Vec<String>,
    /// The file.
    pub(super) name: String,
}

/// Why a path cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no file name in it.
    NoName,
    /// It climbs with `..`.
    Climbs,
    /// It lies under none of the allowed folders, or there are none.
    Outside,
    /// It begins with `~`, which a shell would replace and we do not.
    Home,
    /// It has a character that no file name should have.
    Character,
    /// Windows gives it another meaning: a device, a stream, a share, another drive's current folder.
    Special,
}

/// The file that `given` means: absolute under one of `roots` (the deepest that fits), or relative to the first.
pub(super) fn place(given: &str, roots: &[String], style: Style) -> Result<Place, Fault> {
    if given.chars().any(char::is_control) || (style == Style::Unix && given.contains('\\')) {
        return Err(Fault::Character);
    }
    if given.starts_with('~') {
        return Err(Fault::Home);
    }
    let parts = parts(given, style);
    if parts.contains(&"..") {
        return Err(Fault::Climbs);
    }
    let (root, rest) = match absolute(given, style)? {
        false => (0, parts.as_slice()),
        true => roots
            .iter()
            .enumerate()
            .filter_map(|(at, root)| Some((at, below(&parts, &self::parts(root, style), style)?)))
            .min_by_key(|(_, rest)| rest.len())
            .ok_or(Fault::Outside)?,
    };
    if roots.is_empty() {
        return Err(Fault::Outside);
    }
    if style == Style::Windows {
        rest.iter().try_for_each(|part| windows_name(part))?;
    }
    let (name, folders) = rest.split_last().ok_or(Fault::NoName)?;
    if given.ends_with(is_separator(style)) {
        return Err(Fault::NoName);
    }
    Ok(Place { root, folders: folders.iter().map(|part| (*part).to_owned()).collect(), name: (*name).to_owned() })
}

fn is_separator(style: Style) -> impl Fn(char) -> bool {
    move |letter| letter == '/' || (style == Style::Windows && letter == '\\')
}

fn parts(path: &str, style: Style) -> Vec<&str> {
    path.split(is_separator(style)).filter(|part| !part.is_empty() && *part != ".").collect()
}

/// Whether a path stands by itself. What Windows would resolve against something else is refused.
fn absolute(given: &str, style: Style) -> Result<bool, Fault> {
    let bytes = given.as_bytes();
    match style {
        Style::Unix => Ok(given.starts_with('/')),
        // `\\server\share`, `\\?\`, `\\.\`, and `\folder` of whichever drive is current.
        Style::Windows if given.starts_with(['/', '\\']) => Err(Fault::Special),
        Style::Windows if bytes.get(1) == Some(&b':') && bytes[0].is_ascii_alphabetic() => {
            // `C:file` is relative to that drive's current folder.
            if matches!(bytes.get(2), Some(b'/' | b'\\')) { Ok(true) } else { Err(Fault::Special) }
        }
        Style::Windows => Ok(false),
    }
}

/// What of `parts` lies below `root`.
fn below<'p, 'a>(parts: &'p [&'a str], root: &[&str], style: Style) -> Option<&'p [&'a str]> {
    let same = |one: &str, other: &str| if style == Style::Windows { one.eq_ignore_ascii_case(other) } else { one == other };
    let fits = parts.len() >= root.len() && parts.iter().zip(root).all(|(part, of_root)| same(part, of_root));
    fits.then(|| &parts[root.len()..])
}

/// Names that Windows would take for something else (Windows documentation, *Naming Files, Paths, and Namespaces*).
fn windows_name(name: &str) -> Result<(), Fault> {
    if name.contains(['<', '>', '"', '|', '?', '*']) {
        return Err(Fault::Character);
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.chars().count() == 1 && rest.chars().all(|digit| "123456789¹²³".contains(digit)))
    };
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") || numbered("COM") || numbered("LPT");
    // A colon names a stream; a dot or blank at the end is dropped, so that the name is another one.
    if device || name.contains(':') || name.ends_with(['.', ' ']) { Err(Fault::Special) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unix(given: &str) -> Result<(usize, String), Fault> {
        let roots = ["/home/ada/Downloads/m365", "/srv/files", "/srv/files/deep"].map(str::to_owned);
        place(given, &roots, Style::Unix).map(|place| (place.root, [place.folders, vec![place.name]].concat().join("/")))
    }

    fn windows(given: &str) -> Result<(usize, String), Fault> {
        let roots = [r"C:\Users\ada\Downloads\m365", r"D:\files"].map(str::to_owned);
        place(given, &roots, Style::Windows).map(|place| (place.root, [place.folders, vec![place.name]].concat().join("/")))
    }

    #[test]
    fn paths_below_a_root_are_found() {
        assert_eq!(unix("a.pdf"), Ok((0, "a.pdf".into())));
        assert_eq!(unix("./sub//a.pdf"), Ok((0, "sub/a.pdf".into())));
        assert_eq!(unix("/srv/files/x/a.pdf"), Ok((1, "x/a.pdf".into())));
        assert_eq!(unix("/srv/files/deep/a.pdf"), Ok((2, "a.pdf".into())), "the deepest root");
        assert_eq!(unix("/srv/files/RE: a..b.pdf"), Ok((1, "RE: a..b.pdf".into())));
        assert_eq!(windows(r"sub\a.pdf"), Ok((0, "sub/a.pdf".into())));
        assert_eq!(windows("d:/FILES/a.pdf"), Ok((1, "a.pdf".into())));
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for (given, fault) in [
            ("/etc/passwd", Fault::Outside),
            ("/srv/filesystem/a", Fault::Outside),
            ("/srv/files/../../etc/passwd", Fault::Climbs),
            ("../a", Fault::Climbs),
            ("a/..", Fault::Climbs),
            ("~/a", Fault::Home),
            ("~root/a", Fault::Home),
            ("..\\a", Fault::Character),
            ("a\0b", Fault::Character),
            ("a\nb", Fault::Character),
            ("", Fault::NoName),
            (".", Fault::NoName),
            ("a/", Fault::NoName),
            ("/srv/files", Fault::NoName),
        ] {
            assert_eq!(unix(given), Err(fault), "{given:?}");
        }
        assert_eq!(place("a", &[], Style::Unix), Err(Fault::Outside));
    }

    #[test]
    fn what_windows_would_take_for_something_else_is_refused() {
        for given in [
            r"\\server\share\a",
            "//server/share/a",
            r"\\?\C:\Users\ada\Downloads\m365\a",
            r"\\.\PhysicalDrive0",
            r"\a",
            "C:a",
            "a.txt:stream",
            "a.txt::$DATA",
            "CON",
            "nul.txt",
            r"sub\com1.log",
            "LPT³",
            "COM1 .txt",
            "a.txt.",
            "a.txt ",
        ] {
            assert_eq!(windows(given), Err(Fault::Special), "{given:?}");
        }
        assert_eq!(windows(r"C:\Windows\a"), Err(Fault::Outside));
        assert_eq!(windows(r"sub\..\..\a"), Err(Fault::Climbs));
        assert_eq!(windows("a?.txt"), Err(Fault::Character));
        assert!(windows("com10.txt").is_ok() && windows("console").is_ok());
    }

    fn pathlike() -> impl Strategy<Value = String> {
        let bit = prop_oneof![
            Just("..".to_owned()),
            Just(".".to_owned()),
            Just(String::new()),
            Just("srv".to_owned()),
            Just("files".to_owned()),
            Just("C:".to_owned()),
            Just("nul".to_owned()),
            "[a-z:~. \\\\/]{0,4}",
            any::<String>(),
        ];
        (proptest::collection::vec(bit, 0..6), "[/\\\\]").prop_map(|(bits, join)| bits.join(&join))
    }

    proptest! {
        #[test]
        fn whatever_is_given_stays_below_a_root(given in pathlike(), windows: bool) {
            let style = if windows { Style::Windows } else { Style::Unix };
            let roots = if windows { ["C:\\srv\\files".to_owned(), "D:\\".to_owned()] } else { ["/srv/files".to_owned(), "/".to_owned()] };
            if let Ok(place) = place(&given, &roots, style) {
                prop_assert!(place.root < 2);
                for part in place.folders.iter().chain([&place.name]) {
                    prop_assert!(!part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\\', '\0']), "{part:?}");
                    prop_assert!(!windows || !part.contains(':'));
                    let components: Vec<_> = std::path::Path::new(part).components().collect();
                    prop_assert!(matches!(components[..], [std::path::Component::Normal(_)]), "{part:?}");
                }
            }
        }

        #[test]
        fn a_plain_name_below_a_root_is_always_allowed(parts in proptest::collection::vec("[a-z][a-z0-9 _-]{0,8}[a-z]", 1..5)) {
            let joined = parts.join("/");
            for given in [joined.clone(), format!("/srv/files/{joined}")] {
                let place = place(&given, &["/srv/files".to_owned()], Style::Unix).unwrap();
                prop_assert_eq!([place.folders, vec![place.name]].concat(), parts.clone());
            }
        }
    }
}
