//! Contacts: reading, changing and exporting them.

mod change;
mod export;
mod read;
mod vcard;

pub(super) use change::TOOLS as CHANGES;
pub(super) use export::TOOLS as EXPORT;
pub(super) use read::TOOLS as READS;

use serde_json::Value;

use super::{Param, ParamType, shape::text};
use crate::cache::Scope;

const CONTACT: Param = Param::required("contact_id", ParamType::Id, "From contact_list or search_contacts.");

/// What is shown of a contact in a list, and of one that was just written.
const LIST_FIELDS: [&str; 11] = [
    "id",
    "displayName",
    "givenName",
    "surname",
    "emailAddresses",
    "businessPhones",
    "homePhones",
    "mobilePhone",
    "jobTitle",
    "companyName",
    "department",
];

/// The other fields of a contact that can be read and written; with [`LIST_FIELDS`] all that is worth showing.
const MORE_FIELDS: [&str; 23] = [
    "assistantName",
    "birthday",
    "businessAddress",
    "businessHomePage",
    "categories",
    "children",
    "fileAs",
    "generation",
    "homeAddress",
    "imAddresses",
    "initials",
    "manager",
    "middleName",
    "nickName",
    "officeLocation",
    "otherAddress",
    "personalNotes",
    "profession",
    "spouseName",
    "title",
    "yomiCompanyName",
    "yomiGivenName",
    "yomiSurname",
];

/// Where a contact is, when it says so.
fn containers(contact: &Value) -> Vec<Scope> {
    text(contact, "parentFolderId").map(Scope::contacts).into_iter().collect()
}
