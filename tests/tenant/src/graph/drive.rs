//! Reading files: items by id and path, children, delta, search, content and its pre-authenticated addresses.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::call::Call;
use super::delta::{Line, Token, page};
use super::errors::Fault;
use super::odata::{Answer, DRIVE, DRIVE_ITEM, Filter, Order, Row, Selection, encode};
use super::route::ItemAt;
use super::store::{Drive, Item, ROOT, State};
use crate::seed::User;
use crate::seed::prng::mix;
use crate::wire::Reply;

/// Page size when `$top` is absent, and the largest `$top`.
const USUAL: usize = 200;
const MOST: usize = 999;
/// How long a pre-authenticated address is good.
const DOWNLOAD_LIFE: SignedDuration = SignedDuration::from_mins(60);

/// An item in the form that the caller wants.
pub(crate) struct ItemRow<'a> {
    pub(crate) users: &'a [User],
    pub(crate) drive: &'a Drive,
    pub(crate) item: &'a Item,
    pub(crate) downloads: &'a str,
    pub(crate) now: Timestamp,
    /// In delta, references to parents carry no path.
    pub(crate) paths: bool,
    /// In search results only.
    pub(crate) found: bool,
}

/// The address of the user's drive in a browser.
fn web(drive: &Drive, user: &User) -> String {
    if drive.personal {
        return format!("https://onedrive.live.com?cid={}", drive.key.id);
    }
    format!("https://contoso-my.sharepoint.example/personal/{}/Documents", user.username.replace(['@', '.'], "_"))
}

/// `{"user": {…}}`.
fn identity(drive: &Drive, user: &User) -> Value {
    if drive.personal {
        return json!({"user": {"displayName": user.display_name, "id": drive.key.id}});
    }
    json!({"user": {"email": user.username, "id": user.id, "displayName": user.display_name}})
}

fn kind(drive: &Drive) -> &'static str {
    if drive.personal { "personal" } else { "business" }
}

/// `/drive/root:` and the encoded names below it.
fn reference_path(drive: &Drive, number: u32) -> String {
    let names: Vec<String> = drive.path(number).into_iter().map(encode).collect();
    let prefix = if drive.personal { "/drive/root:".to_owned() } else { format!("/drives/{}/root:", drive.key.id) };
    if names.is_empty() { prefix } else { format!("{prefix}/{}", names.join("/")) }
}

impl ItemRow<'_> {
    fn parent(&self) -> Value {
        let mut out = json!({"driveType": kind(self.drive), "driveId": self.drive.key.id});
        if self.item.number != ROOT {
            out["id"] = json!(self.drive.key.item(self.item.parent));
            if self.paths {
                if let Some(parent) = self.drive.item(self.item.parent).filter(|p| p.number != ROOT) {
                    out["name"] = json!(parent.name);
                }
                out["path"] = json!(reference_path(self.drive, self.item.parent));
            }
        }
        out
    }

    pub(crate) fn etag(&self) -> String {
        self.drive.key.etag(self.item.number, self.item.version)
    }

    fn ctag(&self) -> String {
        self.drive.key.ctag(self.item.number, self.item.content_version)
    }

    /// The object; with a selection the service puts the tag in front as an annotation.
    pub(crate) fn write(&self, selection: &Selection) -> Map<String, Value> {
        let mut out = Map::new();
        if selection.is_explicit() {
            out.insert("@odata.etag".to_owned(), json!(self.etag()));
        }
        selection.write(self, &mut out);
        out
    }
}

impl Row for ItemRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let (drive, item) = (self.drive, self.item);
        let user = &self.users[drive.owner];
        Some(match name {
            "@microsoft.graph.downloadUrl" if !item.is_folder() => json!(download_url(drive, item, self.downloads, self.now)),
            "id" => json!(drive.key.item(item.number)),
            "name" => json!(item.name),
            "description" => json!(item.description.as_ref()?),
            "size" => json!(item.size),
            "createdDateTime" => json!(item.created.to_string()),
            "lastModifiedDateTime" => json!(item.modified.to_string()),
            "eTag" => json!(self.etag()),
            "cTag" => json!(self.ctag()),
            "webUrl" => {
                let names: Vec<String> = drive.path(item.number).into_iter().map(encode).collect();
                json!(format!("{}{}{}", web(drive, user), if names.is_empty() { "" } else { "/" }, names.join("/")))
            }
            "createdBy" => identity(drive, user),
            "lastModifiedBy" => identity(drive, self.users.get(item.by).unwrap_or(user)),
            "parentReference" => self.parent(),
            "fileSystemInfo" => json!({"createdDateTime": item.created.to_string(), "lastModifiedDateTime": item.modified.to_string()}),
            "folder" if item.is_folder() => {
                let mut folder = json!({"childCount": item.children.len()});
                if drive.personal {
                    folder["view"] = json!({"viewType": "thumbnails", "sortBy": "name", "sortOrder": "ascending"});
                }
                folder
            }
            "file" if !item.is_folder() => {
                let mut hashes = json!({"quickXorHash": item.quick_xor()});
                if drive.personal {
                    let bytes = item.content.as_ref().map(super::store::Content::bytes).unwrap_or_default();
                    hashes["sha256Hash"] = json!(Sha256::digest(&bytes).iter().map(|b| format!("{b:02X}")).collect::<String>());
                }
                json!({"mimeType": item.mime, "hashes": hashes})
            }
            "root" if item.number == ROOT => json!({}),
            "specialFolder" => json!({"name": item.special?}),
            "searchResult" if self.found => json!({}),
            "webDavUrl" => json!(format!("{}/dav", web(drive, user))),
            _ => return None,
        })
    }
}

fn signature(drive: &Drive, number: u32, version: u32, until: i64) -> u64 {
    let start = mix(u64::from(number) ^ (u64::from(version) << 32) ^ until as u64);
    drive.key.guid(number).bytes().fold(start, |state, byte| mix(state ^ u64::from(byte)))
}

fn download_url(drive: &Drive, item: &Item, downloads: &str, now: Timestamp) -> String {
    let until = (now + DOWNLOAD_LIFE).as_second();
    let sign = signature(drive, item.number, item.content_version, until);
    let auth = URL_SAFE_NO_PAD.encode(format!("{}.{}.{}.{until}.{sign:016x}", drive.owner, item.number, item.content_version));
    let guid = drive.key.guid(item.number);
    format!("{downloads}/personal/_layouts/15/download.aspx?UniqueId={guid}&Translate=false&tempauth={auth}&ApiVersion=2.0")
}

/// What lies behind a pre-authenticated address: a file as it was when the address was given, or the state of a copy.
pub(crate) fn download(state: &State, path_and_query: &str, now: Timestamp) -> Option<(String, Bytes)> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let path = path.trim_start_matches('/');
    if let Some(rest) = path.strip_prefix("monitor/") {
        let mut parts = rest.splitn(2, '/');
        let drive = state.drives.get(parts.next()?.parse::<usize>().ok()?)?;
        let number = drive.items.iter().flatten().find(|i| drive.key.guid(i.number) == parts.clone().next().unwrap_or(""))?.number;
        let item = drive.item(number)?;
        let body = if item.placed {
            json!({"operation": "ItemCopy", "percentageComplete": 100.0, "resourceId": drive.key.item(number), "status": "completed"})
        } else {
            json!({"operation": "ItemCopy", "percentageComplete": 50.0, "status": "inProgress"})
        };
        return Some(("application/json".to_owned(), Bytes::from(body.to_string())));
    }
    let query = super::odata::Query::parse(query);
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(query.get("tempauth")?).ok()?).ok()?;
    let mut parts = text.split('.');
    let drive = state.drives.get(parts.next()?.parse::<usize>().ok()?)?;
    let item = drive.item(parts.next()?.parse().ok()?)?;
    let version: u32 = parts.next()?.parse().ok()?;
    let until: i64 = parts.next()?.parse().ok()?;
    let sign = u64::from_str_radix(parts.next()?, 16).ok()?;
    let good = sign == signature(drive, item.number, version, until) && now.as_second() <= until && version == item.content_version;
    good.then(|| item.content.as_ref().map(|content| (item.mime.to_owned(), content.bytes())))?
}

/// `GET …/drives`
pub(crate) fn drives(state: &State, call: &Call<'_>) -> Answer<Reply> {
    let mut out = Map::new();
    let selection = Selection::parse(&call.query, &DRIVE)?;
    let mut one = Map::new();
    selection.write(&DriveRow { drive: call.drive(state), user: &state.users[call.owner] }, &mut one);
    out.insert("value".to_owned(), json!([one]));
    Ok(call.json(StatusCode::OK, &call.plain_context("drives"), out))
}

struct DriveRow<'a> {
    drive: &'a Drive,
    user: &'a User,
}

impl Row for DriveRow<'_> {
    fn property(&self, name: &str) -> Option<Value> {
        let root = self.drive.item(ROOT)?;
        let total: u64 = if self.drive.personal { 5_368_709_120 } else { 1_099_511_627_776 };
        Some(match name {
            "id" => json!(self.drive.key.id),
            "name" => json!("OneDrive"),
            "description" => json!(""),
            "driveType" => json!(kind(self.drive)),
            "webUrl" => json!(web(self.drive, self.user)),
            "createdDateTime" => json!(root.created.to_string()),
            "lastModifiedDateTime" => json!(root.modified.to_string()),
            "createdBy" | "lastModifiedBy" | "owner" => identity(self.drive, self.user),
            "quota" => json!({"deleted": 0, "remaining": total - root.size.min(total), "state": "normal", "total": total, "used": root.size}),
            _ => return None,
        })
    }
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
    let from = from.ok_or_else(Fault::item_not_found)?;
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
        return Ok(super::empty(StatusCode::NOT_MODIFIED));
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
        return Ok(super::empty(StatusCode::NOT_MODIFIED));
    }
    let mut reply = super::empty(StatusCode::FOUND);
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

/// `GET …/root/search(q='…')`: names that hold every word, and texts too; only what the index knows by now.
pub(crate) fn search(state: &State, call: &Call<'_>, at: &ItemAt, text: &str) -> Answer<Reply> {
    let drive = call.drive(state);
    let under = find(drive, at)?.number;
    let selection = Selection::parse(&call.query, &DRIVE_ITEM)?;
    let top = top(call)?;
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let matches = |item: &Item| {
        let name = item.name.to_lowercase();
        item.placed && item.sequence > 0 && item.number != ROOT && item.searchable <= call.now && words.iter().all(|word| name.contains(word.as_str()))
    };
    let found: Vec<&Item> = drive
        .items
        .iter()
        .flatten()
        .filter(|item| matches(item) && (under == ROOT || drive.is_within(item.number, under)))
        .collect();
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
