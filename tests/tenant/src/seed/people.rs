//! The tenant's accounts and the people who write to them.

use std::sync::Arc;

use super::prng::Prng;
use super::prose::{CANARY, TOPICS};
use super::{Kind, User, ids};

/// The tenant of all personal Microsoft accounts.
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// A name and its mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) name: Arc<str>,
    pub(crate) address: Arc<str>,
}

impl Address {
    pub(crate) fn new(name: &str, address: &str) -> Self {
        Self { name: Arc::from(name), address: Arc::from(address) }
    }
}

const GIVEN: &[&str] = &[
    "Ingrid",
    "Tomasz",
    "Priya",
    "Diego",
    "Amara",
    "Noor",
    "Yusuf",
    "Mei",
    "Lars",
    "Chiara",
    "Oisín",
    "Zofia",
    "Kwame",
    "Hana",
    "Rafael",
    "Sigrid",
    "Emeka",
    "Leila",
    "Jonas",
    "Aiko",
    "Mateus",
    "Freya",
    "Dmitri",
    "Salma",
    "Anders",
    "Beatriz",
    "Ravi",
    "Elif",
    "Viktor",
    "Naledi",
    "Søren",
    "Paloma",
    "Idris",
    "Greta",
    "Hugo",
    "Anjali",
    "Cillian",
    "Margarethe",
    "Tariq",
    "Ewa",
    "Luca",
    "Nadia",
    "Pekka",
    "Rosa",
];
const FAMILY: &[&str] = &[
    "Lindqvist",
    "Nowak",
    "Raman",
    "Ibáñez",
    "Okafor",
    "Haddad",
    "Demir",
    "Chen",
    "Sørensen",
    "Ricci",
    "O'Neill",
    "Kowalska",
    "Mensah",
    "Tanaka",
    "Silva",
    "Bergström",
    "Eze",
    "Farahani",
    "Keller",
    "Sato",
    "Moreira",
    "Larsen",
    "Volkov",
    "Mansour",
    "Holm",
    "D'Angelo",
    "Gupta",
    "Yıldız",
    "Horváth",
    "Dlamini",
    "Madsen",
    "Vega",
    "Bello",
    "Schäfer",
    "Dubois",
    "Menon",
    "Byrne",
    "Winter",
    "Aziz",
    "Zając",
];
const FIRMS: &[&str] =
    &["contoso.example", "fabrikam.example", "northwind.example", "tailspin.example", "adatum.example", "woodgrove.example"];

/// Where people work, in words.
pub(crate) const COMPANIES: &[&str] =
    &["Contoso, Ltd.", "Fabrikam, Inc.", "Northwind Traders", "Tailspin Toys", "A. Datum Corporation", "Woodgrove Bank"];
/// What they are.
pub(crate) const JOBS: &[&str] =
    &["Buyer", "Site manager", "Accountant", "Engineer", "Curator", "Planner", "Head of sales", "Legal counsel", "Driver", "Analyst"];
/// Where in the firm.
pub(crate) const DEPARTMENTS: &[&str] =
    &["Purchasing", "Operations", "Finance", "Research", "Collections", "Sales & Marketing", "Legal", "Logistics"];

/// A person by number: given name, family name, address. Equal numbers are equal people.
pub(crate) fn person(number: usize) -> (&'static str, &'static str, String, usize) {
    let given = GIVEN[number % GIVEN.len()];
    let family = FAMILY[(number / GIVEN.len() + number * 7) % FAMILY.len()];
    let firm = (number * 5 + number / 11) % FIRMS.len();
    let local: String = format!("{given}.{family}")
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            'a'..='z' | '.' => Some(c),
            'á' | 'ä' | 'ą' => Some('a'),
            'í' | 'ı' => Some('i'),
            'ñ' => Some('n'),
            'ø' | 'ö' | 'ó' => Some('o'),
            _ => None,
        })
        .collect();
    let twin = number / (GIVEN.len() * FAMILY.len());
    let suffix = if twin == 0 { String::new() } else { format!("{twin}") };
    (given, family, format!("{local}{suffix}@{}", FIRMS[firm]), firm)
}

/// Everybody who writes mail to the tenant.
pub(crate) fn correspondents(count: usize) -> Vec<Address> {
    (0..count)
        .map(|number| {
            let (given, family, address, _) = person(number * 3 + 1);
            // The Irish and Italian apostrophes are part of the test: they need doubling in `$filter`.
            Address::new(&format!("{given} {family}"), &address)
        })
        .collect()
}

/// The accounts of the tenant: two at work, one personal, one shared mailbox, and as many further ones at work.
pub(crate) fn users(seed: u64, more: usize) -> Vec<User> {
    let tenant = Prng::new(seed, "tenant").guid();
    [
        ("alex@contoso.example", "Alex Wilber", Kind::Work),
        ("bea@contoso.example", "Bea Marlowe", Kind::Work),
        ("casey@outlook.example", "Casey Doyle", Kind::Personal),
        ("support@contoso.example", "Contoso Support", Kind::Shared),
    ]
    .into_iter()
    .map(|(username, display_name, kind)| (username.to_owned(), display_name.to_owned(), kind))
    .chain((1..=more).map(|number| {
        let (given, family, ..) = person(number * 3);
        (format!("user{number}@contoso.example"), format!("{given} {family}"), Kind::Work)
    }))
    .map(|(username, display_name, kind)| {
        let mut prng = Prng::new(seed, &format!("user {username}"));
        let id = match kind {
            // Personal accounts have an object id made of zeros and sixteen digits.
            Kind::Personal => {
                let cid = prng.next();
                format!("00000000-0000-0000-{:04x}-{:012x}", cid >> 48, cid & 0xffff_ffff_ffff)
            }
            Kind::Work | Kind::Shared => prng.guid(),
        };
        User {
            id,
            tenant_id: if kind == Kind::Personal { PERSONAL_TENANT.to_owned() } else { tenant.clone() },
            mailbox_id: ids::MailboxKey::new(seed, &username).guid().to_owned(),
            drive_id: ids::DriveKey::new(seed, &username, kind == Kind::Personal).id,
            username,
            display_name,
            kind,
        }
    })
    .collect()
}

/// Free text about a person, the canary among it now and then.
pub(crate) fn note(prng: &mut Prng) -> Option<String> {
    match prng.below(6) {
        0 => Some(format!("Met at the {}. {CANARY}", prng.pick(TOPICS))),
        1 => Some(format!("Ask about the {}.", prng.pick(TOPICS))),
        _ => None,
    }
}
