//! HTML that others wrote, reduced to what a reader would see: no scripts, no styles, no hidden text, nothing that is fetched from afar.
//!
//! It is parsed as browsers parse it and written anew from a short list of elements and attributes: what is not on the list cannot come
//! through. `scraper` (html5ever's parser over a flat tree) rather than a cleaner such as `ammonia`, which cannot tell hidden text from
//! visible text, or a stream rewriter such as `lol_html`, which does not know where an unclosed hidden paragraph ends.

mod css;

use std::fmt::Write as _;

use scraper::{Html, Node, node::Element};

use css::{Seen, Sheets, Style};

/// Elements that go with all that is inside them.
const DROPPED: [&str; 29] = [
    "applet", "audio", "base", "button", "canvas", "embed", "frame", "frameset", "head", "iframe", "input", "link", "math", "meta",
    "noframes", "noscript", "object", "option", "param", "script", "select", "source", "style", "svg", "template", "textarea", "title",
    "track", "video",
];

/// Elements that stay. Others are left out around what is inside them.
const KEPT: [&str; 36] = [
    "a",
    "b",
    "blockquote",
    "br",
    "caption",
    "code",
    "dd",
    "del",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "ins",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
    "u",
    "ul",
];

/// Elements that stand apart as a `div` does, and are written as one.
const BLOCKS: [&str; 18] = [
    "address",
    "article",
    "aside",
    "center",
    "details",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hgroup",
    "legend",
    "main",
    "nav",
    "search",
    "section",
    "summary",
];

/// Longest HTML that is read, in bytes: the time it takes grows faster than the length where elements are nested without end.
const MOST: usize = 1_000_000;

/// The visible part of `html`; `None` when it is too long to be read.
pub(super) fn visible(html: &str) -> Option<String> {
    if html.len() > MOST || deepest(html) > DEEPEST {
        return None;
    }
    let document = Html::parse_document(html);
    let mut out = String::with_capacity(html.len() / 4);
    let sheets = Sheets::of(&document);
    let mut seen = vec![Seen::default()];
    // What closes each element that is open.
    let mut closings: Vec<Option<&str>> = Vec::new();
    let mut skipped = None;
    for edge in document.tree.root().traverse() {
        use ego_tree::iter::Edge;
        match edge {
            Edge::Open(node) if skipped.is_none() => match node.value() {
                Node::Text(text) if seen.last().is_some_and(Seen::shows_text) => {
                    let struck = seen.last().is_some_and(Seen::is_struck) && !text.trim().is_empty();
                    out.push_str(if struck { "<s>" } else { "" });
                    push_text(&mut out, text, node.ancestors().any(|above| name_of(above.value()) == "pre"));
                    out.push_str(if struck { "</s>" } else { "" });
                }
                Node::Element(element) => {
                    let style = Style::of(element, sheets);
                    if DROPPED.contains(&element.name()) || style.hides_all() {
                        skipped = Some(node.id());
                        continue;
                    }
                    let around = seen.last().cloned().unwrap_or_default();
                    seen.push(around.with(&style));
                    closings.push(open(&mut out, element, &style));
                }
                _ => {}
            },
            Edge::Close(node) => match skipped {
                Some(id) => {
                    if id == node.id() {
                        skipped = None;
                    }
                }
                None => {
                    if node.value().is_element() {
                        seen.pop();
                        if let Some(name) = closings.pop().flatten() {
                            let _ = write!(out, "</{name}>");
                        }
                    }
                }
            },
            Edge::Open(_) => {}
        }
    }
    Some(out.trim().to_owned())
}

fn name_of(node: &Node) -> &str {
    node.as_element().map_or("", Element::name)
}

/// What an element is written as; `None` where only what is inside it is shown.
fn written_as(name: &str, style: &Style) -> Option<&'static str> {
    match name {
        "strike" => Some("s"),
        "dir" | "menu" => Some("ul"),
        // Parts of a table and of the document have their place whatever they say.
        "thead" | "tfoot" | "colgroup" | "col" | "html" | "body" => None,
        name if BLOCKS.contains(&name) => Some("div"),
        name => KEPT.iter().find(|kept| **kept == name).copied().or_else(|| style.is_block().then_some("div")),
    }
}

/// The opening tag with the few attributes that matter; of an image, the words that stand for it. Returns what has to be closed.
fn open(out: &mut String, element: &Element, style: &Style) -> Option<&'static str> {
    if element.name() == "img" {
        if let Some(words) = element.attr("alt").map(str::trim).filter(|words| !words.is_empty()) {
            push_text(out, &format!("[{words}]"), false);
        }
        return None;
    }
    let name = written_as(element.name(), style)?;
    let _ = write!(out, "<{name}");
    let number = |attribute: &str| element.attr(attribute).and_then(|number| number.trim().parse::<i32>().ok());
    match name {
        "a" => {
            if let Some(href) = element.attr("href").map(str::trim).filter(|href| leads_out(href)) {
                let _ = write!(out, " href=\"{}\"", escaped(href).replace('"', "&quot;"));
            }
        }
        "td" | "th" => {
            for span in ["colspan", "rowspan"] {
                if let Some(cells) = element.attr(span).and_then(|cells| cells.trim().parse::<u16>().ok()).filter(|cells| *cells > 1) {
                    let _ = write!(out, " {span}=\"{cells}\"");
                }
            }
        }
        "ol" => {
            if let Some(start) = number("start") {
                let _ = write!(out, " start=\"{start}\"");
            }
            if let Some(kind) = element.attr("type").filter(|kind| matches!(*kind, "1" | "a" | "A" | "i" | "I")) {
                let _ = write!(out, " type=\"{kind}\"");
            }
            out.push_str(if element.attr("reversed").is_some() { " reversed" } else { "" });
        }
        "li" => {
            if let Some(value) = number("value") {
                let _ = write!(out, " value=\"{value}\"");
            }
        }
        _ => {}
    }
    out.push('>');
    (!matches!(name, "br" | "hr")).then_some(name)
}

/// Only addresses that a person could follow; no script, no data, no file.
fn leads_out(href: &str) -> bool {
    let scheme = href.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel"))
}

/// Text, its white space drawn together unless it is preformatted.
fn push_text(out: &mut String, text: &str, preformatted: bool) {
    if preformatted {
        out.push_str(&escaped(text));
        return;
    }
    let space = |letter: char| matches!(letter, ' ' | '\t' | '\r' | '\n' | '\u{c}');
    let mut words = text.split(space).filter(|word| !word.is_empty()).peekable();
    if text.starts_with(space) && !out.is_empty() && !out.ends_with(' ') {
        out.push(' ');
    }
    let any = words.peek().is_some();
    while let Some(word) = words.next() {
        out.push_str(&escaped(word));
        if words.peek().is_some() {
            out.push(' ');
        }
    }
    if any && text.ends_with(space) {
        out.push(' ');
    }
}

/// For the inside of an element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// HTML that shows `text` as it is: its lines, its spaces, and every sign of it.
pub(super) fn of_text(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    // Whether a space would not be seen here.
    let mut unseen = true;
    for letter in text.replace("\r\n", "\n").chars() {
        match letter {
            '\n' | '\r' => html.push_str("<br>"),
            '\t' => html.push_str("&nbsp;&nbsp;&nbsp;&nbsp;"),
            ' ' if unseen => html.push_str("&nbsp;"),
            other => html.push_str(&escaped(other.encode_utf8(&mut [0; 4]))),
        }
        unseen = matches!(letter, ' ' | '\n' | '\r');
    }
    html
}

/// Deepest nesting that is read. Mail clients' own quoting nests some ten levels for each answer.
const DEEPEST: usize = 2_000;

/// How deep elements may be nested in `html`, at most. Counts tags and knows no grammar, so it is quick.
fn deepest(html: &str) -> usize {
    const NEVER_CLOSED: [&str; 14] = ["br", "img", "hr", "meta", "link", "input", "p", "li", "td", "tr", "dt", "dd", "option", "o:p"];
    let (mut depth, mut most) = (0usize, 0usize);
    for tag in html.split('<').skip(1) {
        let closes = tag.starts_with('/');
        let name = tag.trim_start_matches('/').split(|letter: char| letter.is_whitespace() || matches!(letter, '>' | '/')).next();
        let name = name.unwrap_or_default();
        if !name.starts_with(|letter: char| letter.is_ascii_alphabetic())
            || NEVER_CLOSED.iter().any(|known| known.eq_ignore_ascii_case(name))
        {
            continue;
        }
        if closes {
            depth = depth.saturating_sub(1);
        } else {
            depth += 1;
            most = most.max(depth);
        }
    }
    most
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
