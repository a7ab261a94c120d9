//! Reading files: items by id and path, children, delta, search, content.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::row::{DriveRow, ItemRow, download_url, kind};
use crate::graph::call::Call;
use crate::graph::delta::{Line, Token, page};
use crate::graph::empty;
use crate::graph::errors::Fault;
use crate::graph::odata::{Answer, DRIVE, DRIVE_ITEM, Filter, Order, Selection, encode};
use crate::graph::route::ItemAt;
use crate::graph::store::{Drive, Item, ROOT, State};
use crate::wire::Reply;

/// Page size when `$top` is absent, and the largest `$top`.
const USUAL: usize = 200;
const MOST: usize = 999;
/// `GET …/drives`
pub(crate) fn drives(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let mut out = Map::new();
    let selection = Selection::parse(&call.query, &DRIVE)?;
    let mut one = Map::new();
    selection.write(&DriveRow { drive: call.drive(state), user: &state.users[call.owner] }, &mut one);
    out.insert("value".to_owned(), json!([one]));
    Ok(call.json(StatusCode::OK, &call.plain_context("drives"), out))
}

/// `GET …/drive`
pub(crate) fn drive(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let selection = Selection::parse(&call.query, &DRIVE)?;
    let mut out = Map::new();
    selection.write(&DriveRow { drive: call.drive(state), user: &state.users[call.owner] }, &mut out);
    Ok(call.json(StatusCode::OK, &call.plain_context(&format!("drives{}/$entity", selection.context())), out))
}

/// The item at an address.
pub(crate) fn find<'a>(drive: &'a Drive, at: &ItemAt) -> Answer<&'a Item> {
    let from = match &at.id {
        None => drive.item(ROOT),
        Some(id) => drive.by_id(id),
    };
    // What is still being copied has no place yet and is not there.
    let from = from.filter(|item| item.sequence > 0).ok_or_else(Fault::item_not_found)?;
    match &at.path {
        None => Ok(from),
        Some(path) => drive.by_path(from.number, path).filter(|item| item.placed).ok_or_else(Fault::item_not_found),
    }
}

/// An item as the caller wants to see it.
pub(crate) fn open<'a>(state: &'a State, call: &'a Call<'_>, item: &'a Item) -> ItemRow<'a> {
    let (users, drive) = (state.users.as_slice(), call.drive(state));
    ItemRow { users, drive, item, downloads: &call.request.downloads, now: call.now, paths: true, found: false }
}

fn tail(at: &ItemAt) -> String {
    match &at.id {
        Some(id) => format!("/drive/items('{}')", encode(id)),
        None => "/drive/root".to_owned(),
    }
}

/// `GET …/items/{id}`: 304 when `If-None-Match` names the present tag.
pub(crate) fn item(state: &State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let item = find(call.drive(state), at)?;
    let row = open(state, call, item);
    let tag = row.etag();
    let known = |wanted: &str| wanted == "*" || wanted.split(", ").any(|one| one.trim() == tag || one.trim() == row.ctag());
    if call.header("if-none-match").is_some_and(known) {
        return Ok(empty(StatusCode::NOT_MODIFIED));
    }
    let selection = Selection::parse(&call.query, &DRIVE_ITEM)?;
    let mut body = row.write(&selection);
    if call.query.get("expand").is_some_and(|text| text.starts_with("children")) {
        let children = item.children.values().filter_map(|n| call.drive(state).item(*n)).take(USUAL);
        let all = Selection::from_text(None, &DRIVE_ITEM)?;
        body.insert("children".to_owned(), children.map(|child| Value::Object(open(state, call, child).write(&all))).collect());
    }
    let mut reply = call.json(StatusCode::OK, &call.context(&format!("{}{}/$entity", tail(at), selection.context())), body);
    if let Ok(value) = HeaderValue::from_str(&tag) {
        reply.headers.insert(header::ETAG, value);
    }
    Ok(reply)
}

/// The page size of a drive listing.
fn top(call: &Call<'_>) -> Answer<usize> {
    match call.query.number("top")? {
        None => Ok(USUAL),
        Some(top) if (1..=MOST).contains(&top) => Ok(top),
        Some(top) => Err(Fault::invalid_request(format!("Invalid value '{top}' for $top: it must be between 1 and {MOST}."))),
    }
}

/// `GET …/children`: by name unless ordered otherwise. The page token is the last name shown, so that nothing is shown
/// twice or left out when others are added or removed between two pages.
pub(crate) fn children(state: &State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let drive = call.drive(state);
    let folder = find(drive, at)?;
    let selection = Selection::parse(&call.query, &DRIVE_ITEM)?;
    let top = top(call)?;
    let filter = call.query.get("filter").map(|text| Filter::parse(text, &DRIVE_ITEM)).transpose()?;
    let orders = call.query.get("orderby").map(|text| Order::parse(text, &DRIVE_ITEM)).transpose()?.unwrap_or_default();
    let rows = folder.children.iter().filter_map(|(name, number)| Some((name.to_string(), open(state, call, drive.item(*number)?))));
    let mut rows: Vec<(String, ItemRow<'_>)> = rows.filter(|(_, row)| filter.as_ref().is_none_or(|f| f.matches(row))).collect();
    let natural = matches!(orders.as_slice(), [] | [Order { descending: false, .. }] if orders.first().is_none_or(|o| o.path == ["name"]));
    if !natural {
        rows.sort_by_cached_key(|(_, row)| Sorted(orders.clone(), Order::keys(&orders, row)));
    }
    let after = match call.query.get("skiptoken") {
        None => None,
        Some(text) => Some(read_token(text).ok_or_else(|| Fault::invalid_request("The provided '$skiptoken' is not valid."))?),
    };
    let start = match &after {
        None => 0,
        Some(last) if natural => rows.partition_point(|(name, _)| name <= last),
        // In other orders the last one shown is looked for; when it has gone, the page starts anew.
        Some(last) => rows.iter().position(|(name, _)| name == last).map_or(0, |index| index + 1),
    };
    let shown = &rows[start.min(rows.len())..(start + top).min(rows.len())];
    let mut body = Map::new();
    body.insert("@odata.count".to_owned(), json!(rows.len()));
    if start + top < rows.len()
        && let Some((last, _)) = shown.last()
    {
        let next = call.query.with("$skiptoken", &URL_SAFE_NO_PAD.encode(format!("Paged=TRUE&p_FileLeafRef={last}")));
        body.insert("@odata.nextLink".to_owned(), json!(format!("{}?{next}", call.address())));
    }
    body.insert("value".to_owned(), shown.iter().map(|(_, row)| Value::Object(row.write(&selection))).collect());
    Ok(call.json(StatusCode::OK, &call.context(&format!("{}/children{}", tail(at), selection.context())), body))
}

fn read_token(text: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    text.strip_prefix("Paged=TRUE&p_FileLeafRef=").map(str::to_owned)
}

struct Sorted(Vec<Order>, Vec<Value>);

impl PartialEq for Sorted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Sorted {}
impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Sorted {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        Order::compare(&self.0, &self.1, &other.1)
    }
}

/// `GET …/content`: 302 to a pre-authenticated address.
pub(crate) fn content(state: &State, call: &Call<'_>, at: &ItemAt) -> Answer<Reply> {
    let item = find(call.drive(state), at)?;
    if item.is_folder() {
        return Err(Fault::invalid_request("You cannot get content for a folder"));
    }
    let row = open(state, call, item);
    if call.header("if-none-match").is_some_and(|wanted| wanted == row.etag() || wanted == row.ctag()) {
        return Ok(empty(StatusCode::NOT_MODIFIED));
    }
    let mut reply = empty(StatusCode::FOUND);
    if let Ok(value) = HeaderValue::from_str(&download_url(row.drive, item, row.downloads, call.now)) {
        reply.headers.insert(header::LOCATION, value);
    }
    Ok(reply)
}

/// `GET …/root/delta`: the whole drive; a personal drive also answers for any of its folders.
pub(crate) fn delta(state: &State, call: &Call<'_>, at: &ItemAt, argument: Option<&str>) -> Answer<Reply> {
    let drive = call.drive(state);
    let top_item = find(drive, at)?.number;
    if top_item != ROOT && !drive.personal {
        return Err(Fault::invalid_request("Delta is only supported on the root of this drive."));
    }
    let address = call.address();
    let address = address.split("/delta").next().unwrap_or(&address);
    let asked = argument.or_else(|| call.query.get("token"));
    let fresh = |after: u64| Token {
        kind: "drive".to_owned(),
        owner: drive.key.id.clone(),
        container: top_item,
        after,
        floor: drive.feed.last(),
        epoch: drive.epoch,
        select: call.query.get("select").map(str::to_owned),
        expand: None,
        filter: None,
        top: call.query.number("top").ok().flatten(),
    };
    let gone = || Fault::resync_required(format!("{address}/delta?token="));
    let token = match asked {
        None | Some("") => fresh(0),
        Some("latest") => fresh(drive.feed.last()),
        Some(text) => {
            let token = Token::read(text).filter(|t| t.kind == "drive" && t.owner == drive.key.id && t.container == top_item);
            token.filter(|token| token.epoch == drive.epoch).ok_or_else(gone)?
        }
    };
    let selection = Selection::from_text(token.select.as_deref(), &DRIVE_ITEM)?;
    let size = call.view.page.or(token.top).unwrap_or(USUAL).clamp(1, MOST);
    let keep = |number: u32| drive.item(number).is_some() && (top_item == ROOT || drive.is_within(number, top_item));
    let page = page(&drive.feed, &token, size, keep, |_| false);
    let reference = || json!({"driveType": kind(drive), "driveId": drive.key.id});
    let value = page.lines.iter().filter_map(|line| match line {
        Line::Changed(number) => drive.item(*number).map(|item| {
            let mut row = open(state, call, item);
            row.paths = false;
            Value::Object(row.write(&selection))
        }),
        Line::Removed(gone) => Some(json!({"id": gone.id, "deleted": {"state": "deleted"}, "parentReference": reference()})),
    });
    let mut body = Map::new();
    body.insert("value".to_owned(), Value::Array(value.collect()));
    let name = if page.more { "@odata.nextLink" } else { "@odata.deltaLink" };
    body.insert(name.to_owned(), json!(format!("{address}/delta?token={}", page.next.write())));
    Ok(call.json(StatusCode::OK, &call.plain_context("Collection(driveItem)"), body))
}

/// `GET …/root/search(q='…')`: names that hold every word; only what the index knows by now.
pub(crate) fn search(state: &State, call: &Call<'_>, at: &ItemAt, text: &str) -> Answer<Reply> {
    let drive = call.drive(state);
    let under = find(drive, at)?.number;
    let selection = Selection::parse(&call.query, &DRIVE_ITEM)?;
    let top = top(call)?;
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let matches = |item: &Item| {
        let name = item.name.to_lowercase();
        item.placed
            && item.sequence > 0
            && item.number != ROOT
            && item.searchable <= call.now
            && words.iter().all(|word| name.contains(word.as_str()))
    };
    let found: Vec<&Item> =
        drive.items.iter().flatten().filter(|item| matches(item) && (under == ROOT || drive.is_within(item.number, under))).collect();
    let skip = call.query.get("skiptoken").map_or(Some(0), |text| text.strip_prefix('s').and_then(|n| n.parse::<usize>().ok()));
    let skip = skip.ok_or_else(|| Fault::invalid_request("The provided '$skiptoken' is not valid."))?;
    let rows = found.iter().skip(skip).take(top).map(|item| {
        let mut row = open(state, call, item);
        row.found = true;
        let mut out = row.write(&selection);
        if !selection.is_explicit() {
            out.insert("searchResult".to_owned(), json!({}));
        }
        Value::Object(out)
    });
    let mut body = Map::new();
    if skip + top < found.len() {
        let next = call.query.with("$skiptoken", &format!("s{}", skip + top));
        body.insert("@odata.nextLink".to_owned(), json!(format!("{}?{next}", call.address())));
    }
    body.insert("value".to_owned(), rows.collect());
    Ok(call.json(StatusCode::OK, &call.plain_context(&format!("Collection(driveItem){}", selection.context())), body))
}
