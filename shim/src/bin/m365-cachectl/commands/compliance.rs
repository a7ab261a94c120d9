//! `compliance`: what is configured and holds now, safeguard by safeguard.

use m365_cached_proto::v1::{ComplianceRequest, Fault, Kind};
use serde::Serialize;
use serde_json::Value;

use crate::context::{Context, answered};
use crate::output::{Paint, View};

/// A safeguard does not hold.
const DOES_NOT_HOLD: u8 = 7;

/// `{"holds":true,"safeguards":[{"safeguard":"…","points":[…],"holds":true,"detail":{…}}],"not_covered":[…]}`
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Report(Value);

pub(super) async fn run(context: &Context) -> Result<u8, Fault> {
    let reply = answered(context.records().await?.compliance(ComplianceRequest {}).await)?;
    let report = serde_json::from_slice(&reply.report)
        .map_err(|_| Fault::new(Kind::Internal, "bad_report", "the daemon's report is not JSON", "Run `m365-cachectl stop`."))?;
    let report = Report(report);
    context.output.show(&report);
    Ok(if report.0["holds"] == true { 0 } else { DOES_NOT_HOLD })
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

impl View for Report {
    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for safeguard in self.0["safeguards"].as_array().into_iter().flatten() {
            let word = if safeguard["holds"] == true { paint.good("holds") } else { paint.bad("does not hold") };
            let name = safeguard["safeguard"].as_str().unwrap_or_default();
            text.push_str(&format!("{name}: {word} ({})\n", texts(&safeguard["points"]).join(", ")));
            for (what, value) in safeguard["detail"].as_object().into_iter().flatten() {
                text.push_str(&format!("  {what}: {value}\n"));
            }
        }
        text.push_str("not covered:\n");
        for line in texts(&self.0["not_covered"]) {
            text.push_str(&format!("  {line}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_well() {
        let safeguard =
            json!({ "safeguard": "erasure", "points": ["GDPR Art. 17"], "holds": true, "detail": { "erasures_not_complete": 0 } });
        let report = Report(json!({ "holds": true, "safeguards": [safeguard], "not_covered": ["The rest."] }));
        let expected = "erasure: holds (GDPR Art. 17)\n  erasures_not_complete: 0\nnot covered:\n  The rest.\n";
        assert_eq!(report.text(Paint::OFF), expected);
    }
}
