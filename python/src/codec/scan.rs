//! Finds the end of the plain part of a JSON string (`protocol::scan`), sixteen bytes at a step where the processor can.

use protocol::scan::{self, is_stop};

/// How many bytes at the start of `bytes` are plain.
#[inline]
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut passed = 0;
    while let Some((block, tail)) = rest.split_first_chunk() {
        let plain = plain_in_block(block);
        if plain < block.len() {
            return passed + plain;
        }
        passed += plain;
        rest = tail;
    }
    passed + scan::plain_prefix(rest)
}

/// Whether all of `bytes` is plain. What is looked at last overlaps what was before.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    if let Some(tail) = bytes.last_chunk::<16>() {
        let (blocks, _) = bytes.as_chunks::<16>();
        blocks.iter().all(is_plain_block) && is_plain_block(tail)
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        is_plain_pair(u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let both = u64::from(u32::from_le_bytes(*head)) | (u64::from(u32::from_le_bytes(*tail)) << 32);
        is_plain_pair(both, both)
    } else {
        !bytes.iter().any(|byte| is_stop(*byte))
    }
}

#[inline]
fn is_plain_pair(head: u64, tail: u64) -> bool {
    is_plain_block(&(u128::from(head) | (u128::from(tail) << 64)).to_le_bytes())
}

#[inline]
fn is_plain_block(block: &[u8; 16]) -> bool {
    plain_in_block(block) == block.len()
}

/// How many bytes at the start of `block` are plain.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn plain_in_block(block: &[u8; 16]) -> usize {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let whole = u128::from_le_bytes(*block);
    let (low, high) = ((whole as u64).cast_signed(), ((whole >> 64) as u64).cast_signed());
    // SAFETY: these instructions are SSE2, which every processor of this kind has; they touch no memory.
    let stops = unsafe {
        let block = _mm_set_epi64x(high, low);
        let quotes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"'.cast_signed()));
        let backslashes = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\'.cast_signed()));
        let controls = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), controls))
    };
    (stops | (1 << 16)).trailing_zeros() as usize
}

/// How many bytes at the start of `block` are plain.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn plain_in_block(block: &[u8; 16]) -> usize {
    scan::plain_prefix(block)
}
