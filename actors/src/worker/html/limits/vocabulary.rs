//! Counts different names in a document, in fixed memory. The parser keeps long names in a table of its own whose
//! places an author can foresee: a hundred thousand that share one place cost half a minute.

use std::hash::{BuildHasher, RandomState};

/// Shorter names the parser keeps without a table.
const KEPT_INLINE: usize = 7;

/// Places for names; a power of two and far more than are let through, so that few share one.
const PLACES: usize = 16 * 1024;
const WORD: usize = u64::BITS as usize;

/// The names seen so far.
pub(super) struct Vocabulary {
    seen: [u64; PLACES / WORD],
    count: usize,
    hasher: RandomState,
}

impl Vocabulary {
    pub(super) fn new() -> Self {
        Self { seen: [0; PLACES / WORD], count: 0, hasher: RandomState::new() }
    }

    /// Notes a name; spellings in upper and lower case count each.
    pub(super) fn note(&mut self, name: &str) {
        if name.len() <= KEPT_INLINE {
            return;
        }
        let place = usize::try_from(self.hasher.hash_one(name) % PLACES as u64).unwrap_or_default();
        if let Some(word) = self.seen.get_mut(place / WORD) {
            let bit = 1 << (place % WORD);
            self.count = self.count.saturating_add(usize::from(*word & bit == 0));
            *word |= bit;
        }
    }

    /// How many different long names were noted, a few per cent too few when there are many.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::Vocabulary;

    #[test]
    fn a_name_counts_once_and_a_short_one_never() {
        let mut vocabulary = Vocabulary::new();
        for name in ["data-tags", "data-tags", "data-x", "href", "data-size"] {
            vocabulary.note(name);
        }
        assert_eq!(vocabulary.count(), 2);
    }

    #[test]
    fn a_thousand_names_are_counted_within_a_tenth() {
        let mut vocabulary = Vocabulary::new();
        (0..1000).for_each(|number| vocabulary.note(&format!("data-name-{number}")));
        assert!((900..=1000).contains(&vocabulary.count()), "{}", vocabulary.count());
    }
}
