//! The little of CSS that hides text: inline styles and the attributes of old that stand for them.

use scraper::{Html, Node, node::Element};

/// What the document's own style sheets speak of. Which elements they mean is not worked out: what a class may have set is not known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sheets {
    color: bool,
    ground: bool,
}

impl Sheets {
    /// Of the `style` elements of a document.
    pub(super) fn of(document: &Html) -> Self {
        let sheets = document.tree.nodes().filter(|node| node.value().as_element().is_some_and(|element| element.name() == "style"));
        let texts = sheets.flat_map(|sheet| sheet.children()).filter_map(|node| match node.value() {
            Node::Text(text) => Some(text.to_ascii_lowercase()),
            _ => None,
        });
        texts.fold(Self::default(), |known, text| Self {
            color: known.color || text.contains("color"),
            ground: known.ground || text.contains("background"),
        })
    }
}

/// What an element says about itself.
#[derive(Debug, Default)]
pub(super) struct Style {
    gone: bool,
    shown: Option<bool>,
    tiny: Option<bool>,
    color: Option<Color>,
    ground: Option<Color>,
    block: bool,
    struck: bool,
    tagged: bool,
}

/// A colour, where it is one that we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Color {
    Known([u8; 3]),
    Clear,
    Unknown,
}

/// How text inside the elements that are open is seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    shown: bool,
    tiny: bool,
    color: Color,
    ground: Color,
    /// By a style, and by an element of its own.
    struck: bool,
    tagged: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self { shown: true, tiny: false, color: Color::Known([0; 3]), ground: Color::Known([255; 3]), struck: false, tagged: false }
    }
}

impl Seen {
    /// The same inside an element of this style.
    pub(super) fn with(self, style: &Style) -> Self {
        Self {
            shown: style.shown.unwrap_or(self.shown),
            tiny: style.tiny.unwrap_or(self.tiny),
            color: style.color.unwrap_or(self.color),
            // What lies under a clear ground is seen through it.
            ground: style.ground.filter(|ground| *ground != Color::Clear).unwrap_or(self.ground),
            // Nothing inside can take the line away.
            struck: self.struck || style.struck,
            tagged: self.tagged || style.tagged,
        }
    }

    /// Whether text here is struck out and no element around it says so.
    pub(super) fn is_struck(&self) -> bool {
        self.struck && !self.tagged
    }

    /// Whether text here can be read.
    pub(super) fn shows_text(&self) -> bool {
        self.shown && !self.tiny && !alike(self.color, self.ground)
    }
}

/// Whether text of that colour cannot be told from its ground.
fn alike(color: Color, ground: Color) -> bool {
    match (color, ground) {
        (Color::Clear, _) => true,
        (Color::Known(color), Color::Known(ground)) => color.iter().zip(ground).all(|(one, other)| one.abs_diff(other) <= 12),
        _ => false,
    }
}

impl Style {
    /// Of an element's `style`, `hidden`, `color` and `bgcolor`. Of two declarations the later one counts, and an `!important` one before others.
    pub(super) fn of(element: &Element, sheets: Sheets) -> Self {
        let mut style = Self { tagged: matches!(element.name(), "s" | "strike" | "del"), ..Self::default() };
        if element.name() == "font" {
            style.color = element.attr("color").map(color);
        }
        style.ground = element.attr("bgcolor").map(color);
        if element.attr("background").is_some() {
            style.ground = Some(Color::Unknown);
        }
        if element.attr("class").is_some() {
            style.color = if sheets.color { Some(Color::Unknown) } else { style.color };
            style.ground = if sheets.ground { Some(Color::Unknown) } else { style.ground };
        }
        style.declare(element);
        style
    }

    /// What the `style` says.
    fn declare(&mut self, element: &Element) {
        let declared = element.attr("style").unwrap_or_default().split(';').filter_map(|one| one.split_once(':'));
        let mut declared: Vec<(String, String, bool)> = declared
            .map(|(name, value)| {
                let value = value.trim().to_ascii_lowercase();
                let plain = value.strip_suffix("!important").map(|plain| plain.trim().to_owned());
                let important = plain.is_some();
                (name.trim().to_ascii_lowercase(), plain.unwrap_or(value), important)
            })
            .collect();
        declared.sort_by_key(|(.., important)| *important);

        let (mut none, mut clear) = (element.attr("hidden").is_some(), false);
        let (mut clipped, mut flat, mut away) = (false, false, false);
        for (name, value, _) in &declared {
            let value = value.as_str();
            match name.as_str() {
                "display" => {
                    none = value == "none";
                    self.block = matches!(value, "block" | "flow-root" | "list-item" | "table" | "flex" | "grid");
                }
                "opacity" => clear = amount(value).is_some_and(|(number, _)| number < 0.05),
                "visibility" => self.shown = Some(!matches!(value, "hidden" | "collapse")),
                "font-size" => self.tiny = Some(is_tiny(value)),
                "font" => {
                    let size = value.split_whitespace().find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
                    self.tiny = size.map(|size| is_tiny(size.split('/').next().unwrap_or(size))).or(self.tiny);
                }
                "color" => self.color = Some(color(value)),
                "background-color" => self.ground = Some(color(value)),
                "background" => self.ground = Some(ground(value)),
                "background-image" if value != "none" => self.ground = Some(Color::Unknown),
                "text-decoration" | "text-decoration-line" => self.struck = value.contains("line-through"),
                "overflow" => clipped = value == "hidden",
                "height" | "max-height" | "width" | "max-width" => flat |= amount(value).is_some_and(|(number, _)| number == 0.0),
                "text-indent" | "left" | "top" => away |= amount(value).is_some_and(|(number, _)| number <= -999.0),
                // Not `mso-hide`: it hides from Outlook's classic window alone, whose reader is shown something else in its place.
                _ => {}
            }
        }
        self.gone = none || clear || away || clipped && flat;
    }

    /// Whether it begins and ends lines by itself.
    pub(super) fn is_block(&self) -> bool {
        self.block
    }

    /// Whether nothing inside it is seen, whatever that says about itself.
    pub(super) fn hides_all(&self) -> bool {
        self.gone
    }
}

/// A number and its unit.
fn amount(value: &str) -> Option<(f64, &str)> {
    let end = value.find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | '-' | '+'))).unwrap_or(value.len());
    Some((value[..end].parse().ok()?, value[end..].trim()))
}

fn is_tiny(value: &str) -> bool {
    match amount(value) {
        Some((number, "px" | "pt" | "")) => number < 2.0,
        Some((number, "%")) => number < 10.0,
        Some((number, _)) => number < 0.1,
        None => false,
    }
}

/// The colour of a `background`.
fn ground(value: &str) -> Color {
    if value.contains("url(") || value.contains("gradient") {
        return Color::Unknown;
    }
    if value.starts_with("rgb") {
        return color(value);
    }
    match value.split_whitespace().map(color).find(|color| *color != Color::Unknown) {
        Some(found) => found,
        None if value == "none" => Color::Clear,
        None => Color::Unknown,
    }
}

fn color(value: &str) -> Color {
    let value = value.trim().to_ascii_lowercase();
    match value.as_str() {
        "white" | "snow" | "ghostwhite" | "#fff" => return Color::Known([255; 3]),
        "black" => return Color::Known([0; 3]),
        "transparent" => return Color::Clear,
        _ => {}
    }
    if let Some(parts) = value.strip_prefix("rgb").and_then(|rest| rest.trim_start_matches('a').strip_prefix('(')) {
        let parts: Vec<f64> =
            parts.split([',', ' ', '/', ')']).filter(|part| !part.is_empty()).filter_map(|part| Some(amount(part)?.0)).collect();
        return match parts[..] {
            [_, _, _, alpha] if alpha < 0.05 => Color::Clear,
            // Clamped, so nothing is lost.
            [red, green, blue, ..] => Color::Known([red, green, blue].map(|part| part.clamp(0.0, 255.0) as u8)),
            _ => Color::Unknown,
        };
    }
    let digits = value.strip_prefix('#').unwrap_or(&value);
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Color::Unknown;
    }
    let pair = |from: usize| u8::from_str_radix(&digits[from..from + 2], 16).unwrap_or_default();
    let one = |at: usize| u8::from_str_radix(&digits[at..=at], 16).unwrap_or_default() * 17;
    match digits.len() {
        3 => Color::Known([one(0), one(1), one(2)]),
        6 => Color::Known([pair(0), pair(2), pair(4)]),
        8 if pair(6) < 13 => Color::Clear,
        8 => Color::Known([pair(0), pair(2), pair(4)]),
        _ => Color::Unknown,
    }
}
