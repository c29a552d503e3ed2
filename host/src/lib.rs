//! Wharf runs destinations as sandboxed WebAssembly components, feeds them batches of records under limits, and accounts for what became
//! of every single record.
//!
//! The program `wharf` is [`cli`] and nothing else. Whoever embeds the host takes what lies below it: [`plan`] and [`runtime`] for
//! whole pipelines, or [`connector`] for a component alone.
//!
//! # The rooms
//!
//! A room imports only rooms below it, and [`record`] imports nothing of the project.
//!
//! | room | what is in it |
//! | --- | --- |
//! | [`cli`] | a file per command; prints, and nothing else |
//! | [`kit`] | what the author of a connector works with |
//! | [`monitoring`] | metrics and health of what runs, over HTTP |
//! | [`runtime`] | starts, supervises and stops the pipelines of a plan |
//! | [`conformance`] | what a connector must do, case by case |
//! | [`bulk`] | files out of the spool, their uploads, and what becomes of these |
//! | [`plan`] | pipeline file, components and grants, checked together |
//! | [`pipeline`] | order, retries, dead letters, checkpoints |
//! | [`connector`] | a loaded component and its life, a folder per version of the contract |
//! | [`sandbox`] | engine, instances, limits, grants: all that touches wasmtime's store |
//! | [`operate`] | what an operator asks of a data directory and of the host that uses it; the control socket |
//! | [`source`], [`store`] | where records come from; what must outlive the process |
//! | [`config`], [`clock`] | the pipeline file as written; the one place time comes from |
//! | [`given_file`] | files that an operator names, opened without waiting for anybody |
//! | [`record`] | columns, batches, verdicts, receipts: plain data, no I/O |
//!
//! # Embedding
//!
//! A component is loaded, its settings are checked, a session is opened with what it is granted, and each batch gets an answer in which
//! every record has a fate. It takes a tokio runtime with time enabled.
//!
//! ```no_run
//! use std::{collections::BTreeMap, path::Path, sync::Arc};
//! use wharf::{
//!     clock::Clock,
//!     config::{Access, Directory},
//!     connector::{Loader, Opening},
//!     record::BatchBuilder,
//!     sandbox::{Directories, Engine, Grants, Scope},
//! };
//!
//! # async fn embed() -> Result<(), Box<dyn std::error::Error>> {
//! // Components are compiled in this process and their code is kept nowhere. For a stranger's, `Engine::within` names a program that
//! // compiles in a child process, and `Cache::open` a folder.
//! let loader = Loader::new(Engine::new(None)?, Clock::system())?;
//! let connector = loader.load(Path::new("target/connectors/file.wasm")).await?;
//!
//! let out = Directory { host: "out".into(), guest: "/out".into(), access: Access::ReadWrite, quota: None };
//! let opening = Opening {
//!     grants: Grants { directories: Directories::find([&out]).map_err(|(_index, error)| error)?, ..Grants::default() },
//!     scope: Scope::new([("pipeline", "embedded"), ("destination", "files")]),
//!     ..Opening::default()
//! };
//! let given = BTreeMap::from([("name".to_owned(), "records.ndjson".into())]);
//! let settings = connector.check(&given, &opening.limits, &opening.scope).await?.map_err(|problems| format!("{problems:?}"))?;
//! let mut session = connector.open(&Opening { settings, ..opening }).await?;
//!
//! let mut batch = BatchBuilder::with_capacity(1, 32, false, Some("application/json".into()));
//! batch.push(0, None, br#"{"hello":"world"}"#)?;
//! let answer = session.write(&batch.finish("embedded", "partition".into()), 1).await;
//! for run in answer.runs {
//!     println!("records {}: {:?}", run.records, run.fate);
//! }
//! session.close().await?.map_err(|failure| failure.to_string())?;
//! # Ok(())
//! # }
//! ```
//!
//! An answer whose `trouble` is [`Ended`](connector::Trouble::Ended) leaves a session that is gone: open another. Retries, dead letters and
//! checkpoints are the work of [`pipeline`], which does all of this for as many destinations as a pipeline file names.

pub mod bulk;
pub mod cli;
pub mod clock;
pub mod config;
pub mod conformance;
pub mod connector;
pub mod given_file;
pub mod kit;
pub mod monitoring;
pub mod operate;
pub mod pipeline;
pub mod plan;
pub mod record;
pub mod runtime;
pub mod sandbox;
pub mod source;
pub mod store;
