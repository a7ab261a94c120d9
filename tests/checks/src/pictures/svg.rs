//! A screen as SVG. Blocks and frames are drawn as shapes, so that they meet whatever the reader's letters are; the rest is text.

use std::{fmt::Write as _, path::Path};

use anyhow::Context as _;
use vt100::{Cell, Color, Screen};

/// A cell, in the picture's units.
const CELL: (f64, f64) = (8.4, 18.0);
/// Around the screen.
const EDGE: f64 = 12.0;
const BACK: &str = "#1b1f27";
const TEXT: &str = "#d5dae3";
/// The first sixteen colours of a terminal.
const COLOURS: [&str; 16] = [
    "#1b1f27", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf", "#7f8896", "#e06c75", "#98c379", "#e5c07b",
    "#61afef", "#c678dd", "#56b6c2", "#ffffff",
];

/// Draws a screen into a file, without the empty lines at its end.
pub(super) fn write(screen: &Screen, to: &Path) -> anyhow::Result<()> {
    std::fs::write(to, drawn(screen)).with_context(|| format!("writing `{}`", to.display()))
}

fn drawn(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let filled = |row: u16| (0..columns).any(|column| screen.cell(row, column).is_some_and(|cell| !cell.contents().trim().is_empty()));
    let rows = (0..rows).rev().find(|row| filled(*row)).map_or(1, |last| last + 1);
    let (width, height) = (f64::from(columns) * CELL.0 + 2.0 * EDGE, f64::from(rows) * CELL.1 + 2.0 * EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace\" font-size=\"14\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACK}\"/>\n"
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let Some(cell) = screen.cell(row, column) else { break };
            let (x, y) = (EDGE + f64::from(column) * CELL.0, EDGE + f64::from(row) * CELL.1);
            // What goes on without a gap is drawn as one.
            let goes_on = |next: &Cell| ["─", "█"].contains(&cell.contents()) && next.contents() == cell.contents() && alike(next, cell);
            let more = (column + 1..columns).take_while(|next| screen.cell(row, *next).is_some_and(goes_on)).count();
            let more = u16::try_from(more).unwrap_or(0);
            if let Some(shape) = shape(cell, x, y, f64::from(more + 1)) {
                svg.push_str(&shape);
                column += more + 1;
                continue;
            }
            // Letters of one look go together.
            let mut text = String::new();
            let begin = column;
            while let Some(next) =
                screen.cell(row, column).filter(|next| column < columns && alike(next, cell) && shape(next, 0.0, 0.0, 1.0).is_none())
            {
                text.push_str(if next.has_contents() { next.contents() } else { " " });
                column += 1;
            }
            let text = text.trim_end();
            if !text.is_empty() {
                let length = f64::from(u16::try_from(text.chars().count()).unwrap_or(column - begin)) * CELL.0;
                let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{length:.1}\" fill=\"{}\"{weight} xml:space=\"preserve\">{}</text>",
                    y + 13.5,
                    ink(cell),
                    escaped(text)
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn alike(one: &Cell, other: &Cell) -> bool {
    one.fgcolor() == other.fgcolor() && one.bold() == other.bold()
}

fn ink(cell: &Cell) -> String {
    match cell.fgcolor() {
        Color::Default => TEXT.to_owned(),
        Color::Idx(number) => COLOURS.get(usize::from(number)).map_or(TEXT, |colour| colour).to_owned(),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

/// A block or a piece of a frame as a shape, so many times beside itself; `None` for letters.
fn shape(cell: &Cell, x: f64, y: f64, times: f64) -> Option<String> {
    let mut letters = cell.contents().chars();
    let (letter, None) = (letters.next()?, letters.next()) else { return None };
    let (width, height) = CELL;
    let code = u32::from(letter);
    let rect = |x: f64, y: f64, width: f64, height: f64| {
        format!("<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{}\"/>\n", ink(cell))
    };
    match letter {
        // Lower eighths, and the whole.
        '\u{2581}'..='\u{2588}' => {
            let part = height * f64::from(code - 0x2580) / 8.0;
            Some(rect(x, y + height - part, width * times, part))
        }
        // Left eighths, from seven down to one.
        '\u{2589}'..='\u{258f}' => Some(rect(x, y, width * f64::from(0x2590 - code) / 8.0, height)),
        '─' | '│' | '┌' | '┐' | '└' | '┘' => {
            let (middle_x, middle_y) = (x + width / 2.0, y + height / 2.0);
            let path = match letter {
                '─' => format!("M{x:.1} {middle_y:.1}h{:.1}", width * times),
                '│' => format!("M{middle_x:.1} {y:.1}v{height:.1}"),
                '┌' => format!("M{:.1} {middle_y:.1}H{middle_x:.1}V{:.1}", x + width, y + height),
                '┐' => format!("M{x:.1} {middle_y:.1}H{middle_x:.1}V{:.1}", y + height),
                '└' => format!("M{:.1} {middle_y:.1}H{middle_x:.1}V{y:.1}", x + width),
                _ => format!("M{x:.1} {middle_y:.1}H{middle_x:.1}V{y:.1}"),
            };
            Some(format!("<path d=\"{path}\" fill=\"none\" stroke=\"{}\"/>\n", ink(cell)))
        }
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use vt100::Parser;

    use super::*;

    #[test]
    fn letters_colours_and_shapes_are_drawn_where_they_stand() {
        let mut parser = Parser::new(4.try_into().unwrap(), 12.try_into().unwrap(), 0);
        parser.process("a \u{1b}[32mb<c\u{1b}[0m\r\n┌───▁██▌".as_bytes());
        let svg = drawn(parser.screen());
        assert!(svg.contains(">b&lt;c</text>") && svg.contains("#98c379"), "{svg}");
        assert_eq!((svg.matches("<path ").count(), svg.matches("<rect ").count()), (2, 4), "{svg}");
        assert!(svg.contains("viewBox=\"0 0 125 60\""), "two lines of four: {svg}");
    }
}
