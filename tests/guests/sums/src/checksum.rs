//! The checksum that shows that every byte was read: the same source in the components and in the host that compares.

/// The metadata that goes into it, in this order, behind the records themselves and their keys.
pub const METADATA: [&str; 3] = ["source", "host", "trace"];

/// The checksum of one column's values, in order.
///
/// It has to cost next to nothing, or it would be what is measured: within a value, 64-bit words are added up without a loop, which a
/// compiler turns into the same 128-bit additions on x86-64 and, told that it may, in WebAssembly. It cannot be had without reading:
/// each byte of a value counts, and so do its length and its place among the others.
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
    let (blocks, _) = value.as_chunks::<128>();
    let of_blocks = blocks.iter().skip(1).fold(0_u64, |sum, block| sum.wrapping_add(added(block)));
    // By the number of its binary digits, so that a short value is found as fast as a long one.
    let of_ends = match value.len().checked_ilog2() {
        Some(7..) => ends::<128>(value),
        Some(6) => ends::<64>(value),
        Some(5) => ends::<32>(value),
        Some(4) => ends::<16>(value),
        Some(3) => ends::<8>(value),
        _ => value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    of_ends.wrapping_add(of_blocks).wrapping_add(value.len() as u64)
}

/// The first and the last so many bytes of a value that has as many; what lies in both counts twice.
#[inline]
fn ends<const N: usize>(value: &[u8]) -> u64 {
    let of = |bytes: Option<&[u8; N]>| bytes.map_or(0, added);
    of(value.first_chunk()).wrapping_add(of(value.last_chunk()).rotate_left(1))
}

#[inline]
fn added<const N: usize>(bytes: &[u8; N]) -> u64 {
    bytes.as_chunks::<8>().0.iter().fold(0, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}
