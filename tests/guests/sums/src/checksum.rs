//! The checksum that shows that every byte was read: the same source in the components and in the host that compares.

/// The metadata that goes into it, in this order, behind the records themselves and their keys.
pub const METADATA: [&str; 3] = ["source", "host", "trace"];

/// The checksum of one column's values, in order.
///
/// It has to cost next to nothing, or it would be what is measured: within a value, 64-bit words are added up, which a compiler turns
/// into the same 128-bit additions on x86-64 and, told that it may, in WebAssembly; what is left of a value is read in halves, without a
/// loop. It cannot be had without reading: each bit of a value counts, and so do its length and its place among the others.
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
    // Fewer than 32 bytes are 16, 8, 4, 2 and 1, each of them once or not at all.
    let (sixteen, rest) = rest.as_chunks::<16>();
    let (eight, rest) = rest.as_chunks::<8>();
    let (four, rest) = rest.as_chunks::<4>();
    let (two, one) = rest.as_chunks::<2>();
    if let [sixteen] = sixteen {
        for (lane, word) in lanes.iter_mut().zip(sixteen.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    let eight = eight.first().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let four = four.first().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let two = two.first().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    let one = one.first().copied().unwrap_or_default();
    let last = u64::from(four) << 24 | u64::from(two) << 8 | u64::from(one);
    lanes.into_iter().chain([eight, last]).fold(0, u64::wrapping_add)
}
