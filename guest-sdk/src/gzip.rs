//! Gzip, for uploads and for the reports that far sides answer with. A staged file is compressed by [`Staged::gzip`](crate::Staged::gzip).

use std::io::Read;

use flate2::{Compression, read::GzEncoder, read::MultiGzDecoder};

/// What a reader gives, compressed as it is read.
pub fn compress(reader: impl Read) -> impl Read {
    GzEncoder::new(reader, Compression::default())
}

/// What a compressed reader gives, as it was; several members one behind the other are one text. What it comes to may be a thousand times what is
/// there: read with a bound ([`Read::take`]).
pub fn decompress(reader: impl Read) -> impl Read {
    MultiGzDecoder::new(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_comes_out_as_it_was() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut compressed = Vec::new();
        compress(&text[..200_000]).read_to_end(&mut compressed).unwrap();
        compress(&text[200_000..]).read_to_end(&mut compressed).unwrap();
        let mut found = Vec::new();
        decompress(&compressed[..]).read_to_end(&mut found).unwrap();
        assert!(compressed.len() < text.len() && found == text);
    }
}
