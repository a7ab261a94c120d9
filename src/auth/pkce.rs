//! PKCE (RFC 7636), state and nonce of one browser sign-in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{chance::Dice, secret::Secret};

/// What proves that the answer belongs to our question.
pub(super) struct Proof {
    /// Sent only with the code, to the token endpoint.
    pub(super) verifier: Secret<String>,
    /// Sent with the browser: the verifier's hash.
    pub(super) challenge: String,
    /// Comes back with the browser.
    pub(super) state: String,
    /// Comes back inside the id token.
    pub(super) nonce: String,
}

impl Proof {
    /// Fresh values.
    pub(super) fn new(dice: &dyn Dice) -> Self {
        let mut raw = [0; 32];
        dice.fill(&mut raw);
        let verifier = URL_SAFE_NO_PAD.encode(raw);
        let challenge = challenge(&verifier);
        Self { verifier: Secret::new(verifier), challenge, state: dice.hex(16), nonce: dice.hex(16) }
    }
}

/// The S256 challenge of a verifier.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::OsDice;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        assert_eq!(challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn every_sign_in_has_its_own_values() {
        let (one, other) = (Proof::new(&OsDice), Proof::new(&OsDice));
        assert_eq!(one.verifier.expose().len(), 43);
        assert_ne!(one.verifier.expose(), other.verifier.expose());
        assert_ne!(one.state, other.state);
        assert_ne!(one.nonce, other.nonce);
        assert_ne!(one.state, one.nonce);
    }
}
