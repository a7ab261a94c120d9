//! Made-up answers of the tools' shapes, and the routine that trains `dict/v1.zdict` from them.

use serde_json::{Value, json};

use crate::{
    cache::Escaped,
    chance::{Dice, SeededDice},
};

const WORDS: &str = "the of and to in is that for on with as this are be by it we you have from at not or will your can an our \
    all has was please meeting project team report update budget review plan quarter customer invoice schedule attached \
    document version draft final agenda minutes next week monday friday morning call follow up question regarding contract \
    delivery order payment account service support request issue release deadline feedback proposal presentation travel \
    training office manager department sales marketing finance engineering design product launch status summary thanks best \
    regards hello dear let know if any more information need";
const NAMES: &str = "Anna Ben Carla David Elena Frank Grace Hugo Irene Jonas Karin Luis Maria Nils Olga Paul Rosa Sven Tina \
    Victor Schmidt Garcia Rossi Novak Jensen Dubois Miller Brown Silva Kowalski Nakamura Patel Weber Moreau Lindberg Costa";

/// A seeded maker of Graph-like values.
struct Maker(SeededDice);

impl Maker {
    fn below(&self, most: usize) -> usize {
        usize::try_from(self.0.number() % u64::try_from(most).unwrap()).unwrap()
    }

    fn pick<'a>(&self, list: &'a str) -> &'a str {
        let all: Vec<&str> = list.split_whitespace().collect();
        all[self.below(all.len())]
    }

    fn sentence(&self, words: usize) -> String {
        let mut text: Vec<&str> = (0..words.max(1)).map(|_| self.pick(WORDS)).collect();
        let mut first = text.remove(0).to_owned();
        first[..1].make_ascii_uppercase();
        text.insert(0, &first);
        text.join(" ") + "."
    }

    fn prose(&self, sentences: usize, gap: &str) -> String {
        (0..sentences).map(|_| self.sentence(6 + self.below(12))).collect::<Vec<_>>().join(gap)
    }

    fn token(&self, length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..length).map(|_| char::from(LETTERS[self.below(64)])).collect()
    }

    /// Exchange's ids: a long prefix that names the mailbox and the kind, then what differs.
    fn id(&self, kind: &str) -> String {
        format!("AAMkA{}{kind}{}AAA=", self.token(40), self.token(22))
    }

    fn guid(&self) -> String {
        let hex = self.0.hex(16);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn time(&self) -> String {
        let [month, day, hour, minute, second] = [12, 28, 24, 60, 60].map(|most| self.below(most));
        format!("202{}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", 4 + self.below(3), month + 1, day + 1)
    }

    fn person(&self) -> Value {
        let (first, last) = (self.pick(NAMES), self.pick(NAMES));
        let domain = ["contoso.com", "fabrikam.com", "example.org", "northwind.example"][self.below(4)];
        let address = format!("{}.{}@{domain}", first.to_lowercase(), last.to_lowercase());
        json!({ "emailAddress": { "name": format!("{first} {last}"), "address": address } })
    }

    fn people(&self, most: usize) -> Vec<Value> {
        (0..self.below(most + 1)).map(|_| self.person()).collect()
    }

    fn message(&self, body: bool) -> Value {
        let mut message = json!({
            "id": self.id("BGAAA"), "subject": self.sentence(3 + self.below(5)), "from": self.person(),
            "toRecipients": self.people(3), "receivedDateTime": self.time(), "hasAttachments": self.below(4) == 0,
            "conversationId": self.id("AQAAC"), "isRead": self.below(2) == 0,
        });
        if body {
            message["ccRecipients"] = self.people(1).into();
            message["body"] = json!({ "contentType": "text", "content": self.prose(1 + self.below(10), "\r\n") });
        }
        message
    }

    fn full_message(&self) -> Value {
        let (id, subject, from, time) = (self.id("BGAAA"), self.sentence(5), self.person(), self.time());
        let html = format!(
            "<html><head>\r\n<meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"></head><body><div>{}</div></body></html>",
            self.prose(2 + self.below(20), "</p>\r\n<p>")
        );
        json!({
            "@odata.etag": format!("W/\"CQAAABYAAA{}\"", self.token(28)), "id": id, "createdDateTime": time, "lastModifiedDateTime": self.time(),
            "changeKey": format!("CQAAABYAAA{}", self.token(28)), "categories": [], "receivedDateTime": time, "sentDateTime": time,
            "hasAttachments": true, "internetMessageId": format!("<{}@{}.prod.outlook.com>", self.token(40), self.token(12)),
            "subject": subject, "bodyPreview": self.prose(3, " "), "importance": "normal", "parentFolderId": self.id("AuAAA"),
            "conversationId": self.id("AQAAC"), "conversationIndex": self.token(30), "isDeliveryReceiptRequested": false,
            "isReadReceiptRequested": false, "isRead": true, "isDraft": false,
            "webLink": format!("https://outlook.office365.com/owa/?ItemID={id}&exvsurl=1&viewmodel=ReadMessageItem"),
            "inferenceClassification": "focused", "body": { "contentType": "html", "content": html }, "sender": from.clone(), "from": from,
            "toRecipients": self.people(3), "ccRecipients": self.people(2), "bccRecipients": [], "replyTo": [],
            "flag": { "flagStatus": "notFlagged" },
            "attachments": [{ "@odata.type": "#microsoft.graph.fileAttachment", "@odata.mediaContentType": "application/pdf",
                "id": self.id("BGAAA"), "name": format!("{}.pdf", self.pick(WORDS)), "size": self.below(900_000), "contentType": "application/pdf" }],
            "complete": true,
        })
    }

    fn mail_folder(&self, depth: usize) -> Value {
        let children: Vec<Value> = (0..if depth == 0 { 0 } else { self.below(4) }).map(|_| self.mail_folder(depth - 1)).collect();
        json!({
            "id": self.id("AuAAA"), "displayName": self.sentence(2), "parentFolderId": self.id("AuAAA"), "childFolderCount": children.len(),
            "unreadItemCount": self.below(30), "totalItemCount": self.below(4000), "isHidden": false, "children": children,
        })
    }

    fn drive_id(&self) -> String {
        format!("01{}", self.token(32).to_uppercase())
    }

    fn drive_folder(&self, depth: usize) -> Value {
        let children: Vec<Value> = (0..if depth == 0 { 0 } else { self.below(4) }).map(|_| self.drive_folder(depth - 1)).collect();
        json!({
            "id": self.drive_id(), "name": self.sentence(2), "childCount": children.len(), "path": format!("/{}/{}", self.pick(WORDS), self.pick(WORDS)),
            "parentId": self.drive_id(), "modified": self.time(), "children": children,
        })
    }

    fn file(&self) -> Value {
        let (name, folder) = (self.pick(WORDS), self.below(4) == 0);
        let ending = ["docx", "xlsx", "pptx", "pdf", "png"][self.below(5)];
        let mut file = json!({
            "id": self.drive_id(), "name": format!("{} {name}.{ending}", self.pick(WORDS)), "type": if folder { "folder" } else { "file" },
            "size": self.below(5_000_000), "modified": self.time(),
        });
        if !folder && self.below(2) == 0 {
            file["download_url"] = format!(
                "https://contoso-my.sharepoint.com/personal/{}_contoso_com/_layouts/15/download.aspx?UniqueId={}&Translate=false&tempauth=v1.{}&ApiVersion=2.0",
                self.pick(NAMES).to_lowercase(), self.guid(), self.token(200)
            )
            .into();
        }
        file
    }

    fn contact(&self) -> Value {
        let (first, last) = (self.pick(NAMES), self.pick(NAMES));
        let address = json!({ "street": format!("{} Main Street", self.below(300)), "city": "Springfield", "state": "", "countryOrRegion": "United States", "postalCode": format!("{}", 10_000 + self.below(89_999)) });
        json!({
            "@odata.etag": format!("W/\"EQAAABYAAA{}\"", self.token(28)), "id": self.id("BEAAA"), "createdDateTime": self.time(),
            "lastModifiedDateTime": self.time(), "changeKey": format!("EQAAABYAAA{}", self.token(28)), "categories": [],
            "parentFolderId": self.id("AuAAA"), "birthday": null, "fileAs": format!("{last}, {first}"), "displayName": format!("{first} {last}"),
            "givenName": first, "initials": null, "middleName": null, "nickName": null, "surname": last, "title": null, "yomiGivenName": null,
            "yomiSurname": null, "yomiCompanyName": null, "generation": null, "imAddresses": [], "jobTitle": self.sentence(2),
            "companyName": "Contoso Ltd.", "department": self.pick(WORDS), "officeLocation": null, "profession": null,
            "businessHomePage": null, "assistantName": null, "manager": null, "homePhones": [],
            "mobilePhone": format!("+1 555 {:07}", self.below(9_999_999)), "businessPhones": [format!("+1 555 {:07}", self.below(9_999_999))],
            "spouseName": null, "personalNotes": self.sentence(4), "children": [],
            "emailAddresses": [self.person()["emailAddress"]], "homeAddress": {}, "businessAddress": address, "otherAddress": {},
        })
    }

    fn event(&self, details: bool) -> Value {
        let mut event = json!({
            "@odata.etag": format!("W/\"{}==\"", self.token(22)), "id": self.id("ENAAA"), "subject": self.sentence(4),
            "start": { "dateTime": "2026-11-20T09:00:00.0000000", "timeZone": "UTC" }, "end": { "dateTime": "2026-11-20T09:30:00.0000000", "timeZone": "UTC" },
            "location": { "displayName": format!("Room {}", self.below(40)), "locationType": "default", "uniqueId": "", "uniqueIdType": "private" },
            "organizer": self.person(), "isAllDay": self.below(9) == 0, "isCancelled": false,
        });
        if details {
            let attendees = self.people(5).into_iter().map(|person| {
                json!({ "type": "required", "status": { "response": "accepted", "time": self.time() }, "emailAddress": person["emailAddress"] })
            });
            event["attendees"] = attendees.collect::<Vec<_>>().into();
            event["body"] = json!({ "contentType": "text", "content": self.prose(1 + self.below(4), "\r\n") });
            event["recurrence"] = Value::Null;
            event["onlineMeeting"] =
                json!({ "joinUrl": format!("https://teams.microsoft.com/l/meetup-join/19%3ameeting_{}%40thread.v2/0", self.token(48)) });
        }
        event
    }

    fn list(&self, name: &str, most: usize, one: impl Fn() -> Value) -> Value {
        let items: Vec<Value> = (0..1 + self.below(most)).map(|_| one()).collect();
        if self.below(2) == 0 {
            json!({ name: items, "complete": true })
        } else {
            json!({ name: items, "complete": false, "next_cursor": self.token(60) })
        }
    }

    fn answer(&self, shape: usize) -> Value {
        match shape {
            0 => self.list("messages", 8, || self.message(true)),
            1 => self.list("messages", 12, || self.message(false)),
            2 => self.full_message(),
            3 => self.list("files", 25, || self.file()),
            4 => self.list("folders", 20, || self.drive_folder(0)),
            5 => {
                json!({ "root_folder_id": null, "root_path": "/", "max_depth": 10, "folders": [self.drive_folder(4), self.drive_folder(4)], "complete": true })
            }
            6 => self.list("contacts", 4, || self.contact()),
            7 => self.contact(),
            8 => self.list("events", 10, || self.event(false)),
            9 => self.list("events", 4, || self.event(true)),
            10 => self.list("folders", 15, || self.mail_folder(0)),
            _ => {
                json!({ "root_folder_id": null, "max_depth": 10, "folders": [self.mail_folder(4), self.mail_folder(3)], "complete": true })
            }
        }
    }
}

/// `count` answers as they are stored: escaped, without the outer brace.
pub(super) fn samples(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let maker = Maker(SeededDice::new(seed));
    let text = |at: usize| maker.answer(at % 12).to_string();
    (0..count).map(|at| Escaped::from_text(&text(at)[1..]).0.to_vec()).collect()
}

/// Writes the dictionary anew. Only for a new version of it: stored answers need the one they were compressed with.
#[test]
#[ignore = "regenerates the dictionary: cargo test -p m365-cached --lib train -- --ignored"]
fn train() {
    let dictionary = zstd::dict::from_samples(&samples(1, 3000), 64 * 1024).unwrap();
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sqlcipher/dict/v1.zdict");
    std::fs::write(place, dictionary).unwrap();
}
