//! What a store must consist of: how many records, which generation, and the XOR of a hash of each. It is written in the same
//! batch as the records, and compared when the store is opened, because the engine does not notice records that are missing.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Sums up a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// How many records.
    pub count: u64,
    /// The last batch's generation.
    pub generation: u64,
    /// XOR of the records' hashes.
    pub sum: [u8; 32],
}

/// As it is written; a newer version of the program may write another one.
#[derive(Serialize, Deserialize)]
#[serde(tag = "version")]
enum OnDisk {
    #[serde(rename = "1")]
    V1 { count: u64, generation: u64, sum: String },
}

impl Manifest {
    /// Takes a record in, or out again: both are the same to the sum.
    pub fn toggle(&mut self, key: &[u8], stored: &[u8]) {
        let mut hash = Sha256::new();
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
        hash.update(stored);
        self.sum.iter_mut().zip(hash.finalize().iter()).for_each(|(sum, byte)| *sum ^= byte);
    }

    /// A record is there that was not.
    pub fn add(&mut self, key: &[u8], stored: &[u8]) {
        self.count += 1;
        self.toggle(key, stored);
    }

    /// A record has gone.
    pub fn subtract(&mut self, key: &[u8], stored: &[u8]) {
        self.count = self.count.saturating_sub(1);
        self.toggle(key, stored);
    }

    /// The bytes on disk.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let sum = self.sum.iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::to_vec(&OnDisk::V1 { count: self.count, generation: self.generation, sum })
            .unwrap_or_default()
    }

    /// Reads what [`Manifest::write`] wrote; `None` if it is something else.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let OnDisk::V1 { count, generation, sum } = serde_json::from_slice(bytes).ok()?;
        let mut manifest = Self { count, generation, sum: [0; 32] };
        if sum.len() != 64 || !sum.is_ascii() {
            return None;
        }
        for (byte, digits) in manifest.sum.iter_mut().zip(sum.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_the_first_version_are_still_read_and_written() {
        let golden = br#"{"version":"1","count":1,"generation":7,"sum":"5c8b1edc18cf3b0cbb5bb08d9c91cf10cb4b0d0fb0de09cc7db2c69d1dafd44f"}"#;
        let read = Manifest::read(golden).unwrap();
        assert_eq!((read.count, read.generation), (1, 7));
        assert_eq!(read.write(), golden);
        for broken in [
            &b"{}"[..],
            br#"{"version":"2","count":1}"#,
            br#"{"version":"1","count":1,"generation":1,"sum":"zz"}"#,
        ] {
            assert_eq!(Manifest::read(broken), None);
        }
    }

    #[test]
    fn the_sum_does_not_depend_on_the_order_and_knows_key_from_value() {
        let [mut one, mut two, mut other] = [Manifest::default(), Manifest::default(), Manifest::default()];
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        two.add(b"b", b"2");
        two.add(b"c", b"3");
        two.add(b"a", b"1");
        two.subtract(b"c", b"3");
        assert_eq!(one, two);
        other.add(b"a1", b"");
        other.add(b"b", b"2");
        assert_ne!(one, other);
    }
}
