//! Tokens that say whose they are: JSON web tokens signed with HS256.
//!
//! Only the tenant checks the signature. Clients must treat access tokens as opaque and, for id tokens that come
//! straight from the token endpoint over its own connection, need not check it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Makes a token.
pub(crate) fn sign(key: &[u8; 32], claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "HS256", "kid": "demo"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(hmac(key, text.as_bytes()));
    format!("{text}.{signature}")
}

/// The claims of a token that this tenant made; `None` for any other.
pub(crate) fn verify(key: &[u8; 32], token: &str) -> Option<Value> {
    let (text, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if signature != hmac(key, text.as_bytes()) {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(text.split_once('.')?.1).ok()?;
    serde_json::from_slice(&claims).ok()
}

/// HMAC-SHA256 (RFC 2104) for a key of 32 bytes, half a block.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        for (slot, key) in block.iter_mut().zip(key) {
            *slot ^= key;
        }
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_a_published_vector() {
        // RFC 4231 test case 1, its 20-byte key padded with zeros as HMAC does anyway.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let hex: String = hmac(&key, b"Hi There").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn a_changed_token_is_refused() {
        let token = sign(&[1; 32], &json!({"oid": "a"}));
        assert_eq!(verify(&[1; 32], &token).unwrap()["oid"], "a");
        assert!(verify(&[2; 32], &token).is_none());
        assert!(verify(&[1; 32], &token.replacen('e', "f", 1)).is_none());
        assert!(verify(&[1; 32], "").is_none());
    }
}
