//! The staged file of the upload in hand.
//!
//! **Threat.** A component asks for all of a large file at once, for what lies beyond it, or for the file of another upload. **Answer.** It names no
//! file: it is lent the one that the call is about, for as long as the call lasts, in pieces of bounded size and read-only.

use std::{fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

/// The most bytes of one piece; a component that asks for more gets as much, and asks again.
const PIECE: u32 = 1 << 20;

/// A file that a call may read. Clones share it.
#[derive(Clone, Debug)]
pub struct Staged {
    file: Arc<File>,
    bytes: u64,
}

impl Staged {
    /// The first `bytes` of a file: what is behind them is not shown.
    pub fn new(file: File, bytes: u64) -> Self {
        Self { file: Arc::new(file), bytes }
    }

    /// At most `length` bytes from `offset` on; empty at the end and behind it.
    ///
    /// # Errors
    /// What the system says, and [`io::ErrorKind::UnexpectedEof`] where the file is shorter than it was.
    pub async fn read(&self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let left = self.bytes.saturating_sub(offset);
        let length = u64::from(length.min(PIECE)).min(left) as usize;
        if length == 0 {
            return Ok(Vec::new());
        }
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, offset).map(|()| piece)
        });
        read.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn it_is_read_in_pieces_and_no_further_than_it_goes() {
        let mut file = tempfile::tempfile().unwrap();
        let text: Vec<u8> = (0..3_000_000_u32).map(|byte| byte as u8).collect();
        file.write_all(&text).unwrap();
        let staged = Staged::new(file.try_clone().unwrap(), 2_500_000);
        let mut read = Vec::new();
        loop {
            let piece = staged.read(read.len() as u64, u32::MAX).await.unwrap();
            assert!(piece.len() <= PIECE as usize);
            if piece.is_empty() {
                break;
            }
            read.extend(piece);
        }
        assert!(read == text[..2_500_000]);
        assert!(staged.read(u64::MAX, 1).await.unwrap().is_empty());
        assert!(staged.read(7, 0).await.unwrap().is_empty());
        file.set_len(10).unwrap();
        assert_eq!(staged.read(5, 10).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
