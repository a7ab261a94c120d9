//! What the agents do and what others do meanwhile. All chance comes from one seed.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// splitmix64: the same day on every machine.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or_default()
    }

    /// One of `from..=to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(usize::try_from(to - from + 1).unwrap_or(1))).unwrap_or_default()
    }

    pub(super) fn of_ten(&mut self, so_many: usize) -> bool {
        self.below(10) < so_many
    }

    /// The first ones most often: each next one two thirds as often.
    pub(super) fn popular(&mut self, bound: usize) -> usize {
        let mut at = 0;
        while at + 1 < bound && self.below(3) > 0 && self.of_ten(6) {
            at += 1;
        }
        at
    }
}

/// One thing an agent does; what it is about is known only from earlier answers.
#[derive(Debug, Clone)]
pub(super) enum Move {
    /// A read that needs no id.
    Ask(&'static str, Value),
    /// A read of, or a write to, the item of this number of the list that was last seen under this name; its id goes into this argument.
    Of { tool: &'static str, argument: &'static str, list: &'static str, number: usize, more: Value },
    /// A search for one of the things the day is about.
    Search(&'static str, Value),
    /// The same as so many questions ago.
    Again(usize),
}

/// How an agent asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// For whom, by number of the account; the first most often.
    pub(super) accounts: &'static [usize],
    /// What it gives as limit of mail lists; `None` leaves it at the default.
    mail_limit: Option<u64>,
    /// Whether it wants bodies in lists.
    bodies: bool,
    /// What it gives as limit of searches.
    search_limit: Option<u64>,
    /// How often it does what, out of ten: mail, calendar, files, people; the rest is search.
    does: [usize; 4],
}

/// The assistant in the chat; the one that prepares meetings; the one in the editor; the team's, who works for three accounts.
pub(super) const AGENTS: [Style; 4] = [
    Style { accounts: &[0], mail_limit: None, bodies: true, search_limit: None, does: [5, 2, 1, 1] },
    Style { accounts: &[0], mail_limit: Some(5), bodies: true, search_limit: Some(10), does: [2, 4, 1, 1] },
    Style { accounts: &[0], mail_limit: Some(25), bodies: true, search_limit: Some(20), does: [2, 1, 4, 1] },
    Style { accounts: &[1, 0, 2], mail_limit: None, bodies: true, search_limit: None, does: [5, 2, 1, 1] },
];

fn list(style: Style) -> Move {
    let mut args = json!({});
    if let Some(limit) = style.mail_limit {
        args["limit"] = limit.into();
    }
    if !style.bodies {
        args["include_body"] = false.into();
    }
    Move::Ask("email_list", args)
}

fn search(style: Style, tool: &'static str) -> Move {
    Move::Search(tool, style.search_limit.map_or(json!({}), |limit| json!({ "limit": limit })))
}

fn of(tool: &'static str, argument: &'static str, list: &'static str, number: usize) -> Move {
    Move::Of { tool, argument, list, number, more: json!({}) }
}

fn get_mail(chance: &mut Chance) -> Move {
    of("email_get", "email_id", "messages", chance.popular(8))
}

/// A conversation. The day begins with a look at everything.
pub(super) fn conversation(style: Style, first: bool, chance: &mut Chance) -> VecDeque<Move> {
    let mut moves = Vec::new();
    if first {
        moves.extend([
            Move::Ask("account_list", json!({})),
            Move::Ask("calendar_list_events", json!({ "days_ahead": 1 })),
            list(style),
            Move::Ask("emailfolders_list", json!({})),
            Move::Ask("emailfolders_get_tree", json!({})),
            Move::Ask("contact_list", json!({})),
            Move::Ask("folder_get_tree", json!({})),
        ]);
    }
    let turns = chance.between(1, 3);
    for _ in 0..turns {
        let [mail, calendar, files, people] = style.does;
        let kind = chance.below(10);
        if kind < mail {
            mail_turn(style, chance, &mut moves);
        } else if kind < mail + calendar {
            calendar_turn(style, chance, &mut moves);
        } else if kind < mail + calendar + files {
            files_turn(style, chance, &mut moves);
        } else if kind < mail + calendar + files + people {
            moves.push(Move::Ask("contact_list", json!({})));
            moves.push(of("contact_get", "contact_id", "contacts", chance.popular(20)));
            if chance.of_ten(3) {
                moves.push(search(style, "search_contacts"));
            }
        } else {
            moves.push(search(style, "search_emails"));
            moves.push(get_mail(chance));
            moves.push(search(style, "search_unified"));
        }
    }
    if chance.of_ten(3) {
        let back = 1 + chance.below(moves.len());
        moves.push(Move::Again(back));
    }
    moves.into()
}

/// List, get some, act on one, list again.
fn mail_turn(style: Style, chance: &mut Chance, moves: &mut Vec<Move>) {
    moves.push(list(style));
    for _ in 0..chance.between(1, 4) {
        moves.push(get_mail(chance));
    }
    let number = chance.popular(6);
    match chance.below(10) {
        0..=2 => {
            moves.push(of("email_mark_read", "email_id", "messages", number));
            moves.push(list(style));
        }
        3 => {
            let more = json!({ "destination_folder": "archive" });
            moves.push(Move::Of { tool: "email_move", argument: "email_id", list: "messages", number, more });
            moves.push(list(style));
            moves.push(Move::Ask("emailfolders_list", json!({})));
        }
        4 => {
            let more = json!({ "body": "Thank you, I will look at it.", "confirm": true });
            moves.push(Move::Of { tool: "email_reply", argument: "email_id", list: "messages", number, more });
            moves.push(Move::Ask("email_list", json!({ "folder": "sent" })));
        }
        5 => {
            moves.push(Move::Ask("emailfolders_list", json!({})));
            moves.push(of("emailfolders_get", "folder_id", "folders", chance.popular(6)));
        }
        6 => moves.push(search(style, "search_emails")),
        _ => {}
    }
}

fn calendar_turn(style: Style, chance: &mut Chance, moves: &mut Vec<Move>) {
    let today = chance.of_ten(6);
    let view = if today { json!({ "days_ahead": 1 }) } else { json!({}) };
    moves.push(Move::Ask("calendar_list_events", view.clone()));
    for _ in 0..chance.between(0, 2) {
        moves.push(of("calendar_get_event", "event_id", "events", chance.popular(5)));
    }
    match chance.below(10) {
        0..=1 => {
            // Next week, with nobody invited, so that nobody is asked.
            let (day, hour) = (chance.between(23, 27), chance.between(8, 17));
            let (start, end) = (format!("2026-11-{day:02}T{hour:02}:00"), format!("2026-11-{day:02}T{hour:02}:30"));
            moves.push(Move::Ask("calendar_create_event", json!({ "subject": "Time to think", "start": start, "end": end })));
            moves.push(Move::Ask("calendar_list_events", view));
        }
        2..=4 => {
            moves.push(search(style, "search_emails"));
            moves.push(get_mail(chance));
        }
        5 => moves.push(search(style, "search_files")),
        _ => {}
    }
}

fn files_turn(style: Style, chance: &mut Chance, moves: &mut Vec<Move>) {
    if chance.of_ten(4) {
        moves.push(Move::Ask("folder_get_tree", json!({})));
    }
    moves.push(Move::Ask("file_list", json!({})));
    moves.push(of("file_list", "folder_id", "folders_seen", chance.popular(6)));
    match chance.below(10) {
        0..=4 => moves.push(search(style, "search_files")),
        5 => {
            moves.push(Move::Ask("folder_create", json!({ "name": "Notes" })));
            moves.push(Move::Ask("file_list", json!({})));
        }
        6 => moves.push(of("file_list", "folder_id", "folders_seen", chance.popular(6))),
        _ => {}
    }
}

/// What other people and other programs do in a day, by account: its verb and how often in nine hours.
const OTHERS: [(usize, &[(&str, usize)]); 3] = [
    (0, &[("new_message", 117), ("read", 50), ("delete", 12), ("new_event", 5), ("update_event", 3), ("new_file", 14), ("write_file", 6)]),
    (1, &[("new_message", 80), ("read", 35), ("delete", 8), ("new_event", 4), ("update_event", 2), ("new_file", 6)]),
    (2, &[("new_message", 20), ("read", 10), ("new_event", 1), ("new_file", 2)]),
];

/// One thing others do; which item it is about is known only then.
#[derive(Debug, Clone)]
pub(super) struct Deed {
    /// Milliseconds after the day's beginning.
    pub(super) at: i64,
    pub(super) account: usize,
    pub(super) verb: &'static str,
    /// Chooses among the items, and words.
    pub(super) lot: usize,
}

/// All that others do within `length` milliseconds, in order.
pub(super) fn deeds(seed: u64, length: i64) -> Vec<Deed> {
    let mut chance = Chance::new(seed, 99);
    let whole = 9 * 3_600_000;
    let mut deeds = Vec::new();
    for (account, verbs) in OTHERS {
        for (verb, often) in verbs {
            for _ in 0..*often {
                // The earlier of two moments in four cases of ten: mornings are busier.
                let (one, other) = (chance.between(0, whole - 1), chance.between(0, whole - 1));
                let at = if chance.of_ten(4) { one.min(other) } else { one };
                let lot = chance.below(1 << 20);
                if at < length {
                    deeds.push(Deed { at, account, verb, lot });
                }
            }
        }
    }
    deeds.sort_by_key(|deed| deed.at);
    deeds
}
