//! The entity types served: their properties in the order in which they are sent, with their kinds.
//!
//! Names and kinds follow the v1.0 CSDL; `csdl_tests.rs` holds every reply to it.

/// What a property holds, as far as filters care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ty {
    Text,
    Bool,
    Number,
    Date,
    /// A structure, entered by a path.
    Complex,
    /// A collection, entered by `any`.
    Many,
}

/// A served type.
#[derive(Debug)]
pub(crate) struct Schema {
    /// Full name: `microsoft.graph.message`.
    pub(crate) name: &'static str,
    /// Properties sent when nothing is selected.
    pub(crate) properties: &'static [(&'static str, Ty)],
    /// Properties sent only when they are selected.
    pub(crate) on_request: &'static [(&'static str, Ty)],
    /// Exchange types always send their id and an etag; drive items send what was asked.
    pub(crate) outlook: bool,
}

impl Schema {
    /// The kind of a property; `None` when the type has no such property.
    pub(crate) fn kind(&self, name: &str) -> Option<Ty> {
        self.properties.iter().chain(self.on_request).find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

use Ty::{Bool, Complex, Date, Many, Number, Text};

/// `message`.
pub(crate) const MESSAGE: Schema = Schema {
    name: "microsoft.graph.message",
    properties: &[
        ("id", Text),
        ("createdDateTime", Date),
        ("lastModifiedDateTime", Date),
        ("changeKey", Text),
        ("categories", Many),
        ("receivedDateTime", Date),
        ("sentDateTime", Date),
        ("hasAttachments", Bool),
        ("internetMessageId", Text),
        ("subject", Text),
        ("bodyPreview", Text),
        ("importance", Text),
        ("parentFolderId", Text),
        ("conversationId", Text),
        ("conversationIndex", Text),
        ("isDeliveryReceiptRequested", Bool),
        ("isReadReceiptRequested", Bool),
        ("isRead", Bool),
        ("isDraft", Bool),
        ("webLink", Text),
        ("inferenceClassification", Text),
        ("body", Complex),
        ("sender", Complex),
        ("from", Complex),
        ("toRecipients", Many),
        ("ccRecipients", Many),
        ("bccRecipients", Many),
        ("replyTo", Many),
        ("flag", Complex),
    ],
    on_request: &[("internetMessageHeaders", Many), ("uniqueBody", Complex)],
    outlook: true,
};

/// `mailFolder`. `sizeInBytes` is sent by the service though the CSDL of v1.0 lacks it; we keep to the CSDL.
pub(crate) const MAIL_FOLDER: Schema = Schema {
    name: "microsoft.graph.mailFolder",
    properties: &[
        ("id", Text),
        ("displayName", Text),
        ("parentFolderId", Text),
        ("childFolderCount", Number),
        ("unreadItemCount", Number),
        ("totalItemCount", Number),
        ("isHidden", Bool),
    ],
    on_request: &[],
    outlook: true,
};

/// `attachment`: those that are files have all of it, items less.
pub(crate) const ATTACHMENT: Schema = Schema {
    name: "microsoft.graph.attachment",
    properties: &[
        ("id", Text),
        ("lastModifiedDateTime", Date),
        ("name", Text),
        ("contentType", Text),
        ("size", Number),
        ("isInline", Bool),
        ("contentId", Text),
        ("contentLocation", Text),
        ("contentBytes", Text),
    ],
    on_request: &[],
    outlook: true,
};

/// `contact`.
pub(crate) const CONTACT: Schema = Schema {
    name: "microsoft.graph.contact",
    properties: &[
        ("id", Text),
        ("createdDateTime", Date),
        ("lastModifiedDateTime", Date),
        ("changeKey", Text),
        ("categories", Many),
        ("parentFolderId", Text),
        ("birthday", Date),
        ("fileAs", Text),
        ("displayName", Text),
        ("givenName", Text),
        ("initials", Text),
        ("middleName", Text),
        ("nickName", Text),
        ("surname", Text),
        ("title", Text),
        ("yomiGivenName", Text),
        ("yomiSurname", Text),
        ("yomiCompanyName", Text),
        ("generation", Text),
        ("imAddresses", Many),
        ("jobTitle", Text),
        ("companyName", Text),
        ("department", Text),
        ("officeLocation", Text),
        ("profession", Text),
        ("businessHomePage", Text),
        ("assistantName", Text),
        ("manager", Text),
        ("homePhones", Many),
        ("mobilePhone", Text),
        ("businessPhones", Many),
        ("spouseName", Text),
        ("personalNotes", Text),
        ("children", Many),
        ("emailAddresses", Many),
        ("homeAddress", Complex),
        ("businessAddress", Complex),
        ("otherAddress", Complex),
    ],
    on_request: &[],
    outlook: true,
};

/// `contactFolder`.
pub(crate) const CONTACT_FOLDER: Schema = Schema {
    name: "microsoft.graph.contactFolder",
    properties: &[("id", Text), ("parentFolderId", Text), ("displayName", Text)],
    on_request: &[],
    outlook: true,
};

/// `calendar`.
pub(crate) const CALENDAR: Schema = Schema {
    name: "microsoft.graph.calendar",
    properties: &[
        ("id", Text),
        ("name", Text),
        ("color", Text),
        ("hexColor", Text),
        ("isDefaultCalendar", Bool),
        ("changeKey", Text),
        ("canShare", Bool),
        ("canViewPrivateItems", Bool),
        ("canEdit", Bool),
        ("allowedOnlineMeetingProviders", Many),
        ("defaultOnlineMeetingProvider", Text),
        ("isTallyingResponses", Bool),
        ("isRemovable", Bool),
        ("owner", Complex),
    ],
    on_request: &[],
    outlook: true,
};

/// `calendarGroup`.
pub(crate) const CALENDAR_GROUP: Schema = Schema {
    name: "microsoft.graph.calendarGroup",
    properties: &[("id", Text), ("name", Text), ("classId", Text), ("changeKey", Text)],
    on_request: &[],
    outlook: true,
};

/// `event`.
pub(crate) const EVENT: Schema = Schema {
    name: "microsoft.graph.event",
    properties: &[
        ("id", Text),
        ("createdDateTime", Date),
        ("lastModifiedDateTime", Date),
        ("changeKey", Text),
        ("categories", Many),
        ("transactionId", Text),
        ("originalStartTimeZone", Text),
        ("originalEndTimeZone", Text),
        ("iCalUId", Text),
        ("reminderMinutesBeforeStart", Number),
        ("isReminderOn", Bool),
        ("hasAttachments", Bool),
        ("subject", Text),
        ("bodyPreview", Text),
        ("importance", Text),
        ("sensitivity", Text),
        ("isAllDay", Bool),
        ("isCancelled", Bool),
        ("isOrganizer", Bool),
        ("responseRequested", Bool),
        ("seriesMasterId", Text),
        ("showAs", Text),
        ("type", Text),
        ("webLink", Text),
        ("onlineMeetingUrl", Text),
        ("isOnlineMeeting", Bool),
        ("onlineMeetingProvider", Text),
        ("allowNewTimeProposals", Bool),
        ("isDraft", Bool),
        ("hideAttendees", Bool),
        ("responseStatus", Complex),
        ("body", Complex),
        ("start", Complex),
        ("end", Complex),
        ("location", Complex),
        ("locations", Many),
        ("recurrence", Complex),
        ("attendees", Many),
        ("organizer", Complex),
        ("onlineMeeting", Complex),
    ],
    on_request: &[("originalStart", Date)],
    outlook: true,
};

/// `driveItem`.
pub(crate) const DRIVE_ITEM: Schema = Schema {
    name: "microsoft.graph.driveItem",
    properties: &[
        ("@microsoft.graph.downloadUrl", Text),
        ("createdDateTime", Date),
        ("eTag", Text),
        ("id", Text),
        ("lastModifiedDateTime", Date),
        ("name", Text),
        ("description", Text),
        ("webUrl", Text),
        ("cTag", Text),
        ("size", Number),
        ("createdBy", Complex),
        ("lastModifiedBy", Complex),
        ("parentReference", Complex),
        ("fileSystemInfo", Complex),
        ("file", Complex),
        ("folder", Complex),
        ("root", Complex),
        ("specialFolder", Complex),
        ("shared", Complex),
    ],
    on_request: &[("searchResult", Complex), ("deleted", Complex), ("package", Complex), ("remoteItem", Complex), ("webDavUrl", Text)],
    outlook: false,
};

/// `drive`.
pub(crate) const DRIVE: Schema = Schema {
    name: "microsoft.graph.drive",
    properties: &[
        ("createdDateTime", Date),
        ("description", Text),
        ("id", Text),
        ("lastModifiedDateTime", Date),
        ("name", Text),
        ("webUrl", Text),
        ("driveType", Text),
        ("createdBy", Complex),
        ("lastModifiedBy", Complex),
        ("owner", Complex),
        ("quota", Complex),
    ],
    on_request: &[],
    outlook: false,
};

/// `user`.
pub(crate) const USER: Schema = Schema {
    name: "microsoft.graph.user",
    properties: &[
        ("businessPhones", Many),
        ("displayName", Text),
        ("givenName", Text),
        ("jobTitle", Text),
        ("mail", Text),
        ("mobilePhone", Text),
        ("officeLocation", Text),
        ("preferredLanguage", Text),
        ("surname", Text),
        ("userPrincipalName", Text),
        ("id", Text),
    ],
    on_request: &[
        ("accountEnabled", Bool),
        ("otherMails", Many),
        ("proxyAddresses", Many),
        ("userType", Text),
        ("mailNickname", Text),
        ("department", Text),
        ("companyName", Text),
        ("usageLocation", Text),
        ("city", Text),
        ("country", Text),
    ],
    outlook: false,
};

/// `messageRule`.
pub(crate) const MESSAGE_RULE: Schema = Schema {
    name: "microsoft.graph.messageRule",
    properties: &[
        ("id", Text),
        ("displayName", Text),
        ("sequence", Number),
        ("isEnabled", Bool),
        ("hasError", Bool),
        ("isReadOnly", Bool),
        ("conditions", Complex),
        ("actions", Complex),
        ("exceptions", Complex),
    ],
    on_request: &[],
    outlook: true,
};

/// `outlookCategory`.
pub(crate) const CATEGORY: Schema = Schema {
    name: "microsoft.graph.outlookCategory",
    properties: &[("id", Text), ("displayName", Text), ("color", Text)],
    on_request: &[],
    outlook: true,
};

/// `mailboxSettings`.
pub(crate) const MAILBOX_SETTINGS: Schema = Schema {
    name: "microsoft.graph.mailboxSettings",
    properties: &[
        ("archiveFolder", Text),
        ("timeZone", Text),
        ("delegateMeetingMessageDeliveryOptions", Text),
        ("dateFormat", Text),
        ("timeFormat", Text),
        ("userPurpose", Text),
        ("automaticRepliesSetting", Complex),
        ("language", Complex),
        ("workingHours", Complex),
    ],
    on_request: &[],
    outlook: false,
};
