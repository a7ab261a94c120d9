//! Tests of the envelope: it gives back what was sealed, and nothing else to anybody.

use proptest::prelude::*;

use super::{
    Source,
    envelope::{Envelope, Shut},
    source::random_key,
};
use crate::{chance::SeededDice, clock::Timestamp};

fn made(seed: u64) -> (crate::secret::Key, Envelope, super::Keys) {
    let dice = SeededDice::new(seed);
    let master = random_key(&dice);
    let (envelope, keys) = Envelope::make(&master, Source::environment(), &dice, Timestamp(0)).unwrap();
    (master, envelope, keys)
}

#[test]
fn what_was_sealed_comes_back_and_is_not_in_the_file() {
    let (master, envelope, keys) = made(1);
    let json = envelope.to_json().unwrap();
    let opened = Envelope::parse(&json).unwrap().open(&master).unwrap();
    assert!(opened.database.expose() == keys.database.expose() && opened.wrapping.expose() == keys.wrapping.expose());
    assert!(keys.database.expose() != keys.wrapping.expose());
    for secret in [master.expose(), keys.database.expose(), keys.wrapping.expose()] {
        assert!(!json.windows(32).any(|window| window == secret));
        let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, secret);
        assert!(!String::from_utf8_lossy(&json).contains(text.trim_end_matches('=')));
    }
}

#[test]
fn a_known_envelope_opens() {
    // Made once by this code: a change of the format, the seal or what it is bound to must be noticed.
    let (master, envelope, keys) = made(7);
    let known = include_bytes!("envelope_v2.json");
    assert_eq!(Envelope::parse(known), Ok(envelope));
    for known in [include_bytes!("envelope_v1.json").as_slice(), known] {
        let opened = Envelope::parse(known).unwrap();
        assert_eq!(opened.facts.generation, 1);
        assert!(opened.open(&master).unwrap().same(&keys));
    }
}

#[test]
fn another_key_and_a_newer_version_are_named() {
    let (_, envelope, _) = made(1);
    let (other, _, _) = made(2);
    assert_eq!(envelope.open(&other).err(), Some(Shut::WrongKey));
    assert_eq!(Envelope::parse(br#"{"version":3,"anything":true}"#), Err(Shut::Newer(3)));
    assert_eq!(Envelope::parse(b""), Err(Shut::Damaged));
}

proptest! {
    #[test]
    fn one_flipped_bit_never_opens_to_other_keys(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (master, envelope, keys) = made(3);
        let mut json = envelope.to_json().unwrap();
        let at = at.index(json.len());
        json[at] ^= 1 << bit;
        if let Ok(opened) = Envelope::parse(&json).and_then(|envelope| envelope.open(&master)) {
            // The bit was in a place that the keys do not depend on: white space, the date, the source.
            prop_assert!(opened.database.expose() == keys.database.expose() && opened.wrapping.expose() == keys.wrapping.expose());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (master, _, _) = made(4);
        prop_assert!(Envelope::parse(&bytes).and_then(|envelope| envelope.open(&master)).is_err());
    }
}
