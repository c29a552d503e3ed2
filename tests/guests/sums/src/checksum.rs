//! The checksum that shows that every byte was read: the same source in the components and in the host that compares.

/// The metadata that goes into it, in this order, behind the records themselves and their keys.
pub const METADATA: [&str; 3] = ["source", "host", "trace"];

/// The checksum of one column's values, in order.
///
/// It has to cost next to nothing, or it would be what is measured: within a value, 64-bit words are added up, which a compiler turns
/// into the same 128-bit additions on x86-64 and, told that it may, in WebAssembly. It cannot be had without reading: each bit of a
/// value counts, and so do its length and its place among the others.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn checksum<'a>(values: impl Iterator<Item = &'a [u8]>) -> u64 {
    values.fold(0, |sum, value| joined(sum, words(value)))
}

/// What comes after `sum`.
pub fn joined(sum: u64, next: u64) -> u64 {
    sum.rotate_left(5).wrapping_add(next)
}

#[inline]
fn words(value: &[u8]) -> u64 {
    let mut lanes = [value.len() as u64, 0, 0, 0];
    let (blocks, rest) = value.as_chunks::<32>();
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    let (words, tail) = rest.as_chunks::<8>();
    let last = tail.iter().fold(0, |last, byte| last << 8 | u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    lanes.into_iter().chain(words).fold(last, u64::wrapping_add)
}
