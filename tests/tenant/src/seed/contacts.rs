//! Seeded contacts: most in the mailbox's own folder, some in a second one.

use serde_json::{Value, json};

use super::people::{COMPANIES, DEPARTMENTS, JOBS, note, person};
use super::prng::Prng;
use super::prose::CANARY;
use super::{Amounts, User, before_now};
use crate::graph::store::{Contact, Mailbox};

/// Puts contact folders and contacts into a mailbox without any.
pub(super) fn fill(mailbox: &mut Mailbox, user: &User, amounts: &Amounts, seed: u64) {
    let mut prng = Prng::new(seed, &format!("contacts {}", user.username));
    let own = mailbox.add_contact_folder("Contacts".to_owned(), None);
    let second = mailbox.add_contact_folder("Suppliers & friends".to_owned(), Some(own));
    for index in 0..amounts.contacts {
        let (given, family, address, firm) = person(index * 3 + 1);
        let canary = if index % 17 == 4 { format!(" {CANARY}") } else { String::new() };
        let phone = format!("+1 425 555 {:04}", prng.between(0, 9_999));
        let mut data = Contact::blank();
        let known = json!({
            "displayName": format!("{given} {family}{canary}"), "givenName": given, "surname": format!("{family}{canary}"),
            "fileAs": format!("{family}{canary}, {given}"), "emailAddresses": [{"name": format!("{given} {family}"), "address": address}],
            "jobTitle": prng.pick(JOBS), "companyName": COMPANIES[firm], "department": prng.pick(DEPARTMENTS),
            "businessPhones": [phone], "personalNotes": note(&mut prng),
        });
        if let Value::Object(known) = known {
            data.extend(known);
        }
        if prng.percent(30) {
            data.insert("mobilePhone".to_owned(), json!(format!("+44 7700 900{:03}", prng.between(0, 999))));
            data.insert(
                "birthday".to_owned(),
                json!(format!("19{:02}-{:02}-{:02}T11:59:00Z", prng.between(50, 99), prng.between(1, 12), prng.between(1, 28))),
            );
        }
        if prng.percent(40) {
            let address = json!({"street": format!("{} Harbour Road", prng.between(1, 200)), "city": "Aarhus", "countryOrRegion": "Denmark", "postalCode": "8000"});
            data.insert("businessAddress".to_owned(), address);
        }
        let folder = if index % 5 == 2 { second } else { own };
        let created = before_now(prng.between(1, 700) * 86_400);
        mailbox.add_contact(folder, data, created);
    }
}
