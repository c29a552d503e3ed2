//! The server of all tests of this process, and the destination over it.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use wharf_postgres::connector::Postgres as Connector;
use wharf_sdk::testing::Harness;
use wharf_tests::postgres::Postgres;

/// The server.
pub fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().unwrap())
}

/// A database of a test's own.
pub struct Database(pub String);

impl Database {
    /// Made by these statements.
    pub fn new(statements: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Relaxed));
        server().psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        let database = Self(name);
        database.psql(statements);
        database
    }

    /// What `psql` prints of a statement.
    pub fn psql(&self, statement: &str) -> String {
        server().psql(&self.0, statement).unwrap()
    }

    /// The destination with these settings beside those of the server.
    pub fn destination(&self, settings: &[(&str, &str)]) -> Harness<Connector> {
        let port = server().port().to_string();
        let given = [
            ("host", "127.0.0.1"),
            ("port", &port),
            ("database", &self.0),
            ("user", Postgres::USER),
            ("password", Postgres::PASSWORD),
            ("tls", "off"),
        ];
        let own = given.iter().filter(|(name, _)| settings.iter().all(|(other, _)| other != name));
        let harness = Harness::new().context("pipeline", "p").context("destination", "d").context("ordered", "true");
        own.chain(settings).fold(harness, |harness, (name, value)| harness.setting(*name, *value))
    }
}
