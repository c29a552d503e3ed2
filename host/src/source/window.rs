//! The stretch of a stream that is in memory.

/// Bytes of a stream in one buffer, from the first that no record has taken yet.
#[derive(Debug)]
pub(super) struct Window {
    data: Vec<u8>,
    start: usize,
    end: usize,
    /// Where `start` is in the stream.
    offset: u64,
    chunk: usize,
}

impl Window {
    /// Grows by `chunk` bytes at a time.
    pub(super) fn new(chunk: usize) -> Self {
        Self { data: Vec::new(), start: 0, end: 0, offset: 0, chunk: chunk.max(1) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    /// Where its first byte is in the stream.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the byte behind its last one is in the stream.
    pub(super) fn end(&self) -> u64 {
        self.offset + (self.end - self.start) as u64
    }

    /// Lets go of the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Lets go of everything and goes on elsewhere in the stream.
    pub(super) fn move_to(&mut self, offset: u64) {
        (self.start, self.end, self.offset) = (0, 0, offset);
    }

    /// Room for the next bytes; [`Window::filled`] says how many there are.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.make_room(self.chunk);
        let end = self.end + self.chunk;
        &mut self.data[self.end..end]
    }

    /// `count` bytes of what [`Window::room`] gave are there.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// Adds bytes at the end.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.data[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    fn make_room(&mut self, count: usize) {
        if self.data.len() - self.end >= count {
            return;
        }
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // One large record is no reason to keep so much for good.
        let keep = 4 * self.chunk.max(count);
        if self.data.len() > 2 * keep && self.end + count <= keep {
            self.data.truncate(keep);
            self.data.shrink_to(keep);
        }
        if self.data.len() - self.end < count {
            self.data.resize(self.end + count, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_keeps_its_place_in_the_stream_as_it_slides() {
        let mut window = Window::new(3);
        for round in 0u64..50 {
            window.extend(&[round as u8; 5]);
            window.room()[0] = 99;
            window.filled(1);
            window.consume(6);
            assert_eq!((window.offset(), window.end()), ((round + 1) * 6, (round + 1) * 6));
        }
        window.extend(b"abc");
        window.consume(1);
        assert_eq!(window.bytes(), b"bc");
        assert!(window.data.len() < 64);
    }

    #[test]
    fn a_window_gives_back_what_one_large_record_took() {
        let mut window = Window::new(8);
        window.extend(&[1; 100_000]);
        window.consume(100_000);
        for _ in 0..4 {
            window.room();
            window.filled(8);
            window.consume(8);
        }
        window.consume(0);
        while window.data.len() > 1000 {
            window.room();
            window.filled(8);
            window.consume(8);
        }
        assert!(window.data.capacity() < 1000);
    }
}
