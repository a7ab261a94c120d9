//! The tables: the last calls, the clients, the accounts with their budget of requests.

use std::cmp::Reverse;

use m365_cached_proto::v1::{Account, Client, Lane, RecentCall, StatusReply};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Row, Table as Grid};

use super::draw::{Ink, strong};
use super::state::{State, Table};
use super::watch::ENDS;
use crate::commands::stats::time;
use crate::output::seconds;

/// Letters of an account's id that are shown, when they tell it from the others.
const ID: usize = 8;

/// Draws a table into `area`.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, table: Table, ink: Ink) {
    let (head, widths, rows): (&[&str], &[Constraint], Vec<Row<'static>>) = match table {
        Table::Calls => (&["ago", "tool", "account", "client", "end", "took"], &CALLS, calls(state, ink)),
        Table::Clients => (&["client", "version", "protocol", "tools", "since", "calls", "now"], &CLIENTS, clients(state)),
        Table::Accounts => (&["account", "name", "state", "requests now", "wait", "held back"], &ACCOUNTS, accounts(state, ink)),
    };
    let shown = rows.into_iter().skip(state.first_row(table));
    let order = usize::from(state.in_second_order(table));
    let mut title = Line::default();
    for each in Table::ALL {
        let (name, orders) = each.words();
        if each == table {
            title.push_span(Span::styled(format!(" {name}"), if state.table == table { strong() } else { Style::new() }));
            title.push_span(Span::raw(format!(", {} ", orders[order])));
        } else if state.table == table && area.height < frame.area().height / 2 + 2 {
            title.push_span(Span::styled(format!(" {name} "), ink.quiet()));
        }
    }
    let grid = Grid::new(shown, widths.iter().copied()).header(Row::new(head.to_vec()).style(ink.quiet())).column_spacing(1);
    frame.render_widget(grid.block(Block::bordered().title(title)), area);
}

const CALLS: [Constraint; 6] =
    [Constraint::Length(6), Constraint::Fill(3), Constraint::Length(9), Constraint::Fill(2), Constraint::Fill(2), Constraint::Length(8)];

/// The last calls.
fn calls(state: &State, ink: Ink) -> Vec<Row<'static>> {
    let watch = state.watch();
    let mut calls: Vec<&RecentCall> = watch.calls().collect();
    if state.in_second_order(Table::Calls) {
        calls.sort_by_key(|call| Reverse(call.took_us));
    }
    let now = watch.reply().and_then(|reply| reply.activity.as_ref()).map_or(0, |activity| activity.now_ms);
    let names = Names::of(watch.reply());
    let row = |call: &RecentCall| {
        let end = ENDS.iter().find(|(word, _)| *word == call.status).map_or(call.status.as_str(), |(_, name)| name);
        let end = if call.code.is_empty() { end.to_owned() } else { call.code.clone() };
        Row::new([
            Cell::new(ago(now.saturating_sub(call.at_ms))),
            Cell::new(call.tool.clone()),
            Cell::new(names.short(&call.account)),
            Cell::new(call.client.clone()),
            Cell::new(end).style(ink.of(&call.status)),
            Cell::new(time(Some(call.took_us))),
        ])
    };
    calls.into_iter().map(row).collect()
}

const CLIENTS: [Constraint; 7] = [
    Constraint::Fill(3),
    Constraint::Fill(1),
    Constraint::Length(10),
    Constraint::Length(9),
    Constraint::Length(12),
    Constraint::Length(6),
    Constraint::Length(3),
];

/// Who is connected.
fn clients(state: &State) -> Vec<Row<'static>> {
    let Some(reply) = state.watch().reply() else { return Vec::new() };
    let mut clients: Vec<&Client> = reply.clients.iter().collect();
    clients.sort_by_key(|client| client.session);
    if state.in_second_order(Table::Clients) {
        clients.sort_by_key(|client| Reverse(client.calls));
    }
    let now = reply.activity.as_ref().map(|activity| activity.now_ms);
    let row = |client: &Client| {
        let name = if client.name.is_empty() { format!("pid {}", client.pid) } else { client.name.clone() };
        let since = now.map_or_else(|| "-".to_owned(), |now| seconds(now.saturating_sub(client.connected_ms) / 1000));
        let under_way = client.under_way.map_or_else(|| "-".to_owned(), |count| count.to_string());
        Row::new([name, client.version.clone(), client.protocol.clone(), client.tools.clone(), since, client.calls.to_string(), under_way])
    };
    clients.into_iter().map(row).collect()
}

const ACCOUNTS: [Constraint; 6] = [
    Constraint::Length(9),
    Constraint::Fill(2),
    Constraint::Length(10),
    Constraint::Length(13),
    Constraint::Length(5),
    Constraint::Length(10),
];

/// The budget of requests to Microsoft, by account; what shared mailboxes take comes last.
fn accounts(state: &State, ink: Ink) -> Vec<Row<'static>> {
    let Some(reply) = state.watch().reply() else { return Vec::new() };
    let names = Names::of(Some(reply));
    let (lanes, places): (&[Lane], u32) = reply.graph.as_ref().map_or((&[], 0), |graph| (&graph.lanes, graph.per_mailbox));
    let lane = |account: &Account| lanes.iter().find(|lane| lane.account == account.id).cloned().unwrap_or_default();
    let mut rows: Vec<(Option<&Account>, Lane)> = reply.accounts.iter().map(|account| (Some(account), lane(account))).collect();
    rows.sort_by(|(one, _), (other, _)| one.map(|account| &account.username).cmp(&other.map(|account| &account.username)));
    rows.extend(lanes.iter().filter(|lane| lane.account.is_empty()).map(|lane| (None, lane.clone())));
    if state.in_second_order(Table::Accounts) {
        rows.sort_by_key(|(_, lane)| Reverse((lane.used + lane.waiting, lane.paused_ms)));
    }
    let row = |(account, lane): (Option<&Account>, Lane)| {
        let signed_in = account.is_none_or(|account| account.state == "signed_in");
        let used = "■".repeat(usize::try_from(lane.used).unwrap_or(0).min(8));
        let free = "□".repeat(usize::try_from(places.saturating_sub(lane.used)).unwrap_or(0).min(8));
        let budget = if places == 0 { "-".to_owned() } else { format!("{used}{free} {}/{places}", lane.used) };
        let waiting = if lane.waiting == 0 { String::new() } else { lane.waiting.to_string() };
        let paused = if lane.paused_ms == 0 { String::new() } else { seconds(lane.paused_ms.div_ceil(1000)) };
        Row::new([
            Cell::new(account.map_or_else(|| "shared".to_owned(), |account| names.short(&account.id))),
            Cell::new(account.map(|account| account.username.clone()).unwrap_or_default()),
            Cell::new(if signed_in { "signed in" } else { "sign in!" }).style(if signed_in { ink.good() } else { ink.bad() }),
            Cell::new(budget).style(if lane.used > 0 { ink.warn() } else { ink.quiet() }),
            Cell::new(waiting),
            Cell::new(paused).style(ink.bad()),
        ])
    };
    rows.into_iter().map(row).collect()
}

/// Short names of accounts: as much of an id as tells it from the others.
struct Names {
    /// How many letters of its beginning; `None` when only the whole does.
    length: Option<usize>,
}

impl Names {
    fn of(reply: Option<&StatusReply>) -> Self {
        let ids: Vec<&str> = reply.iter().flat_map(|reply| &reply.accounts).map(|account| account.id.as_str()).collect();
        let distinct = |length: &usize| {
            let mut heads: Vec<&str> = ids.iter().map(|id| head(id, *length)).collect();
            heads.sort_unstable();
            heads.dedup();
            heads.len() == ids.len()
        };
        Self { length: (ID..=ID + 1).find(distinct) }
    }

    /// The short name of the account with this id; nothing for none.
    fn short(&self, id: &str) -> String {
        match self.length {
            Some(length) => head(id, length).to_owned(),
            // Ids that begin alike differ at the end of their first part.
            None => {
                let part = id.split('.').next().unwrap_or_default();
                let from = part.char_indices().rev().nth(ID - 1).map_or(0, |(at, _)| at);
                part[from..].to_owned()
            }
        }
    }
}

fn head(id: &str, length: usize) -> &str {
    id.char_indices().nth(length).map_or(id, |(at, _)| &id[..at])
}

/// How long ago, in six letters.
fn ago(millis: u64) -> String {
    match millis / 1000 {
        0 => "now".to_owned(),
        second @ 1..60 => format!("{second} s"),
        second @ 60..3600 => format!("{} min", second / 60),
        second => format!("{} h", second / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_short_as_they_can_be() {
        let of = |ids: &[&str]| {
            let accounts = ids.iter().map(|id| Account { id: (*id).to_owned(), ..Account::default() }).collect();
            Names::of(Some(&StatusReply { accounts, ..StatusReply::default() }))
        };
        assert_eq!(of(&["11111111-aaaa.t", "22222222-bbbb.t"]).short("11111111-aaaa.t"), "11111111");
        assert_eq!(of(&["00000000-0000-0000-0a0b.t", "00000000-0000-0000-0c0d.t"]).short("00000000-0000-0000-0a0b.t"), "000-0a0b");
        assert_eq!(of(&[]).short(""), "");
    }

    #[test]
    fn times_ago_are_short() {
        assert_eq!([999, 1_000, 59_999, 60_000, 7_200_000].map(ago), ["now", "1 s", "59 s", "1 min", "2 h"]);
    }
}
