//! Text that reads like office mail, written for this tenant; no corpus of anybody else's.

use super::prng::Prng;

/// Planted in some of every kind of free text, so that a test can scan disks for plain text.
pub const CANARY: &str = "zebra-quartz-7731";

/// Who or what a sentence is about.
pub(crate) const SUBJECTS: &[&str] = &[
    "the harbour team",
    "our landlord",
    "the new supplier",
    "Priya from procurement",
    "the second draft",
    "the budget sheet",
    "this quarter's plan",
    "the pilot group",
    "the board",
    "our auditor",
    "the museum project",
    "the late delivery",
    "the training week",
    "the southern office",
    "the warehouse lease",
    "the customer panel",
    "the energy report",
    "the travel desk",
    "the night shift",
    "the insurance claim",
    "the old ticket system",
    "the glass roof",
    "the legal review",
    "the tram extension",
    "the onboarding pack",
    "the spare-parts list",
    "the survey",
    "the printer on the third floor",
    "the bicycle store",
    "the partner meeting",
    "the garden committee",
    "the research grant",
    "the north stairwell",
    "the wage table",
    "the recipe trial",
    "the shipping forecast",
    "the kiosk contract",
    "the choir",
    "the road permit",
    "the tasting panel",
    "the solar quote",
    "the visitor badge",
    "the exhibition floor",
    "the maintenance window",
    "the catalogue proof",
    "the water meter",
    "the handover note",
    "the alumni dinner",
    "the packaging test",
    "the loading bay",
    "the interview panel",
    "the archive room",
];

/// What it does or what happens to it.
pub(crate) const PREDICATES: &[&str] = &[
    "is two days behind",
    "needs a signature before Thursday",
    "came in under the estimate",
    "still lacks a second opinion",
    "has moved to the larger room",
    "will be ready when the paint is dry",
    "asked for one more column",
    "was approved without a single question",
    "contradicts what we heard last week",
    "depends on the weather",
    "should not wait for the next round",
    "turned out simpler than feared",
    "costs roughly as much as last year",
    "must be repeated with fresh numbers",
    "has been on hold since August",
    "would profit from a shorter title",
    "is fine apart from page four",
    "was sent to the wrong address",
    "arrives in three crates instead of two",
    "can be cancelled until the end of the month",
    "now includes the ferry",
    "looks better in black and white",
    "has a new telephone number",
    "was praised by everyone who tried it",
    "broke again on Sunday night",
    "must not leave the building",
    "passed the second inspection",
    "is waiting for a part from Aarhus",
    "got a warmer welcome than we expected",
    "will cost us an afternoon",
    "has been renamed for the third time",
    "is on the agenda for Tuesday",
    "ran out of envelopes",
    "could be split into two halves",
    "keeps its present form for now",
    "is shorter than the last one by half",
    "answers most of the open points",
    "needs somebody with a driving licence",
    "was measured twice and is still too wide",
    "can start without us",
    "goes to print tomorrow at noon",
    "has nobody responsible for it",
    "made the newspaper",
    "is locked until Friday",
    "was rebuilt from the old plans",
    "is missing its annex",
    "went through on the first attempt",
    "should be read aloud once",
    "has doubled since spring",
    "will be carried over to January",
];

/// Ways to begin.
pub(crate) const OPENERS: &[&str] = &[
    "As far as I can see,",
    "Between ourselves,",
    "For the record:",
    "After yesterday's call",
    "According to the minutes,",
    "To nobody's surprise",
    "Before I forget:",
    "On the bright side,",
    "If I read the table correctly,",
    "Just so you know,",
    "Strictly speaking,",
    "In the meantime",
    "Once more:",
    "Unless I am mistaken,",
    "With some luck",
    "Since you asked:",
    "Looking at the numbers,",
    "From what the courier says,",
    "By the way,",
    "Under these circumstances",
    "Despite the long weekend",
    "As agreed,",
    "Contrary to my last mail,",
    "Thanks to Ingrid's patience",
];

/// Ways to go on or to end.
pub(crate) const CLOSERS: &[&str] = &[
    "and I would leave it at that",
    "so please have a look before lunch",
    "which is more than we hoped for",
    "but nobody has told the drivers yet",
    "and the invoice is attached to the other mail",
    "so let us decide on Monday",
    "although Tomasz sees it differently",
    "because the form has changed again",
    "and that is the good news",
    "which leaves us with two options",
    "so I have asked for a second quote",
    "but it can wait until you are back",
    "while the old one stays where it is",
    "and there is coffee afterwards",
    "which the committee will not like",
    "so bring the yellow folder",
    "unless the lift is out of order again",
    "and I have copied the people concerned",
    "provided that the bank confirms",
    "as long as the keys turn up",
    "and we will not mention the piano",
    "so could you call them first",
    "which I would rather discuss in person",
    "but the deadline has not moved",
];

/// Whole sentences without parts.
pub(crate) const REMARKS: &[&str] = &[
    "What do you think?",
    "Please reply to all.",
    "No action needed.",
    "I can be there from ten.",
    "Numbers below.",
    "Can somebody take notes?",
    "The room has no projector.",
    "Sorry for the short notice!",
    "See the second sheet.",
    "Shall we meet halfway?",
    "I have put it in the shared folder.",
    "Lunch is on us.",
    "This replaces the earlier version.",
    "Does 15:30 suit you?",
    "Let me know by tomorrow evening.",
    "The password comes by telephone.",
    "We counted 1,284 of them.",
    "It is 12 % more than in May.",
    "There were 37 answers in all.",
    "Same place as always.",
    "Who has the other half?",
    "Nothing has been signed.",
    "I will be on the train until nine.",
    "Many thanks for the photographs.",
];

/// Things mail, files and meetings are about.
pub(crate) const TOPICS: &[&str] = &[
    "harbour lease",
    "budget 2027",
    "museum opening",
    "tram permit",
    "supplier audit",
    "solar quote",
    "training week",
    "customer panel",
    "wage table",
    "roof repair",
    "exhibition floor",
    "ferry timetable",
    "insurance claim",
    "board minutes",
    "packaging test",
    "choir concert",
    "energy report",
    "warehouse move",
    "onboarding",
    "alumni dinner",
    "research grant",
    "kiosk contract",
    "spare parts",
    "visitor badges",
    "catalogue proof",
    "travel expenses",
    "water meter",
    "night shift",
    "recipe trial",
    "road works",
    "annual survey",
    "print run",
    "office plants",
    "bicycle store",
    "handover",
    "archive",
];

/// What one says of a topic in a subject line.
pub(crate) const ANGLES: &[&str] = &[
    "draft for comments",
    "final version",
    "questions",
    "short update",
    "decision needed",
    "postponed",
    "agenda",
    "notes",
    "new figures",
    "please sign",
    "reminder",
    "who can help?",
    "approved",
    "delay of two weeks",
    "first impressions",
    "invoice",
];

const GREETINGS: &[&str] = &["Hello,", "Hi all,", "Good morning,", "Dear colleagues,", "Hi,", "Dear Alex,", "Hello everyone,"];
const SIGNOFFS: &[&str] = &["Best regards", "Kind regards", "Thanks", "Cheers", "Many thanks", "Until tomorrow"];

fn sentence(prng: &mut Prng, out: &mut String) {
    let start = out.len();
    match prng.below(8) {
        0 => {
            let remark: &&str = prng.pick(REMARKS);
            out.push_str(remark);
        }
        1 | 2 => {
            for part in [*prng.pick(SUBJECTS), " ", *prng.pick(PREDICATES), "."] {
                out.push_str(part);
            }
        }
        3 | 4 => {
            for part in [*prng.pick(OPENERS), " ", *prng.pick(SUBJECTS), " ", *prng.pick(PREDICATES), "."] {
                out.push_str(part);
            }
        }
        5 | 6 => {
            for part in [*prng.pick(SUBJECTS), " ", *prng.pick(PREDICATES), ", ", *prng.pick(CLOSERS), "."] {
                out.push_str(part);
            }
        }
        _ => {
            for part in
                [*prng.pick(SUBJECTS), " ", *prng.pick(PREDICATES), ", while ", *prng.pick(SUBJECTS), " ", *prng.pick(PREDICATES), "."]
            {
                out.push_str(part);
            }
        }
    }
    if let Some(first) = out.get(start..=start).map(str::to_ascii_uppercase) {
        out.replace_range(start..=start, &first);
    }
}

/// Paragraphs of about `target` bytes in all, greeting and signature included.
pub(crate) fn paragraphs(seed: u64, target: usize, canary: bool) -> Vec<String> {
    let mut prng = Prng::new(seed, "prose");
    let mut out = vec![(*prng.pick(GREETINGS)).to_owned()];
    let mut written = 0;
    while written < target {
        let mut paragraph = String::with_capacity(512);
        for _ in 0..=prng.below(5) {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            sentence(&mut prng, &mut paragraph);
        }
        written += paragraph.len();
        out.push(paragraph);
    }
    if canary {
        out.push(format!("Reference: {CANARY}"));
    }
    out.push((*prng.pick(SIGNOFFS)).to_owned());
    out
}

/// The paragraphs as an HTML document, the way Exchange hands it out.
pub(crate) fn html(paragraphs: &[String]) -> String {
    let mut out = String::with_capacity(paragraphs.iter().map(|p| p.len() + 10).sum::<usize>() + 160);
    out.push_str("<html>\r\n<head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\r\n</head>\r\n<body>\r\n");
    for paragraph in paragraphs {
        out.push_str("<p>");
        for character in paragraph.chars() {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                other => out.push(other),
            }
        }
        out.push_str("</p>\r\n");
    }
    out.push_str("</body>\r\n</html>\r\n");
    out
}

/// The text of an HTML document: tags away, block ends as line ends, the common entities resolved.
pub(crate) fn text_of(html: &str) -> String {
    let body = html.find("<body").map_or(html, |at| &html[at..]);
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find(['<', '&', '\r', '\n']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('<') {
            let end = rest.find('>').unwrap_or(rest.len() - 1);
            let tag = rest[1..end].trim_start_matches('/').to_ascii_lowercase();
            let name = tag.split([' ', '/']).next().unwrap_or("");
            if name == "br" || (rest.starts_with("</") && matches!(name, "p" | "div" | "tr" | "li" | "h1" | "h2")) {
                out.push_str("\r\n");
            }
            rest = &rest[end + 1..];
        } else if rest.starts_with('&') {
            let known = [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&nbsp;", "\u{a0}"), ("&#39;", "'")];
            let (written, length) =
                known.iter().find(|(entity, _)| rest.starts_with(entity)).map_or(("&", 1), |(entity, text)| (*text, entity.len()));
            out.push_str(written);
            rest = &rest[length..];
        } else {
            rest = rest.trim_start_matches(['\r', '\n']);
            if !out.is_empty() && !out.ends_with(['\n', ' ']) && !rest.is_empty() && !rest.starts_with('<') {
                out.push(' ');
            }
        }
    }
    out.push_str(rest);
    out
}

/// The first 255 characters of a text, its line ends kept: `bodyPreview`.
pub(crate) fn preview(text: &str) -> String {
    text.trim().chars().take(255).collect()
}

/// A subject line.
pub(crate) fn subject(prng: &mut Prng) -> String {
    let topic = *prng.pick(TOPICS);
    let angle = *prng.pick(ANGLES);
    let mut line = match prng.below(4) {
        0 => format!("{topic}: {angle}"),
        1 => format!("{angle} ({topic})"),
        2 => format!("{topic} - {angle}, week {}", prng.between(1, 52)),
        _ => format!("{topic} {}", prng.between(2019, 2027)),
    };
    if let Some(first) = line.get(..1).map(str::to_ascii_uppercase) {
        line.replace_range(..1, &first);
    }
    match prng.below(7) {
        0 => format!("RE: {line}"),
        1 => format!("FW: {line}"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_html_gives_the_paragraphs_back() {
        let paragraphs = vec!["A & B <c>".to_owned(), "second \u{5d0}\u{5d1}".to_owned()];
        assert_eq!(text_of(&html(&paragraphs)).trim(), "A & B <c>\r\nsecond \u{5d0}\u{5d1}");
        assert_eq!(text_of("They were <b>awesome</b>!"), "They were awesome!");
        assert_eq!(text_of("a < b"), "a ");
    }

    #[test]
    fn prose_is_repeatable_and_near_its_target() {
        let first = paragraphs(7, 4_000, true);
        assert_eq!(first, paragraphs(7, 4_000, true));
        let length: usize = first.iter().map(String::len).sum();
        assert!((4_000..6_000).contains(&length), "{length}");
        assert!(first.iter().any(|p| p.contains(CANARY)));
    }
}
