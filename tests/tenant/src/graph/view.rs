//! How the caller wants to see things: the `Prefer` headers, and which of them were honoured.

use http::HeaderMap;
use jiff::tz::TimeZone;

use super::errors::Fault;
use super::odata::Answer;
use super::zones;

/// The wishes of one request.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Ids that survive moves.
    pub(crate) immutable: bool,
    /// Bodies as text.
    pub(crate) text: bool,
    /// The zone of event times, with the name that the caller used.
    pub(crate) zone: Option<(String, TimeZone)>,
    /// `odata.maxpagesize`.
    pub(crate) page: Option<usize>,
    /// What to echo in `Preference-Applied`.
    pub(crate) applied: Vec<String>,
}

impl View {
    /// Reads the headers. An unknown time zone is refused as Graph refuses it; an unknown preference is ignored.
    pub(crate) fn parse(headers: &HeaderMap) -> Answer<Self> {
        let mut out = Self { immutable: false, text: false, zone: None, page: None, applied: Vec::new() };
        let joined: Vec<&str> = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).collect();
        for wish in split(&joined.join(",")) {
            let (name, value) = wish.split_once('=').unwrap_or((&wish, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "idtype" if value.eq_ignore_ascii_case("ImmutableId") => out.immutable = true,
                "outlook.body-content-type" if value.eq_ignore_ascii_case("text") => out.text = true,
                "outlook.body-content-type" if value.eq_ignore_ascii_case("html") => {}
                "outlook.timezone" => {
                    let zone = zones::find(value).ok_or_else(|| {
                        Fault::new(
                            http::StatusCode::BAD_REQUEST,
                            "TimeZoneNotSupportedException",
                            format!("A valid TimeZone value must be specified. The following TimeZone value is not supported: '{value}'."),
                        )
                    })?;
                    out.zone = Some((value.to_owned(), zone));
                }
                // Only delta keeps to it, and says so itself.
                "odata.maxpagesize" => {
                    out.page = value.parse().ok().filter(|size| *size > 0);
                    continue;
                }
                _ => continue,
            }
            out.applied.push(wish.trim().to_owned());
        }
        Ok(out)
    }
}

/// Cuts at commas and semicolons outside quotes.
fn split(text: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    for character in text.chars() {
        quoted ^= character == '"';
        match (character, quoted, out.last_mut()) {
            (',' | ';', false, _) => out.push(String::new()),
            (_, _, Some(last)) => last.push(character),
            _ => {}
        }
    }
    out.retain(|part| !part.trim().is_empty());
    out
}

#[cfg(test)]
mod tests {
    use super::View;

    #[test]
    fn joined_preferences_are_taken_apart() {
        let mut headers = http::HeaderMap::new();
        headers.append("prefer", "outlook.timezone=\"Pacific Standard Time\", IdType=\"ImmutableId\"".parse().unwrap());
        headers.append("prefer", "odata.maxpagesize=7; outlook.body-content-type=\"text\", respond-async".parse().unwrap());
        let view = View::parse(&headers).unwrap();
        assert!(view.immutable && view.text && view.page == Some(7) && view.zone.is_some());
        assert_eq!(view.applied.len(), 3);
        headers.append("prefer", "outlook.timezone=\"Mars\"".parse().unwrap());
        assert_eq!(View::parse(&headers).unwrap_err().code, "TimeZoneNotSupportedException");
    }
}
