//! Drives and their items as Graph shows them, and the pre-authenticated addresses of their content.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::copy::{MONITORS, monitor};
use crate::graph::odata::{Query, Row, Selection, encode};
use crate::graph::store::{Content, Drive, Item, ROOT, State, With};
use crate::seed::User;
use crate::seed::prng::mix;

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
pub(super) fn identity(drive: &Drive, user: &User) -> Value {
    if drive.personal {
        return json!({"user": {"displayName": user.display_name, "id": drive.key.id}});
    }
    json!({"user": {"email": user.username, "id": user.id, "displayName": user.display_name}})
}

/// The `driveType`.
pub(crate) fn kind(drive: &Drive) -> &'static str {
    if drive.personal { "personal" } else { "business" }
}

/// `/drive/root:` and the encoded names below it.
pub(super) fn reference_path(drive: &Drive, number: u32) -> String {
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

    /// The tag of the properties.
    pub(crate) fn etag(&self) -> String {
        self.drive.key.etag(self.item.number, self.item.version)
    }

    /// The tag of the content.
    pub(crate) fn ctag(&self) -> String {
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
            "@microsoft.graph.downloadUrl" if !item.is_folder() => {
                json!(download_url(drive, item, self.downloads, self.now))
            }
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
            "fileSystemInfo" => {
                json!({"createdDateTime": item.created.to_string(), "lastModifiedDateTime": item.modified.to_string()})
            }
            "folder" if item.is_folder() => {
                let mut folder = json!({"childCount": item.children.len()});
                if drive.personal {
                    folder["view"] = json!({"viewType": "thumbnails", "sortBy": "name", "sortOrder": "ascending"});
                }
                folder
            }
            "file" if !item.is_folder() => {
                let mut hashes = json!({"quickXorHash": item.quick_xor()});
                // Nobody has the time to read through a sparse file.
                if drive.personal && !matches!(item.content, Some(Content::Sparse { .. })) {
                    let bytes = item.content.as_ref().map(Content::bytes).unwrap_or_default();
                    hashes["sha256Hash"] = json!(Sha256::digest(&bytes).iter().map(|b| format!("{b:02X}")).collect::<String>());
                }
                json!({"mimeType": item.mime, "hashes": hashes})
            }
            "root" if item.number == ROOT => json!({}),
            "specialFolder" => json!({"name": item.special?}),
            "shared" => {
                let widest =
                    |scope: &str| item.shares.iter().any(|share| matches!(&share.with, With::Link { scope: own, .. } if *own == scope));
                let scope = ["anonymous", "organization"].into_iter().find(|scope| widest(scope)).unwrap_or("users");
                json!({"scope": scope}).as_object().filter(|_| !item.shares.is_empty()).map(|shared| json!(shared))?
            }
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

/// The address at which the content can be had for an hour, without a token.
pub(crate) fn download_url(drive: &Drive, item: &Item, downloads: &str, now: Timestamp) -> String {
    let until = (now + DOWNLOAD_LIFE).as_second();
    let sign = signature(drive, item.number, item.content_version, until);
    let auth = URL_SAFE_NO_PAD.encode(format!("{}.{}.{}.{until}.{sign:016x}", drive.owner, item.number, item.content_version));
    let guid = drive.key.guid(item.number);
    format!("{downloads}/personal/_layouts/15/download.aspx?UniqueId={guid}&Translate=false&tempauth={auth}&ApiVersion=2.0")
}

/// What lies behind a pre-authenticated address.
#[derive(Debug, Clone)]
pub(crate) struct Download {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) content: Content,
}

/// A file as it was when the address was given, or the state of a copy.
pub(crate) fn download(state: &State, path_and_query: &str, now: Timestamp) -> Option<Download> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    if let Some(id) = path.trim_start_matches('/').strip_prefix(MONITORS) {
        let (status, body) = monitor(state, id)?;
        return Some(Download {
            status,
            content_type: "application/json".to_owned(),
            content: Content::Given(Bytes::from(body.to_string())),
        });
    }
    let query = Query::parse(query);
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(query.get("tempauth")?).ok()?).ok()?;
    let mut parts = text.split('.');
    let drive = state.drives.get(parts.next()?.parse::<usize>().ok()?)?;
    let item = drive.item(parts.next()?.parse().ok()?)?;
    let version: u32 = parts.next()?.parse().ok()?;
    let until: i64 = parts.next()?.parse().ok()?;
    let sign = u64::from_str_radix(parts.next()?, 16).ok()?;
    let good = sign == signature(drive, item.number, version, until) && now.as_second() <= until && version == item.content_version;
    let content = item.content.clone().filter(|_| good)?;
    Some(Download { status: StatusCode::OK, content_type: item.mime.to_owned(), content })
}

/// A drive.
pub(crate) struct DriveRow<'a> {
    pub(crate) drive: &'a Drive,
    pub(crate) user: &'a User,
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
            "quota" => {
                json!({"deleted": 0, "remaining": total - root.size.min(total), "state": "normal", "total": total, "used": root.size})
            }
            _ => return None,
        })
    }
}
