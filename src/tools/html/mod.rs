//! HTML that others wrote, reduced to what a reader would see: no scripts, no styles, no hidden text, nothing that is fetched from afar.
//!
//! It is parsed as browsers parse it and written anew from a short list of elements and attributes: what is not on the list cannot come
//! through. `scraper` (html5ever's parser over a flat tree) rather than a cleaner such as `ammonia`, which cannot tell hidden text from
//! visible text, or a stream rewriter such as `lol_html`, which does not know where an unclosed hidden paragraph ends.

mod css;

use std::fmt::Write as _;

use scraper::{Html, Node, node::Element};

use css::{Seen, Style};

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

/// Longest HTML that is read, in bytes: the time it takes grows faster than the length where elements are nested without end.
const MOST: usize = 1_000_000;

/// The visible part of `html`; `None` when it is too long to be read.
pub(super) fn visible(html: &str) -> Option<String> {
    if html.len() > MOST || deepest(html) > DEEPEST {
        return None;
    }
    let document = Html::parse_document(html);
    let mut out = String::with_capacity(html.len() / 4);
    let mut seen = vec![Seen::default()];
    let mut skipped = None;
    for edge in document.tree.root().traverse() {
        use ego_tree::iter::Edge;
        match edge {
            Edge::Open(node) if skipped.is_none() => match node.value() {
                Node::Text(text) if seen.last().is_some_and(Seen::shows_text) => {
                    push_text(&mut out, text, node.ancestors().any(|above| name_of(above.value()) == "pre"));
                }
                Node::Element(element) => {
                    let style = Style::of(element);
                    if DROPPED.contains(&element.name()) || style.hides_all() {
                        skipped = Some(node.id());
                        continue;
                    }
                    let around = seen.last().cloned().unwrap_or_default();
                    seen.push(around.with(&style));
                    open(&mut out, element);
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
                    if let Node::Element(element) = node.value() {
                        seen.pop();
                        let name = element.name();
                        if KEPT.contains(&name) && !matches!(name, "br" | "hr") {
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

/// The opening tag with the few attributes that matter; of an image, the words that stand for it.
fn open(out: &mut String, element: &Element) {
    let name = element.name();
    if name == "img" {
        if let Some(words) = element.attr("alt").map(str::trim).filter(|words| !words.is_empty()) {
            push_text(out, &format!("[{words}]"), false);
        }
        return;
    }
    if !KEPT.contains(&name) {
        return;
    }
    let _ = write!(out, "<{name}");
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
        _ => {}
    }
    out.push('>');
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
