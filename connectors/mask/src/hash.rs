//! How a hash is made.

use sha2::{Digest, Sha256};
use wharf_sdk::Parameters;

/// How a hash is made of a salt and a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Algorithm {
    /// HMAC with SHA-256 (RFC 2104), keyed by the salt.
    HmacSha256,
    /// SHA-256 of the salt and the text behind it, as other systems make it.
    Sha256,
}

/// Bytes that SHA-256 works on at a time.
const BLOCK: usize = 64;

impl Algorithm {
    /// In hexadecimal digits.
    pub fn hash(self, salt: &str, text: &str) -> String {
        let digest: [u8; 32] = match self {
            Self::Sha256 => Sha256::new().chain_update(salt).chain_update(text).finalize().into(),
            Self::HmacSha256 => hmac(salt.as_bytes(), text.as_bytes()),
        };
        digest.iter().fold(String::with_capacity(64), |hex, byte| hex + &format!("{byte:02x}"))
    }
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    match key.len() > BLOCK {
        true => block[..32].copy_from_slice(&Sha256::digest(key)),
        false => block[..key.len()].copy_from_slice(key),
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases 2 and 6 of RFC 4231.
    #[test]
    fn the_hash_is_that_of_the_standard() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let jefe = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(hmac(b"Jefe", b"what do ya want for nothing?")), jefe);
        assert_eq!(Algorithm::HmacSha256.hash("Jefe", "what do ya want for nothing?"), jefe);
        let long = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(hex(hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")), long);
    }
}
