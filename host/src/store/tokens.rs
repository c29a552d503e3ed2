//! Refresh tokens that far sides gave in the place of earlier ones, sealed.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::{SqliteStore, StoreError};

/// A refresh token as it is kept: nobody reads it without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedToken {
    /// Tells with which key it is sealed, and nothing of the key.
    pub key_id: Vec<u8>,
    /// Tells which configuration it came of, and nothing of that.
    pub configured: Vec<u8>,
    /// The token, encrypted.
    pub sealed: Vec<u8>,
    /// When it was given, after RFC 3339.
    pub at: String,
}

/// Keeps refresh tokens by the provider's id.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// The token that was kept last.
    async fn refresh_token(&self, provider: &str) -> Result<Option<SealedToken>, StoreError>;

    /// Keeps a token in the place of the last one. It is on disk, against the end of the machine too, when this returns.
    async fn keep_refresh_token(&self, provider: &str, token: SealedToken) -> Result<(), StoreError>;
}

/// Added to a store that has it not: nobody who does not know it is led astray by it, so the format stays what it is.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS refresh_tokens (
        provider TEXT NOT NULL PRIMARY KEY,
        key_id BLOB NOT NULL,
        configured BLOB NOT NULL,
        sealed BLOB NOT NULL,
        at TEXT NOT NULL
    ) WITHOUT ROWID;
";

#[async_trait]
impl TokenStore for SqliteStore {
    async fn refresh_token(&self, provider: &str) -> Result<Option<SealedToken>, StoreError> {
        let provider = provider.to_owned();
        self.on("read", move |connection| {
            let mut found =
                connection.prepare_cached("SELECT key_id, configured, sealed, at FROM refresh_tokens WHERE provider = ?")?;
            let token = found.query_row([provider], |row| {
                Ok(SealedToken { key_id: row.get(0)?, configured: row.get(1)?, sealed: row.get(2)?, at: row.get(3)? })
            });
            token.optional()
        })
        .await
    }

    async fn keep_refresh_token(&self, provider: &str, token: SealedToken) -> Result<(), StoreError> {
        let provider = provider.to_owned();
        self.on("write to", move |connection| {
            let SealedToken { key_id, configured, sealed, at } = token;
            connection.pragma_update(None, "synchronous", "FULL")?;
            let written = connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO refresh_tokens (provider, key_id, configured, sealed, at) VALUES (?, ?, ?, ?, ?)",
                )
                .and_then(|mut insert| insert.execute(params![provider, key_id, configured, sealed, at]));
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            written.map(drop)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[tokio::test]
    async fn a_store_that_was_made_before_there_were_tokens_takes_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wharf.db");
        SqliteStore::open(&path).unwrap();
        let old = Connection::open(&path).unwrap();
        old.execute_batch("DROP TABLE refresh_tokens").unwrap();
        drop(old);

        let token =
            |sealed: &[u8]| SealedToken { key_id: vec![1], configured: vec![0, 255], sealed: sealed.into(), at: "t".into() };
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.refresh_token("a").await.unwrap(), None);
        store.keep_refresh_token("a", token(b"1")).await.unwrap();
        store.keep_refresh_token("b", token(b"2")).await.unwrap();
        store.keep_refresh_token("a", token(b"3")).await.unwrap();
        drop(store);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(store.refresh_token("a").await.unwrap(), Some(token(b"3")));
        assert_eq!(store.refresh_token("b").await.unwrap(), Some(token(b"2")));
    }
}
