//! The terminal: taken, drawn on, listened to, and given back whatever happens: at the end, after a panic, on a signal.

use std::io::{self, Stdout};
use std::sync::Once;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use tokio::sync::mpsc;

use super::draw;
use super::state::{Key, State};

/// Keys that may be pressed ahead.
const AHEAD: usize = 64;

/// What came from the person or the system.
pub(super) enum Heard {
    /// A key that means something.
    Key(Key),
    /// The window has another size.
    Resized,
    /// The terminal has gone.
    Gone,
}

/// The terminal while it is ours.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    events: mpsc::Receiver<Event>,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        give_back_after_a_panic();
        // From here on dropping it gives the terminal back, also when one of the steps fails.
        let taken = Taken;
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen)?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        std::mem::forget(taken);
        Ok(Self { terminal, events: listen() })
    }

    /// Draws.
    pub(super) fn draw(&mut self, state: &State) -> io::Result<()> {
        self.terminal.draw(|frame| draw::draw(frame, state)).map(drop)
    }

    /// The next thing that matters.
    pub(super) async fn heard(&mut self) -> Heard {
        loop {
            match self.events.recv().await {
                Some(Event::Resize(..)) => return Heard::Resized,
                Some(event) => {
                    if let Some(key) = key(&event) {
                        return Heard::Key(key);
                    }
                }
                None => return Heard::Gone,
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// A terminal that is being taken.
struct Taken;

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal what it was. A terminal that has gone cannot be told.
fn give_back() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
}

/// A panic's words belong on the screen that the person will see.
fn give_back_after_a_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
    });
}

/// Reads the terminal on a thread of its own, which ends with the process: a read cannot be called off.
fn listen() -> mpsc::Receiver<Event> {
    let (tell, events) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if tell.blocking_send(event).is_err() {
                return;
            }
        }
    });
    events
}

/// What a key means; `None` for keys that mean nothing.
fn key(event: &Event) -> Option<Key> {
    let Event::Key(pressed) = event else { return None };
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char('c' | 'd') if control => Key::Quit,
        KeyCode::Char('q' | 'Q') => Key::Quit,
        KeyCode::Esc => Key::Back,
        KeyCode::Char(' ') => Key::Hold,
        KeyCode::Char('?' | 'h') => Key::Help,
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Tab | KeyCode::Right => Key::Next,
        KeyCode::BackTab | KeyCode::Left => Key::Previous,
        KeyCode::Down | KeyCode::Char('j') => Key::Down(1),
        KeyCode::Up | KeyCode::Char('k') => Key::Up(1),
        KeyCode::PageDown => Key::Down(10),
        KeyCode::PageUp => Key::Up(10),
        KeyCode::Home => Key::Up(usize::MAX),
        _ => return None,
    })
}
