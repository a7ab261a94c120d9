//! What a client is offered: which tools of the catalogue, and how much of their schemas.
//!
//! Decisions. `full` is the catalogue as it is: every tool, argument and limit. A list is read by a model before anything else and paid for in
//! every turn (the manual has the figures), so all other profiles have **short schemas**: without arguments marked rare, without lengths of
//! texts and lists, and without limits that nobody reaches. What is left out is taken and checked all the same, and a refusal says what would
//! be right; for the same reason a short schema does not say `additionalProperties: false`, which would have a client refuse what we take.
//!
//! A configured `read-only` is not loosened by a launch line: the launch line picks from it. Rejected: lists by the client's name (MCP
//! 2026-07-28: lists must not vary by connection; and a name is only a claim).

use serde_json::{Map, Value};

use super::{Risk, Tool, all};
use crate::ids::ToolProfile;

/// What one client is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    /// The list.
    pub profile: ToolProfile,
    /// Whatever changes something is neither shown nor done.
    pub read_only: bool,
}

impl Offer {
    /// By the profile of the configuration and, where there is one, that of the client's launch line.
    pub fn new(configured: ToolProfile, launch: Option<ToolProfile>) -> Self {
        let profile = launch.unwrap_or(configured);
        Self { profile, read_only: [profile, configured].contains(&ToolProfile::ReadOnly) }
    }

    /// Its tools, in the order of the catalogue.
    pub fn tools(self) -> impl Iterator<Item = &'static Tool> {
        all().filter(move |tool| tool.is_in(self.profile) && (tool.risk == Risk::Safe || !self.read_only))
    }

    /// The schema of a tool's arguments as this client is shown it. `strict`: every tool that asks takes the token that agrees.
    pub fn schema(self, tool: &Tool, strict: bool) -> Map<String, Value> {
        match (self.profile, strict) {
            (ToolProfile::Full, false) => tool.input_schema(),
            (ToolProfile::Full, true) => tool.strict_input_schema(),
            (_, strict) => tool.short_input_schema(strict),
        }
    }
}

impl Tool {
    /// Whether the list of that profile shows it.
    pub fn is_in(&self, profile: ToolProfile) -> bool {
        match profile {
            ToolProfile::Full => true,
            ToolProfile::ReadOnly => self.risk == Risk::Safe,
            named => self.profiles.contains(&named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::original_tests::ORIGINAL;

    fn names(configured: ToolProfile, launch: Option<ToolProfile>) -> Vec<&'static str> {
        Offer::new(configured, launch).tools().map(|tool| tool.name).collect()
    }

    #[test]
    fn full_has_every_tool_of_the_original_and_essential_the_daily_work() {
        let full = names(ToolProfile::Full, None);
        assert!(ORIGINAL.iter().all(|(name, _)| full.contains(name)));
        let essential = names(ToolProfile::Essential, None);
        for needed in [
            "account_list",
            "email_list",
            "email_get",
            "email_send",
            "email_reply",
            "search_emails",
            "calendar_list_events",
            "calendar_create_event",
            "calendar_check_availability",
            "file_list",
            "file_get",
            "search_files",
            "search_contacts",
            "search_unified",
        ] {
            assert!(essential.contains(&needed), "{needed}");
        }
        // 10 to 25 tools are what models choose well from; a few more are shown because daily work has both ends: read and answer.
        assert!(essential.len() <= 32, "{}", essential.len());
        for profile in [ToolProfile::Mail, ToolProfile::Calendar, ToolProfile::Files] {
            assert!(names(profile, None).contains(&"account_list"), "every other tool needs an account: {profile:?}");
        }
    }

    #[test]
    fn lists_are_parts_of_the_catalogue_in_its_order() {
        let full = names(ToolProfile::Full, None);
        for (_, profile) in ToolProfile::NAMES {
            let list = names(profile, None);
            let places: Vec<usize> = list.iter().map(|name| full.iter().position(|known| known == name).unwrap()).collect();
            assert!(!places.is_empty() && places.is_sorted(), "{profile:?}");
        }
    }

    #[test]
    fn a_launch_line_picks_and_read_only_stays() {
        assert_eq!(names(ToolProfile::Essential, Some(ToolProfile::Full)), names(ToolProfile::Full, None));
        for (configured, launch) in [
            (ToolProfile::ReadOnly, None),
            (ToolProfile::ReadOnly, Some(ToolProfile::Full)),
            (ToolProfile::ReadOnly, Some(ToolProfile::Mail)),
            (ToolProfile::Full, Some(ToolProfile::ReadOnly)),
        ] {
            let offer = Offer::new(configured, launch);
            assert!(offer.read_only && offer.tools().all(|tool| tool.annotations().read_only), "{configured:?} {launch:?}");
        }
        assert!(names(ToolProfile::ReadOnly, Some(ToolProfile::Mail)).contains(&"email_list"));
        assert!(!names(ToolProfile::ReadOnly, Some(ToolProfile::Mail)).contains(&"file_list"));
        assert_eq!(ToolProfile::named("Full"), None);
        assert_eq!(ToolProfile::ReadOnly.as_str(), "read-only");
    }

    #[test]
    fn a_short_schema_leaves_out_what_is_rare_and_nothing_that_is_required() {
        for tool in all() {
            for strict in [false, true] {
                let long = if strict { tool.strict_input_schema() } else { tool.input_schema() };
                let short = tool.short_input_schema(strict);
                assert_eq!(short.get("required"), long.get("required"), "{}", tool.name);
                let (short, long) = (short["properties"].as_object().unwrap(), long["properties"].as_object().unwrap());
                let rare: Vec<&str> = tool.params.iter().filter(|param| param.rare).map(|param| param.name).collect();
                let left: Vec<&String> = long.keys().filter(|name| !rare.contains(&name.as_str())).collect();
                assert_eq!(short.keys().collect::<Vec<_>>(), left, "{}", tool.name);
                assert!(
                    tool.params.iter().all(|param| !param.rare || param.default.is_some()),
                    "{}: a required argument is rare",
                    tool.name
                );
            }
        }
    }
}
