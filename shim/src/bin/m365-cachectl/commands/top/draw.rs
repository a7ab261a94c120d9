//! The picture, on a screen of any size: whole from 60x18 on, some lines of text below that.

use std::fmt::Write as _;

use m365_cached_proto::v1::StatusReply;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Sparkline};

use super::panels;
use super::state::{State, Table};
use super::watch::{ENDS, Moment, Times};
use crate::commands::stats::time;
use crate::output::{counted, seconds};

/// The smallest screen that has room for the whole picture.
const WHOLE: (u16, u16) = (60, 18);
/// From so many lines on, all tables stand below one another.
const TALL: u16 = 36;
/// Where the bars of times begin and end, in microseconds, with their names.
const BARS: [(u64, u64, &str); 7] = [
    (0, 128, "< 0.1 ms"),
    (128, 1_024, "< 1 ms"),
    (1_024, 10_240, "< 10 ms"),
    (10_240, 98_304, "< 0.1 s"),
    (98_304, 1_048_576, "< 1 s"),
    (1_048_576, 10_485_760, "< 10 s"),
    (10_485_760, u64::MAX, "longer"),
];
/// What the keys do.
const KEYS: [(&str, &str); 8] = [
    ("q  Ctrl-C", "end"),
    ("space", "hold the picture, and go on"),
    ("Tab  ← →", "the next table"),
    ("s", "sort it otherwise"),
    ("↑ ↓  PgUp PgDn", "scroll it"),
    ("?", "these words"),
    ("", ""),
    ("", "no content of any call is shown here"),
];

/// Colours, or none.
#[derive(Clone, Copy)]
pub(super) struct Ink(bool);

impl Ink {
    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn warn(self) -> Style {
        self.colour(Color::Yellow)
    }

    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red)
    }

    pub(super) fn quiet(self) -> Style {
        self.colour(Color::DarkGray)
    }

    fn colour(self, colour: Color) -> Style {
        if self.0 { Style::new().fg(colour) } else { Style::new() }
    }

    /// How a call's end is shown.
    pub(super) fn of(self, end: &str) -> Style {
        match end {
            "fresh" | "done" => self.good(),
            "error" => self.bad(),
            _ => self.warn(),
        }
    }
}

/// Bold letters, which every terminal has.
pub(super) fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let (area, ink) = (frame.area(), Ink(state.coloured));
    if area.width < WHOLE.0 || area.height < WHOLE.1 {
        frame.render_widget(Paragraph::new(few_lines(state)), area);
    } else {
        whole(frame, state, ink);
    }
    if state.help {
        help(frame, ink);
    }
}

/// What a small screen has room for, the most important first.
fn few_lines(state: &State) -> Vec<Line<'static>> {
    let (watch, now) = (state.watch(), state.watch().now());
    let mut lines = vec![Line::styled(watch.trouble().map_or_else(|| word(watch.reply()), |_| "no daemon".to_owned()), strong())];
    lines.push(Line::raw(format!("{} calls/s", total(&now))));
    lines.push(Line::raw(format!("{} hits", share(&now))));
    if let Some(reply) = watch.reply() {
        lines.push(Line::raw(counted(reply.clients.len() as u64, "client")));
    }
    lines.push(Line::raw("q ends it"));
    lines
}

fn whole(frame: &mut Frame<'_>, state: &State, ink: Ink) {
    let area = frame.area();
    let charts = u16::try_from(ENDS.len() + 2).unwrap_or(10);
    let rows = [Constraint::Length(1), Constraint::Length(1), Constraint::Length(charts), Constraint::Min(3), Constraint::Length(1)];
    let [head, microsoft, charts, tables, keys] = Layout::vertical(rows).areas(area);
    let [calls, hits, times] = Layout::horizontal([Constraint::Length(27), Constraint::Fill(2), Constraint::Fill(3)]).areas(charts);
    frame.render_widget(title(state, ink), head);
    frame.render_widget(Line::styled(link(state.watch().reply()), ink.quiet()), microsoft);
    rates(frame, calls, &state.watch().now(), ink);
    curve(frame, hits, state, ink);
    bars(frame, times, &state.watch().while_ago(), ink);
    if area.height >= TALL {
        let least = |rows: usize| Constraint::Length(u16::try_from(rows.clamp(1, 8)).unwrap_or(8) + 3);
        let counted = |count: fn(&StatusReply) -> usize| state.watch().reply().map_or(0, count);
        let (clients, accounts) = (counted(|reply| reply.clients.len()), counted(|reply| reply.accounts.len()));
        let [calls, clients, accounts] = Layout::vertical([Constraint::Min(6), least(clients), least(accounts)]).areas(tables);
        for (table, area) in Table::ALL.into_iter().zip([calls, clients, accounts]) {
            panels::draw(frame, area, state, table, ink);
        }
    } else {
        panels::draw(frame, tables, state, state.table, ink);
    }
    frame.render_widget(Line::styled(" q end  space hold  Tab table  s sort  ↑↓ scroll  ? help", ink.quiet()), keys);
}

/// The first line: how the daemon is.
fn title(state: &State, ink: Ink) -> Line<'static> {
    let watch = state.watch();
    let mut line = Line::from(vec![Span::styled(" m365-cached ", strong())]);
    let style = match watch.reply().map(|reply| reply.state.as_str()) {
        Some("ready") => ink.good(),
        _ => ink.warn(),
    };
    match (watch.trouble(), watch.reply()) {
        (Some(trouble), _) => line.push_span(Span::styled(format!("waiting: {trouble}"), ink.bad())),
        (None, None) => line.push_span(Span::styled("looking", ink.quiet())),
        (None, Some(reply)) => {
            line.push_span(Span::raw(format!("{} ", reply.version)));
            line.push_span(Span::styled(word(Some(reply)), style));
            line.push_span(Span::raw(format!(", up {}", seconds(reply.uptime_s))));
            if state.is_held() {
                line.push_span(Span::styled("  HELD", strong()));
            }
            if let Some(words) = notable(reply) {
                line.push_span(Span::styled(format!("  {words}"), ink.warn()));
            }
        }
    }
    line
}

/// What a person should do something about, the first of it.
fn notable(reply: &StatusReply) -> Option<String> {
    if reply.activity.is_none() {
        return Some("older: `m365-cachectl restart`".into());
    }
    if reply.paused.is_some() {
        return Some("paused: `m365-cachectl resume`".into());
    }
    match reply.warnings.len() {
        0 => None,
        1 => Some("1 warning: `m365-cachectl status`".into()),
        count => Some(format!("{}: `m365-cachectl status`", counted(count as u64, "warning"))),
    }
}

/// The state in a word.
fn word(reply: Option<&StatusReply>) -> String {
    reply.map_or_else(|| "looking".to_owned(), |reply| reply.state.clone())
}

/// The second line: what it does in the background.
fn link(reply: Option<&StatusReply>) -> String {
    let Some(reply) = reply else { return String::new() };
    let mut text = String::new();
    if let Some(graph) = reply.graph.as_ref().filter(|graph| !graph.breaker.is_empty()) {
        let _ = write!(text, " Microsoft: {} under way, {} waiting, breaker {}", graph.in_flight, graph.waiting, graph.breaker);
    }
    if let Some(queue) = &reply.queue {
        let _ = write!(text, "   tasks: {} queued, {} running", queue.queued, queue.running);
    }
    text
}

/// Calls a second, by how they are answered.
fn rates(frame: &mut Frame<'_>, area: Rect, now: &Moment, ink: Ink) {
    let block = Block::bordered().title(format!(" {} calls/s ", total(now)));
    let rates = now.rates();
    let most = rates.iter().flatten().copied().fold(0.0, f64::max);
    let room = usize::from(area.width).saturating_sub(20);
    let lines: Vec<Line<'static>> = ENDS
        .iter()
        .enumerate()
        .map(|(at, (end, name))| {
            let rate = rates.map(|rates| rates[at]);
            let figure = rate.map_or_else(|| "-".to_owned(), per_second);
            let bar = rate.map_or_else(String::new, |rate| bar(rate, most, room));
            Line::from(vec![Span::raw(format!("{name:<9}{figure:>7} ")), Span::styled(bar, ink.of(end))])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The hit rate, moment by moment; gaps where nothing was read.
fn curve(frame: &mut Frame<'_>, area: Rect, state: &State, ink: Ink) {
    let watch = state.watch();
    let block = Block::bordered().title(format!(" {} hits ", share(&watch.now())));
    let room = usize::from(area.width.saturating_sub(2));
    let seen: Vec<u64> = watch.moments().rev().take(room).map(|moment| moment.hit_rate().map_or(0, percent)).collect();
    let mut data = vec![0; room.saturating_sub(seen.len())];
    data.extend(seen.into_iter().rev());
    frame.render_widget(Sparkline::default().block(block).data(data).max(100).style(ink.good()), area);
}

/// How long calls took.
fn bars(frame: &mut Frame<'_>, area: Rect, ago: &Moment, ink: Ink) {
    let both = |times: &Times| format!("{} / {}", time(times.below(0.5)), time(times.below(0.99)));
    let minutes = ago.time.as_secs().div_ceil(60);
    let block = Block::bordered().title(format!(" took, last {minutes} min "));
    let count = |times: &Times, (from, to, _): (u64, u64, &str)| times.between(from, to);
    let most = BARS.into_iter().map(|bar| count(&ago.cached, bar) + count(&ago.others, bar)).max().unwrap_or(0);
    let room = usize::from(area.width).saturating_sub(18);
    let mut lines: Vec<Line<'static>> = BARS
        .into_iter()
        .map(|each| {
            let (cached, others) = (count(&ago.cached, each), count(&ago.others, each));
            let part = |count: u64| bar(figure(count), figure(most), room);
            let (cached_bar, all) = (part(cached), part(cached + others));
            let rest: String = all.chars().skip(cached_bar.chars().count()).collect();
            let text = format!("{:<9}{:>5} ", each.2, short(cached + others));
            Line::from(vec![Span::raw(text), Span::styled(cached_bar, ink.good()), Span::styled(rest, ink.warn())])
        })
        .collect();
    let words = format!("p50/p99 cache {}, else {}", both(&ago.cached), both(&ago.others));
    let brief = format!("p50 {} | {}", time(ago.cached.below(0.5)), time(ago.others.below(0.5)));
    let fits = words.chars().count() <= usize::from(area.width.saturating_sub(2));
    lines.push(Line::styled(if fits { words } else { brief }, ink.quiet()));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// What the keys do, over the rest.
fn help(frame: &mut Frame<'_>, ink: Ink) {
    let area = frame.area();
    let wanted = (58.min(area.width), u16::try_from(KEYS.len() + 2).unwrap_or(10).min(area.height));
    let place = Rect { x: (area.width - wanted.0) / 2, y: (area.height - wanted.1) / 2, width: wanted.0, height: wanted.1 };
    let lines: Vec<Line<'static>> = KEYS
        .iter()
        .map(|(key, what)| Line::from(vec![Span::styled(format!(" {key:<16}"), strong()), Span::styled(*what, ink.good())]))
        .collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), place);
}

fn total(now: &Moment) -> String {
    now.rates().map_or_else(|| "-".to_owned(), |rates| per_second(rates.iter().sum()))
}

fn share(now: &Moment) -> String {
    now.hit_rate().map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0))
}

fn percent(rate: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
    let percent = (rate * 100.0).round() as u64;
    percent
}

fn per_second(rate: f64) -> String {
    if rate >= 1000.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// A count in five letters.
fn short(count: u64) -> String {
    match count {
        0 => String::new(),
        1..=99_999 => count.to_string(),
        _ => format!("{}k", count / 1000),
    }
}

fn figure(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the length of a bar")]
    let figure = count as f64;
    figure
}

/// A bar for `part` of `whole`, at most `room` long; something that is there shows.
fn bar(part: f64, whole: f64, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if part <= 0.0 || whole <= 0.0 {
        return String::new();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few hundred at most")]
    let eighths = ((part / whole).min(1.0) * (room * 8) as f64).round().max(1.0) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}
