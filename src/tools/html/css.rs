//! The little of CSS that hides text: inline styles and the attributes of old that stand for them.

use scraper::node::Element;

/// What an element says about itself.
#[derive(Debug, Default)]
pub(super) struct Style {
    gone: bool,
    shown: Option<bool>,
    tiny: Option<bool>,
    color: Option<Color>,
    ground: Option<Color>,
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
}

impl Default for Seen {
    fn default() -> Self {
        Self { shown: true, tiny: false, color: Color::Known([0; 3]), ground: Color::Known([255; 3]) }
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
        }
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
    /// Of an element's `style`, `hidden`, `color` and `bgcolor`. Of two declarations the later one counts.
    pub(super) fn of(element: &Element) -> Self {
        let mut style = Self { gone: element.attr("hidden").is_some(), ..Self::default() };
        if element.name() == "font" {
            style.color = element.attr("color").map(color);
        }
        style.ground = element.attr("bgcolor").map(color);
        if element.attr("background").is_some() {
            style.ground = Some(Color::Unknown);
        }
        let (mut clipped, mut flat) = (false, false);
        for (name, value) in element.attr("style").unwrap_or_default().split(';').filter_map(|one| one.split_once(':')) {
            let (name, value) = (name.trim().to_ascii_lowercase(), value.to_ascii_lowercase());
            let value = value.trim().trim_end_matches("!important").trim();
            match name.as_str() {
                "display" => style.gone |= value == "none",
                "mso-hide" => style.gone |= value == "all",
                "opacity" => style.gone |= amount(value).is_some_and(|(number, _)| number < 0.05),
                "visibility" => style.shown = Some(!matches!(value, "hidden" | "collapse")),
                "font-size" => style.tiny = Some(is_tiny(value)),
                "font" => {
                    let size = value.split_whitespace().find(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
                    style.tiny = size.map(|size| is_tiny(size.split('/').next().unwrap_or(size))).or(style.tiny);
                }
                "color" => style.color = Some(color(value)),
                "background-color" => style.ground = Some(color(value)),
                "background" => style.ground = Some(ground(value)),
                "background-image" if value != "none" => style.ground = Some(Color::Unknown),
                "overflow" => clipped = value == "hidden",
                "height" | "max-height" | "width" | "max-width" => flat |= amount(value).is_some_and(|(number, _)| number == 0.0),
                "text-indent" | "left" | "top" => style.gone |= amount(value).is_some_and(|(number, _)| number <= -999.0),
                _ => {}
            }
        }
        style.gone |= clipped && flat;
        style
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
