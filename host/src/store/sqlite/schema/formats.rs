//! What each format of the store made of the one before, word for word: a store of it is somewhere.

/// What the store was made of at first.
pub(super) const FORMAT_1: &str = "
    CREATE TABLE checkpoints (
        pipeline TEXT NOT NULL,
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        next INTEGER NOT NULL,
        read_to INTEGER NOT NULL,
        PRIMARY KEY (pipeline, partition)
    ) WITHOUT ROWID;
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where the source could not read the record
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        key BLOB,
        record BLOB,
        kind TEXT NOT NULL,
        code TEXT,
        message TEXT NOT NULL,
        connector TEXT,
        attempts INTEGER NOT NULL,
        at TEXT NOT NULL,
        UNIQUE (pipeline, destination, partition, sequence, ordinal)
    );
";

/// Format 2:
///
/// - A reason stands once for each pipeline, however many records were given up for it, and goes with the last of them. Ids of dead letters are
///   never given again. What a pipeline's dead letters come to is kept beside them by triggers, so that it holds whoever writes.
/// - What a pipeline reads and where it delivers to is known, so that a change of these is noticed.
/// - Cuts that have to be the same when they are written again stand in `cuts` until the checkpoint moves past them.
pub(super) const FORMAT_2: &str = "
    CREATE TABLE reasons (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        digest BLOB NOT NULL, -- of the columns that follow
        kind TEXT NOT NULL,
        code TEXT,
        message TEXT NOT NULL,
        connector TEXT,
        UNIQUE (pipeline, digest)
    );
    ALTER TABLE dead_letters RENAME TO dead_letters_1;
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where the source could not read the record
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        key BLOB,
        record BLOB,
        reason INTEGER NOT NULL REFERENCES reasons (id),
        attempts INTEGER NOT NULL,
        at TEXT NOT NULL,
        UNIQUE (pipeline, partition, sequence, ordinal, destination) -- the order in which they are sent again
    );
    CREATE INDEX dead_letters_by_reason ON dead_letters (reason);
    CREATE INDEX dead_letters_by_time ON dead_letters (pipeline, at);
    CREATE VIEW dead_letters_in_words AS
        SELECT dead_letters.id, dead_letters.pipeline, destination, partition, label, sequence, ordinal, key, record,
            kind, code, message, connector, attempts, at
        FROM dead_letters JOIN reasons ON reasons.id = dead_letters.reason;

    CREATE TABLE dead_letter_totals (
        pipeline TEXT NOT NULL PRIMARY KEY,
        letters INTEGER NOT NULL,
        bytes INTEGER NOT NULL -- key and record of each and 256, and text and code of each reason and 256
    ) WITHOUT ROWID;
    CREATE TRIGGER dead_letter_written AFTER INSERT ON dead_letters BEGIN
        INSERT INTO dead_letter_totals VALUES
            (new.pipeline, 1, 256 + coalesce(length(new.key), 0) + coalesce(length(new.record), 0))
            ON CONFLICT DO UPDATE SET letters = letters + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER dead_letter_changed AFTER UPDATE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET bytes = bytes
            + coalesce(length(new.key), 0) + coalesce(length(new.record), 0)
            - coalesce(length(old.key), 0) - coalesce(length(old.record), 0)
            WHERE pipeline = new.pipeline;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
    END;
    CREATE TRIGGER dead_letter_removed AFTER DELETE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET letters = letters - 1,
            bytes = bytes - 256 - coalesce(length(old.key), 0) - coalesce(length(old.record), 0)
            WHERE pipeline = old.pipeline;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
    END;
    CREATE TRIGGER reason_written AFTER INSERT ON reasons BEGIN
        INSERT INTO dead_letter_totals VALUES
            (new.pipeline, 0, 256 + length(CAST(new.message AS BLOB)) + coalesce(length(CAST(new.code AS BLOB)), 0))
            ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER reason_removed AFTER DELETE ON reasons BEGIN
        UPDATE dead_letter_totals SET bytes = bytes
            - 256 - length(CAST(old.message AS BLOB)) - coalesce(length(CAST(old.code AS BLOB)), 0)
            WHERE pipeline = old.pipeline;
    END;

    CREATE TABLE sources (
        pipeline TEXT NOT NULL PRIMARY KEY,
        kind TEXT NOT NULL,
        reads TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE destinations (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        PRIMARY KEY (pipeline, destination)
    ) WITHOUT ROWID;
    CREATE TABLE cuts (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where it is the same for all
        partition TEXT NOT NULL,
        first INTEGER NOT NULL, -- sequence and ordinal of the first record
        first_ordinal INTEGER NOT NULL,
        last INTEGER NOT NULL, -- and of the last
        last_ordinal INTEGER NOT NULL,
        count INTEGER NOT NULL,
        next INTEGER NOT NULL, -- the sequence where the next stretch begins
        id TEXT NOT NULL,
        PRIMARY KEY (pipeline, destination, partition, first, first_ordinal)
    ) WITHOUT ROWID;
";

/// Moves the dead letters of format 1. A reason was told apart by a digest, which is told apart anew with the next format: here the text itself does.
pub(super) const SHARE_REASONS: &str = "
    INSERT INTO reasons (pipeline, digest, kind, code, message, connector)
        SELECT pipeline, CAST(json_array(kind, code, message, connector) AS BLOB) AS digest, kind, code, message, connector
        FROM dead_letters_1 GROUP BY pipeline, digest ORDER BY min(id);
    INSERT INTO dead_letters (id, pipeline, destination, partition, label, sequence, ordinal, key, record, reason, attempts, at)
        SELECT old.id, old.pipeline, destination, partition, label, sequence, ordinal, key, record, reasons.id, attempts, at
        FROM dead_letters_1 AS old JOIN reasons ON reasons.pipeline = old.pipeline
            AND reasons.digest = CAST(json_array(old.kind, old.code, old.message, old.connector) AS BLOB)
        ORDER BY old.id;
    DROP TABLE dead_letters_1;
";

/// Format 3:
///
/// - A dead letter keeps the whole record, and at which processor it was given up. What all records of a batch have in common stands once, in
///   `envelopes`, and goes with the last letter that it is of.
/// - What dead letters come to is known for each destination, so that each has its own room.
pub(super) const FORMAT_3: &str = "
    DROP VIEW dead_letters_in_words;
    DROP TRIGGER dead_letter_written;
    DROP TRIGGER dead_letter_changed;
    DROP TRIGGER dead_letter_removed;
    DROP TRIGGER reason_written;
    DROP TRIGGER reason_removed;
    DROP INDEX dead_letters_by_reason;
    DROP INDEX dead_letters_by_time;
    DROP TABLE dead_letter_totals;
    ALTER TABLE dead_letters RENAME TO dead_letters_2;
    ALTER TABLE reasons RENAME TO reasons_2;

    CREATE TABLE reasons (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        digest BLOB NOT NULL, -- of the columns that follow
        kind TEXT NOT NULL,
        code TEXT,
        message TEXT NOT NULL,
        connector TEXT,
        bytes INTEGER AS (256 + length(CAST(message AS BLOB)) + coalesce(length(CAST(code AS BLOB)), 0)),
        UNIQUE (pipeline, destination, digest)
    );
    CREATE TABLE envelopes (
        id INTEGER PRIMARY KEY,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        digest BLOB NOT NULL, -- of the columns that follow
        content_type TEXT, -- of the record
        before_content_type TEXT,
        key_content_type TEXT,
        metadata TEXT, -- a JSON object: what is the same for all records of the batch
        bytes INTEGER AS (256 + coalesce(length(CAST(content_type AS BLOB)), 0) + coalesce(length(CAST(before_content_type AS BLOB)), 0)
            + coalesce(length(CAST(key_content_type AS BLOB)), 0) + coalesce(length(CAST(metadata AS BLOB)), 0)),
        UNIQUE (pipeline, destination, digest)
    );
    CREATE TABLE dead_letters (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL, -- empty where it was given up for all of them
        processor TEXT NOT NULL, -- which gave it up; empty where the destination did, or the source could not read it
        partition TEXT NOT NULL,
        label TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        ordinal INTEGER NOT NULL,
        operation TEXT, -- null where an earlier version kept no more than key and record, and not which processor gave it up
        key BLOB,
        before BLOB,
        record BLOB,
        metadata TEXT, -- a JSON object: what is not in the envelope
        envelope INTEGER REFERENCES envelopes (id),
        reason INTEGER NOT NULL REFERENCES reasons (id),
        attempts INTEGER NOT NULL,
        at TEXT NOT NULL,
        bytes INTEGER AS (256 + coalesce(length(key), 0) + coalesce(length(before), 0) + coalesce(length(record), 0)
            + coalesce(length(CAST(metadata AS BLOB)), 0)),
        UNIQUE (pipeline, partition, sequence, ordinal, destination, processor) -- the order in which they are sent again
    );
    CREATE INDEX dead_letters_by_reason ON dead_letters (reason);
    CREATE INDEX dead_letters_by_envelope ON dead_letters (envelope) WHERE envelope IS NOT NULL;
    CREATE INDEX dead_letters_by_time ON dead_letters (pipeline, at);
    CREATE VIEW dead_letters_in_words AS
        SELECT dead_letters.id, dead_letters.pipeline, dead_letters.destination, processor, partition, label, sequence, ordinal,
            operation, key, before, record,
            json_patch(coalesce(envelopes.metadata, '{}'), coalesce(dead_letters.metadata, '{}')) AS metadata,
            content_type, before_content_type, key_content_type, kind, code, message, connector, attempts, at
        FROM dead_letters JOIN reasons ON reasons.id = dead_letters.reason
            LEFT JOIN envelopes ON envelopes.id = dead_letters.envelope;

    CREATE TABLE dead_letter_totals (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        letters INTEGER NOT NULL,
        bytes INTEGER NOT NULL, -- of dead_letters, reasons and envelopes together
        PRIMARY KEY (pipeline, destination)
    ) WITHOUT ROWID;
    CREATE TRIGGER dead_letter_written AFTER INSERT ON dead_letters BEGIN
        INSERT INTO dead_letter_totals VALUES (new.pipeline, new.destination, 1, new.bytes)
            ON CONFLICT DO UPDATE SET letters = letters + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER dead_letter_changed AFTER UPDATE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET bytes = bytes + new.bytes - old.bytes
            WHERE pipeline = new.pipeline AND destination = new.destination;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
        DELETE FROM envelopes
            WHERE id = old.envelope AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE envelope = old.envelope);
    END;
    CREATE TRIGGER dead_letter_removed AFTER DELETE ON dead_letters BEGIN
        UPDATE dead_letter_totals SET letters = letters - 1, bytes = bytes - old.bytes
            WHERE pipeline = old.pipeline AND destination = old.destination;
        DELETE FROM reasons
            WHERE id = old.reason AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE reason = old.reason);
        DELETE FROM envelopes
            WHERE id = old.envelope AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE envelope = old.envelope);
    END;
    CREATE TRIGGER reason_written AFTER INSERT ON reasons BEGIN
        INSERT INTO dead_letter_totals VALUES (new.pipeline, new.destination, 0, new.bytes)
            ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER reason_removed AFTER DELETE ON reasons BEGIN
        UPDATE dead_letter_totals SET bytes = bytes - old.bytes
            WHERE pipeline = old.pipeline AND destination = old.destination;
    END;
    CREATE TRIGGER envelope_written AFTER INSERT ON envelopes BEGIN
        INSERT INTO dead_letter_totals VALUES (new.pipeline, new.destination, 0, new.bytes)
            ON CONFLICT DO UPDATE SET bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER envelope_removed AFTER DELETE ON envelopes BEGIN
        UPDATE dead_letter_totals SET bytes = bytes - old.bytes
            WHERE pipeline = old.pipeline AND destination = old.destination;
    END;
";

/// What was moved out of the tables of format 2 is let go of, and numbers that were given go on being given to nobody else.
pub(super) const AFTER_3: &str = "
    DELETE FROM sqlite_sequence WHERE name = 'dead_letters';
    INSERT INTO sqlite_sequence (name, seq) SELECT 'dead_letters', seq FROM sqlite_sequence WHERE name = 'dead_letters_2';
    DROP TABLE dead_letters_2;
    DROP TABLE reasons_2;
";

/// Format 4: what spools are owed since the outcome of its cause is here.
pub(super) const FORMAT_4: &str = "
    CREATE TABLE owed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        promise INTEGER NOT NULL, -- its number in the spool
        born TEXT NOT NULL -- which of its follow-ups: a JSON array of [start, end]
    );
    CREATE INDEX owed_by_destination ON owed (pipeline, destination, id);
";

/// Format 5: a dead letter knows which action it was for.
pub(super) const FORMAT_5: &str = "
    ALTER TABLE dead_letters ADD COLUMN action TEXT NOT NULL DEFAULT ''; -- empty where the component names none, it was for none, or an earlier version gave it up
    DROP VIEW dead_letters_in_words;
    CREATE VIEW dead_letters_in_words AS
        SELECT dead_letters.id, dead_letters.pipeline, dead_letters.destination, processor, action, partition, label, sequence, ordinal,
            operation, key, before, record,
            json_patch(coalesce(envelopes.metadata, '{}'), coalesce(dead_letters.metadata, '{}')) AS metadata,
            content_type, before_content_type, key_content_type, kind, code, message, connector, attempts, at
        FROM dead_letters JOIN reasons ON reasons.id = dead_letters.reason
            LEFT JOIN envelopes ON envelopes.id = dead_letters.envelope;
";

/// Format 6: it is known which spool a destination has, so that one that is lost is missed.
pub(super) const FORMAT_6: &str = "
    CREATE TABLE spools (
        pipeline TEXT NOT NULL,
        destination TEXT NOT NULL,
        identity TEXT NOT NULL, -- as it stands in the spool
        PRIMARY KEY (pipeline, destination)
    ) WITHOUT ROWID;
";
