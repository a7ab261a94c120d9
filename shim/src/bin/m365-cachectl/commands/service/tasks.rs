//! Windows: a task of this user that runs at logon. Its texts are tested, and it has never been run on Windows.
//!
//! Decision: no service of the service control manager. Such a service needs an administrator, and runs as an account that has neither this user's keys
//! nor files; the daemon belongs to one user, and so does a task. A pipe cannot be kept by anybody but its daemon, so there is no socket to hand over.

use super::manager::{Call, Facts, Known, Manager};

/// How the scheduler is spoken to.
pub(super) fn manager(facts: &Facts) -> Manager {
    let call = |words: &[&str]| Call::new(&[&["schtasks"], words].concat());
    let words: Vec<String> = facts.words().into_iter().map(|word| format!("\"{word}\"")).collect();
    let line = words.join(" ");
    let name = facts.name.as_str();
    let run = call(&["/Run", "/TN", name]);
    Manager {
        kind: "task scheduler",
        name: name.to_owned(),
        files: Vec::new(),
        hiding: Vec::new(),
        optional: Vec::new(),
        ask: call(&["/Query", "/FO", "LIST"]),
        begin: vec![call(&["/Create", "/TN", name, "/TR", &line, "/SC", "ONLOGON", "/RL", "LIMITED", "/F"]), run.clone()],
        halt: vec![call(&["/End", "/TN", name])],
        resume: vec![run],
        end: vec![call(&["/End", "/TN", name]), call(&["/Delete", "/TN", name, "/F"])],
        release: Vec::new(),
        forget: Vec::new(),
        unconfinable: None,
        state: vec![call(&["/Query", "/TN", name, "/FO", "CSV", "/NH"])],
        read,
        journal: None,
    }
}

/// `"\m365-cached","N/A","Running"`: the words are the system's language, so that only English ones tell whether it runs.
fn read(said: &[String]) -> Known {
    let text = said.first().map(|text| text.trim()).unwrap_or_default();
    Known { enabled: !text.is_empty(), running: text.ends_with("\"Running\""), ..Known::default() }
}

#[cfg(test)]
mod tests {
    use super::super::manager::facts;
    use super::*;

    #[test]
    fn the_task_starts_this_program_for_this_profile() {
        let manager = manager(&facts(Some(r"C:\Users\ada\Mail")));
        let create = &manager.begin[0].0;
        assert_eq!(create[5], r#""/opt/my apps/100%/m365-cached" "--profile" "C:\Users\ada\Mail""#);
        assert!(create.windows(2).any(|two| two == ["/RL", "LIMITED"]), "without an administrator's rights");
        let known = Known { enabled: true, running: true, ..Known::default() };
        assert_eq!(read(&["\"\\m365-cached\",\"N/A\",\"Running\"\r\n".into()]), known);
        assert_eq!(read(&[String::new()]), Known::default());
    }
}
