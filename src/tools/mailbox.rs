//! Whose mailbox a path begins with: the account's own, or another one it has rights in.

use super::Args;

/// `/me/…`, or `/users/{mailbox}/…` when the call names one.
pub(super) fn at<'a>(args: &'a Args, below: &[&'a str]) -> Vec<&'a str> {
    let root: &[&str] = match args.text("mailbox") {
        Some(mailbox) => &["users", mailbox],
        None => &["me"],
    };
    [root, below].concat()
}
