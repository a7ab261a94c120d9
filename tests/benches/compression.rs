//! What compression saves of real answers, by kind: the demo tenant's, through the daemon. Beside gzip 6, and beside the same store with
//! bodies of equal length that do not compress.
//!
//! A kind's saving is that of all its bytes together. An answer that is not in memory is read twice: once through the connection's page
//! cache, and once right after opening, when every page is read from the file and decrypted.

#[path = "compression/answers.rs"]
mod answers;
#[path = "compression/cold.rs"]
mod cold;

use std::io::Write as _;

use answers::{Answer, KINDS, Kind};
use cold::Reads;
use flate2::{Compression, write::GzEncoder};
use m365_cached::store::sqlcipher::codec::compress;
use serde::Serialize;

/// zstd's bytes beside those of gzip 6 may be so many at most, and a compressed answer's reading beside an uncompressed one's.
const BESIDE_GZIP: f64 = 1.05;
const COLD: f64 = 1.1;

/// The figures of one kind.
#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    answers: usize,
    /// The middle one of them, in KB before compression.
    middle_kb: f64,
    kb: f64,
    saved_percent: f64,
    goal_percent: Option<f64>,
    gzip6_saved_percent: f64,
    bytes_beside_gzip6: f64,
    /// Reads through the store right after opening: pages come from the file and are decrypted.
    cold: Reads,
    /// Reads whose pages the connection holds.
    paged: Reads,
    good: bool,
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `--bench` is Cargo's own word.
    if let Some(strange) = words.iter().find(|word| !["--json", "--quick", "--bench"].contains(&word.as_str())) {
        anyhow::bail!("unknown word {strange}; there are --json and --quick");
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    let answers = answers::collect(if has("--quick") { 10 } else { 60 })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = Vec::new();
    for kind in KINDS {
        let of: Vec<&Answer> = answers.iter().filter(|answer| (kind.holds)(answer)).collect();
        anyhow::ensure!(!of.is_empty(), "no answer is of the kind {:?}", kind.name);
        writeln!(std::io::stderr(), "{}: {} answers", kind.name, of.len())?;
        rows.push(runtime.block_on(row(kind, &of, if has("--quick") { 2 } else { 9 }))?);
    }
    let good = rows.iter().all(|row| row.good);
    let text = if has("--json") {
        let goals = serde_json::json!({ "bytes_beside_gzip6": BESIDE_GZIP, "cold_beside_plain": COLD });
        serde_json::to_string(&serde_json::json!({ "kinds": rows, "goals": goals, "good": good }))?
    } else {
        table(&rows)
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

async fn row(kind: &Kind, of: &[&Answer], rounds: usize) -> anyhow::Result<Row> {
    let (mut raw, mut packed, mut gzip, mut sizes) = (0, 0, 0, Vec::new());
    for answer in of {
        let text = &answer.text.0;
        raw += text.len();
        sizes.push(text.len());
        packed += compress(text).1.len();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(text)?;
        gzip += encoder.finish()?.len();
    }
    sizes.sort_unstable();
    let [cold, paged] = cold::compare(of, rounds).await?;
    let saved = |bytes: usize| round(100.0 - bytes as f64 * 100.0 / raw as f64);
    let (saved_percent, beside_gzip) = (saved(packed), round(packed as f64 / gzip as f64));
    Ok(Row {
        kind: kind.name,
        answers: of.len(),
        middle_kb: round(sizes[sizes.len() / 2] as f64 / 1e3),
        kb: round(raw as f64 / 1e3),
        saved_percent,
        goal_percent: kind.goal,
        gzip6_saved_percent: saved(gzip),
        bytes_beside_gzip6: beside_gzip,
        cold,
        paged,
        good: kind.goal.is_none_or(|goal| saved_percent >= goal) && beside_gzip <= BESIDE_GZIP && cold.ratio <= COLD,
    })
}

/// To two places.
fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}

fn table(rows: &[Row]) -> String {
    let mut out = format!(
        "{:<22} {:>7} {:>9} {:>7} {:>5} {:>8} {:>8}   {:<24} {:<24}\n",
        "kind", "answers", "middle KB", "saved %", "goal", "gzip 6 %", "x gzip 6", "cold us (x uncompressed)", "paged us (x uncompressed)"
    );
    for row in rows {
        let goal = row.goal_percent.map_or_else(|| "-".to_owned(), |goal| format!("{goal}"));
        let reads = |reads: Reads| format!("{:.1} (x {})", reads.packed_us, reads.ratio);
        out.push_str(&format!(
            "{:<22} {:>7} {:>9.1} {:>7.1} {:>5} {:>8.1} {:>8.2}   {:<24} {:<24}{}\n",
            row.kind,
            row.answers,
            row.middle_kb,
            row.saved_percent,
            goal,
            row.gzip6_saved_percent,
            row.bytes_beside_gzip6,
            reads(row.cold),
            reads(row.paged),
            if row.good { "" } else { " missed" }
        ));
    }
    out + &format!("goals for all: x gzip 6 <= {BESIDE_GZIP}; cold x uncompressed <= {COLD}")
}
