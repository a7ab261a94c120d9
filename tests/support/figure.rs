//! A figure that a test finds, as the campaign of safety reads it: one line of JSON on stdout, told again as it grows, the last one counts.
//!
//! Shared by the suite and, through its path, by the tests inside the library; knows nothing of either.

/// How many cases a test at full size tries: `full`, or what `M365_SIZE` says for a shorter run.
#[must_use]
pub fn size(full: usize) -> usize {
    std::env::var("M365_SIZE").ok().and_then(|text| text.parse().ok()).map_or(full, |asked: usize| asked.min(full))
}

/// Tells how many cases were tried so far and how many of them got through.
#[expect(clippy::print_stdout, reason = "the campaign reads it there")]
pub fn tell(figure: &str, tried: usize, found: usize) {
    println!("{}", serde_json::json!({ "figure": figure, "tried": tried, "found": found }));
}
