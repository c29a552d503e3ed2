//! The tables of a spool, and how one of an earlier version becomes one of this.
//!
//! `user_version` tells the format. A spool is brought from one format to the next in one transaction; one of a later format is refused.

use rusqlite::Connection;

/// The number of the format below.
pub(super) const FORMAT: i64 = 5;

/// Format 1. The spans of a batch lie side by side from its first record to its last; no two neighbours are alike. A batch goes with the last
/// of its records that reaches an end, and its spans with it; how many there were stays in `totals`.
const FORMAT_1: &str = "
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        action INTEGER NOT NULL,
        version TEXT,
        label TEXT NOT NULL,
        count INTEGER NOT NULL,
        taken INTEGER NOT NULL, -- this and all moments in milliseconds since 1970
        raw INTEGER NOT NULL, -- bytes before they were compressed
        data BLOB NOT NULL -- zstd
    );
    CREATE INDEX batches_by_time ON batches (taken);
    CREATE TABLE sizes (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        batches INTEGER NOT NULL,
        bytes INTEGER NOT NULL -- data of each and 256
    ) WITHOUT ROWID;
    INSERT INTO sizes VALUES (1, 0, 0);
    CREATE TRIGGER batch_taken AFTER INSERT ON batches BEGIN
        UPDATE sizes SET batches = batches + 1, bytes = bytes + 256 + length(new.data);
    END;
    CREATE TRIGGER batch_gone AFTER DELETE ON batches BEGIN
        UPDATE sizes SET batches = batches - 1, bytes = bytes - 256 - length(old.data);
        DELETE FROM spans WHERE batch = old.id;
    END;
    CREATE TABLE spans (
        batch INTEGER NOT NULL REFERENCES batches (id),
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        action INTEGER NOT NULL,
        state INTEGER NOT NULL, -- waiting, executing, uploading, succeeded, failed, discarded, unknown
        attempts INTEGER NOT NULL,
        due INTEGER NOT NULL, -- of failed ones
        upload INTEGER, -- of uploading ones
        PRIMARY KEY (batch, start)
    ) WITHOUT ROWID;
    CREATE INDEX open_spans ON spans (action, batch, start) WHERE state NOT IN (3, 5);
    CREATE INDEX due_spans ON spans (action, state, due) WHERE state IN (0, 4);
    CREATE INDEX uploading_spans ON spans (upload) WHERE state = 2;
    CREATE TABLE marks (
        action INTEGER NOT NULL,
        partition TEXT NOT NULL,
        sequence INTEGER NOT NULL, -- of the last record that was taken
        ordinal INTEGER NOT NULL,
        PRIMARY KEY (action, partition)
    ) WITHOUT ROWID;
    CREATE TABLE totals (
        action INTEGER NOT NULL,
        state INTEGER NOT NULL,
        records INTEGER NOT NULL,
        PRIMARY KEY (action, state)
    ) WITHOUT ROWID;
    CREATE TABLE uploads (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        intent TEXT NOT NULL UNIQUE,
        action INTEGER NOT NULL,
        digest TEXT NOT NULL, -- of the component
        version TEXT,
        file TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        records INTEGER NOT NULL,
        part INTEGER NOT NULL,
        state INTEGER NOT NULL, -- staged, sending, working, asking, held, settled, released
        attempt INTEGER NOT NULL,
        handle BLOB,
        next INTEGER NOT NULL,
        failures INTEGER NOT NULL,
        created INTEGER NOT NULL,
        sent INTEGER,
        changed INTEGER NOT NULL,
        reason TEXT
    );
    CREATE TABLE lines (
        upload INTEGER NOT NULL REFERENCES uploads (id),
        start INTEGER NOT NULL, -- in the file
        end INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        first INTEGER NOT NULL, -- record of the batch that the first line is of
        PRIMARY KEY (upload, start)
    ) WITHOUT ROWID;
    CREATE TABLE transitions (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        batch INTEGER NOT NULL,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        before INTEGER, -- NULL where they were taken
        after INTEGER NOT NULL,
        upload INTEGER,
        reason TEXT
    );
    CREATE INDEX transitions_by_time ON transitions (at);
";

/// Format 2 has follow-ups: what is to be born of records goes with their batch, and so does what is known to have been.
const FORMAT_2: &str = "
    ALTER TABLE batches ADD COLUMN depth INTEGER NOT NULL DEFAULT 0; -- follow-ups of follow-ups of …
    CREATE TABLE promises (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        batch INTEGER NOT NULL REFERENCES batches (id), -- of the causes
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        outcome INTEGER NOT NULL, -- succeeded, failed, discarded
        action INTEGER NOT NULL,
        name TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        most INTEGER NOT NULL, -- follow-ups in a row
        raw INTEGER NOT NULL,
        data BLOB NOT NULL -- zstd, a record for each cause
    );
    CREATE INDEX promises_by_cause ON promises (batch, outcome, start);
    CREATE TABLE followed (
        batch INTEGER NOT NULL REFERENCES batches (id), -- of the causes
        action INTEGER NOT NULL,
        start INTEGER NOT NULL,
        end INTEGER NOT NULL,
        PRIMARY KEY (batch, action, start)
    ) WITHOUT ROWID;
    CREATE TRIGGER cause_gone AFTER DELETE ON batches BEGIN
        DELETE FROM promises WHERE batch = old.id;
        DELETE FROM followed WHERE batch = old.id;
    END;
    CREATE TABLE moved (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        id INTEGER NOT NULL -- of the last that was owed by the store beside it, and is here
    ) WITHOUT ROWID;
    INSERT INTO moved VALUES (1, 0);
";

/// Format 3 knows its actions by name.
const FORMAT_3: &str = "
    CREATE TABLE actions (
        action INTEGER PRIMARY KEY, -- the index by which all others know it
        name TEXT NOT NULL UNIQUE,
        folder INTEGER NOT NULL UNIQUE -- of its staged files; it stays
    );
    ALTER TABLE uploads ADD COLUMN asked_as INTEGER NOT NULL DEFAULT 0; -- the action's index in the component that it belongs to; it stays
    UPDATE uploads SET asked_as = action;
";

/// Format 4 has follow-ups of records that are written as they come: what becomes of these is in the store, and a promise goes once it is
/// there. What is promised takes room, and is counted.
const FORMAT_4: &str = "
    DROP TABLE moved;
    CREATE TABLE written (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        action INTEGER NOT NULL,
        version TEXT,
        label TEXT NOT NULL,
        pipeline TEXT NOT NULL,
        count INTEGER NOT NULL,
        raw INTEGER NOT NULL,
        data BLOB NOT NULL -- zstd
    );
    CREATE TABLE promised (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        records INTEGER NOT NULL,
        bytes INTEGER NOT NULL -- data of each promise, of either kind, and 256
    ) WITHOUT ROWID;
    INSERT INTO promised
        SELECT 1, coalesce(sum(end - start), 0), coalesce(sum(256 + length(data)), 0) FROM promises;
    CREATE TRIGGER promise_made AFTER INSERT ON promises BEGIN
        UPDATE promised SET records = records + new.end - new.start, bytes = bytes + 256 + length(new.data);
    END;
    CREATE TRIGGER promise_gone AFTER DELETE ON promises BEGIN
        UPDATE promised SET records = records - old.end + old.start, bytes = bytes - 256 - length(old.data);
    END;
    CREATE TRIGGER written_made AFTER INSERT ON written BEGIN
        UPDATE promised SET records = records + new.count, bytes = bytes + 256 + length(new.data);
    END;
    CREATE TRIGGER written_gone AFTER DELETE ON written BEGIN
        UPDATE promised SET records = records - old.count, bytes = bytes - 256 - length(old.data);
    END;
";

/// Format 5 has an identity, which the store beside it knows: another one, or one that begins anew, does not take its place unseen.
const FORMAT_5: &str = "
    CREATE TABLE identity (
        one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
        id TEXT NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO identity VALUES (1, lower(hex(randomblob(16))));
";

/// Brings a spool that has the format `from` to the one above; 0 is one that has nothing yet.
pub(super) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if from < 1 {
        transaction.execute_batch(FORMAT_1)?;
    }
    if from < 2 {
        transaction.execute_batch(FORMAT_2)?;
    }
    if from < 3 {
        transaction.execute_batch(FORMAT_3)?;
    }
    if from < 4 {
        transaction.execute_batch(FORMAT_4)?;
    }
    if from < 5 {
        transaction.execute_batch(FORMAT_5)?;
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// A spool of an earlier format, to be brought to this.
#[cfg(test)]
pub(super) fn earlier(connection: &mut Connection, format: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for part in [FORMAT_1, FORMAT_2].iter().take(format) {
        transaction.execute_batch(part)?;
    }
    transaction.pragma_update(None, "user_version", format as i64)?;
    transaction.commit()
}
