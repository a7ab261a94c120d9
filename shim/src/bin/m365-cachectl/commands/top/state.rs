//! What the person has pressed: which table, how it is sorted and scrolled, whether the picture stands still. Pure: keys and looks in.

use super::source::Look;
use super::watch::Watch;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    /// Out of the help, or out of the program.
    Back,
    Hold,
    Help,
    Sort,
    Next,
    Previous,
    Up(usize),
    Down(usize),
}

/// Whether that was the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    Yes,
    No,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Calls,
    Clients,
    Accounts,
}

impl Table {
    /// In the order of Tab.
    pub(super) const ALL: [Self; 3] = [Self::Calls, Self::Clients, Self::Accounts];

    /// Its name, and how it may be sorted: the first is how it begins.
    pub(super) fn words(self) -> (&'static str, [&'static str; 2]) {
        match self {
            Self::Calls => ("calls", ["newest first", "slowest first"]),
            Self::Clients => ("clients", ["oldest first", "busiest first"]),
            Self::Accounts => ("accounts", ["by name", "busiest first"]),
        }
    }

    fn place(self) -> usize {
        self as usize
    }
}

/// Everything a picture is drawn from.
pub(super) struct State {
    live: Watch,
    /// What is shown while the picture stands still.
    held: Option<Watch>,
    pub(super) table: Table,
    pub(super) help: bool,
    pub(super) coloured: bool,
    /// By table.
    second_order: [bool; 3],
    scrolled: [usize; 3],
}

impl State {
    pub(super) fn new(live: Watch, coloured: bool) -> Self {
        Self { live, held: None, table: Table::Calls, help: false, coloured, second_order: [false; 3], scrolled: [0; 3] }
    }

    /// Takes in a look, also while the picture stands still.
    pub(super) fn look(&mut self, look: Look) {
        self.live.take(look);
    }

    /// Takes in a key.
    pub(super) fn key(&mut self, key: Key) -> Done {
        let (tables, place) = (Table::ALL.len(), self.table.place());
        let last = self.rows(place).saturating_sub(1);
        let scrolled = &mut self.scrolled[place];
        match key {
            Key::Quit => return Done::Yes,
            Key::Back if !self.help => return Done::Yes,
            Key::Back => self.help = false,
            Key::Help => self.help = !self.help,
            Key::Hold => self.held = if self.held.is_some() { None } else { Some(self.live.clone()) },
            Key::Sort => {
                self.second_order[place] = !self.second_order[place];
                *scrolled = 0;
            }
            Key::Next => self.table = Table::ALL[(place + 1) % tables],
            Key::Previous => self.table = Table::ALL[(place + tables - 1) % tables],
            Key::Up(by) => *scrolled = scrolled.saturating_sub(by),
            Key::Down(by) => *scrolled = scrolled.saturating_add(by).min(last),
        }
        Done::No
    }

    /// What is shown.
    pub(super) fn watch(&self) -> &Watch {
        self.held.as_ref().unwrap_or(&self.live)
    }

    /// Whether the picture stands still.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether a table is in its second order.
    pub(super) fn in_second_order(&self, table: Table) -> bool {
        self.second_order[table.place()]
    }

    /// The first row of a table that is shown.
    pub(super) fn first_row(&self, table: Table) -> usize {
        self.scrolled[table.place()]
    }

    fn rows(&self, place: usize) -> usize {
        let watch = self.watch();
        match Table::ALL[place] {
            Table::Calls => watch.calls().count(),
            Table::Clients => watch.reply().map_or(0, |reply| reply.clients.len()),
            Table::Accounts => watch.reply().map_or(0, |reply| reply.accounts.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::watch::tests::{look, reply};
    use super::*;

    #[test]
    fn keys_do_what_the_help_says() {
        let mut state = State::new(Watch::default(), false);
        assert_eq!(state.key(Key::Next), Done::No);
        assert_eq!(state.table, Table::Clients);
        state.key(Key::Previous);
        state.key(Key::Previous);
        assert_eq!(state.table, Table::Accounts);
        state.key(Key::Sort);
        assert!(state.in_second_order(Table::Accounts) && !state.in_second_order(Table::Calls));
        state.key(Key::Help);
        assert_eq!((state.key(Key::Back), state.help), (Done::No, false), "out of the help");
        assert_eq!(state.key(Key::Back), Done::Yes);
        assert_eq!(state.key(Key::Quit), Done::Yes);
    }

    #[test]
    fn a_picture_that_stands_still_misses_nothing() {
        let mut state = State::new(Watch::default(), false);
        state.look(look(0, reply("a", 1, 0)));
        state.key(Key::Hold);
        state.look(look(1, reply("a", 2, 0)));
        state.look(look(2, reply("a", 3, 0)));
        assert_eq!((state.watch().calls().count(), state.is_held()), (1, true));
        state.key(Key::Hold);
        assert_eq!((state.watch().calls().count(), state.watch().moments().len(), state.is_held()), (3, 2, false));
    }

    #[test]
    fn scrolling_ends_at_the_last_row() {
        let mut state = State::new(Watch::default(), false);
        state.key(Key::Down(5));
        assert_eq!(state.first_row(Table::Calls), 0, "there is none");
        for second in 0..3 {
            state.look(look(second, reply("a", second, 0)));
        }
        state.key(Key::Down(10));
        assert_eq!(state.first_row(Table::Calls), 2);
        state.key(Key::Next);
        state.key(Key::Up(1));
        assert_eq!((state.first_row(Table::Calls), state.first_row(Table::Clients)), (2, 0), "each table by itself");
        state.key(Key::Previous);
        state.key(Key::Up(usize::MAX));
        assert_eq!(state.first_row(Table::Calls), 0);
    }
}
