//! `login`: shows what the person has to do, then who is signed in. Ending it (Ctrl-C) cancels the sign-in.

use std::process::{Command, Stdio};

use m365_cached_proto::v1::login_event::Event;
use m365_cached_proto::v1::{Account, DeviceCode, Fault, Kind, LoginRequest, OpenUrl};
use serde::Serialize;

use crate::context::{Context, answered};
use crate::output::{Paint, View};
use crate::views::AccountView;

/// How to sign in.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  m365-cachectl login
  m365-cachectl login --device --username ada@contoso.com
  m365-cachectl login --personal")]
pub(crate) struct Args {
    /// Show a code to enter on any device in place of opening a browser here
    #[arg(long)]
    pub(crate) device: bool,
    /// A personal account (outlook.com, hotmail.com, live.com)
    #[arg(long)]
    pub(crate) personal: bool,
    /// The account to suggest to the sign-in page
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) username: Option<String>,
    /// Print the address without opening a browser
    #[arg(long)]
    pub(crate) no_browser: bool,
}

/// The page leads back to a port of this machine.
const OPEN: &str = "open this address in a browser on this machine to sign in; elsewhere: `m365-cachectl login --device`";

/// One line of JSON for each: `{"event":"open_url","url":…}`, `{"event":"device_code",…}`, `{"event":"signed_in","account":{…}}`.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Step {
    OpenUrl {
        url: String,
    },
    /// Enter `user_code` at `verification_uri` within `expires_in_s` seconds; `message` says the same in Microsoft's words.
    DeviceCode {
        user_code: String,
        verification_uri: String,
        message: String,
        expires_in_s: u64,
    },
    SignedIn {
        account: Box<AccountView>,
    },
}

/// Who has signed in.
pub(super) async fn run(context: &Context, args: Args) -> Result<AccountView, Fault> {
    let request = LoginRequest { device: args.device, username: args.username.unwrap_or_default(), personal: args.personal };
    let mut events = answered(context.admin().await?.login(request).await)?;
    while let Some(event) = events.message().await.map_err(|status| Fault::from_status(&status))? {
        // An event of a newer daemon that this program does not know asks for nothing.
        let Some(step) = event.event.map(Step::from) else { continue };
        context.output.show(&step);
        match step {
            Step::OpenUrl { url } if !args.no_browser => open_browser(&url),
            Step::SignedIn { account } => return Ok(*account),
            _ => {}
        }
    }
    let message = "the daemon ended the sign-in without a result";
    Err(Fault::new(Kind::Internal, "sign_in_incomplete", message, "Try again; `m365-cachectl login --device` needs no browser here."))
}

impl From<Event> for Step {
    fn from(event: Event) -> Self {
        match event {
            Event::OpenUrl(OpenUrl { url }) => Self::OpenUrl { url },
            Event::DeviceCode(DeviceCode { user_code, verification_uri, message, expires_in_s }) => {
                Self::DeviceCode { user_code, verification_uri, message, expires_in_s }
            }
            Event::SignedIn(account) => Self::from(account),
        }
    }
}

impl From<Account> for Step {
    fn from(account: Account) -> Self {
        Self::SignedIn { account: Box::new(account.into()) }
    }
}

impl View for Step {
    fn text(&self, paint: Paint) -> String {
        match self {
            Self::OpenUrl { url } => format!("{OPEN}\n  {url}\nwaiting …\n"),
            Self::DeviceCode { user_code, verification_uri, expires_in_s, .. } => {
                let (code, minutes) = (paint.strong(user_code), expires_in_s / 60);
                format!("open {verification_uri} on any device and enter the code {code} within {minutes} minutes\nwaiting …\n")
            }
            Self::SignedIn { account } => {
                let done = format!("{} {} ({})\n", paint.good("signed in"), account.username, account.account_type.replace('_', "/"));
                account.lacks().iter().fold(done, |text, lack| text + &lack.text(paint))
            }
        }
    }
}

/// Opens the person's browser where there is one; the printed address is the way that always works.
fn open_browser(url: &str) {
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return;
    }
    let Some((program, args)) = opener() else { return };
    let mut command = Command::new(program);
    command.args(args).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Without an opener the address has been printed.
    if let Ok(mut child) = command.spawn() {
        std::thread::spawn(move || child.wait());
    }
}

fn opener() -> Option<(&'static str, &'static [&'static str])> {
    if cfg!(target_os = "macos") {
        return Some(("open", &[]));
    }
    if cfg!(windows) {
        return Some(("rundll32", &["url.dll,FileProtocolHandler"]));
    }
    // Without a display `xdg-open` would start a browser for terminals, on a terminal it does not have.
    let display = ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].iter().any(|name| std::env::var_os(name).is_some());
    display.then_some(("xdg-open", &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_reads_well_both_ways() {
        let account = crate::commands::accounts::tests::two().remove(0);
        let steps = [
            Step::from(Event::OpenUrl(OpenUrl { url: "https://login.example/x".into() })),
            Step::from(Event::DeviceCode(DeviceCode {
                user_code: "ABC-123".into(),
                verification_uri: "https://login.example/device".into(),
                message: "To sign in …".into(),
                expires_in_s: 900,
            })),
            Step::from(Event::SignedIn(account)),
        ];
        let text: String = steps.iter().map(|step| step.text(Paint::OFF)).collect();
        let json: String = steps.iter().map(|step| serde_json::to_string(step).unwrap() + "\n").collect();
        insta::assert_snapshot!("login_text", text);
        insta::assert_snapshot!("login_json", json);
    }
}
