//! Asking before something is done that no other command takes back. One way for every verb that asks of itself: a person at a terminal is asked, `--yes` has
//! agreed beforehand, and where neither is there nothing is done, which is what the error says first. (What `call` asks comes from the daemon, with its error.)

use m365_cached_proto::v1::{Fault, Kind};

use crate::context::Context;

/// The code of what nobody was there to agree to.
pub(crate) const UNCONFIRMED: &str = "confirmation_required";
/// The code of what a person said no to.
pub(crate) const DECLINED: &str = "declined";

/// Whether it may be done; `question` says what it is that is done.
///
/// # Errors
/// [`DECLINED`], and [`UNCONFIRMED`] where nobody is there to ask.
pub(crate) fn agreed(context: &Context, yes: bool, question: &str) -> Result<(), Fault> {
    verdict(yes.then_some(true).or_else(|| context.output.ask(question)), question)
}

fn verdict(answer: Option<bool>, question: &str) -> Result<(), Fault> {
    match answer {
        Some(true) => Ok(()),
        Some(false) => Err(declined()),
        None => {
            let question = question.trim_end_matches('.');
            let message = format!("nothing of this was done: it has to be agreed to, and there is no terminal to ask on: {question}");
            Err(Fault::new(Kind::User, UNCONFIRMED, message, "`--yes` agrees without a question."))
        }
    }
}

/// What a no comes to.
pub(crate) fn declined() -> Fault {
    Fault::new(Kind::User, DECLINED, "nothing was done", "Run it again and answer `y`, or with `--yes`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_agreed_to_is_not_told_as_done() {
        assert!(verdict(Some(true), "It goes.").is_ok());
        let no = verdict(Some(false), "It goes.").unwrap_err();
        assert_eq!((no.code.as_str(), no.message.as_str(), no.exit_code()), (DECLINED, "nothing was done", 2));
        let nobody = verdict(None, "It goes.").unwrap_err();
        assert_eq!((nobody.code.as_str(), nobody.exit_code()), (UNCONFIRMED, 2));
        assert!(nobody.message.starts_with("nothing of this was done: ") && nobody.message.ends_with(": It goes"), "{}", nobody.message);
        assert!(nobody.hint.contains("--yes"));
    }
}
