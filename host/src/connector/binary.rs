//! What can be told from a component's bytes before anything is compiled.
//!
//! **Threat.** A file that is no component, is cut short, is made for another contract, or is made to wear out whoever reads or compiles
//! it. **Answer.** The whole structure is walked once, sections and nested components included, so that a cut, a made-up length, and more
//! of anything than any component needs are found here ([`Bound`]); the names of the outermost imports and exports tell the version
//! of the contract. Nothing is compiled, and compiled code is never loaded from a file that a person names.

mod tally;

use std::fmt;

use semver::Version;
use thiserror::Error;
use wasmparser::{Encoding, Parser, Payload};

use self::tally::{Stop, Tally};

pub use self::tally::Bound;

/// The versions of `wharf:connector` that this host serves, oldest first.
pub const SERVED: &[Version] = &[Version::new(0, 1, 0)];

/// The package of the contract.
const PACKAGE: &str = "wharf:connector/";

/// The names that a component's outermost level has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What it imports, in its order.
    pub imports: Vec<String>,
    /// What it exports, in its order.
    pub exports: Vec<String>,
    /// The version of the contract that it is made for.
    pub api: Version,
}

impl Outline {
    /// Whether it exports an interface of the contract, such as `destination`.
    pub fn offers(&self, interface: &str) -> bool {
        self.exports.iter().filter_map(|name| contract(name)).any(|(offered, _)| offered == interface)
    }

    /// Whether it imports an interface of the contract, such as `follow-ups`.
    pub fn wants(&self, interface: &str) -> bool {
        self.imports.iter().filter_map(|name| contract(name)).any(|(wanted, _)| wanted == interface)
    }
}

/// Why some bytes are no connector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAConnector {
    /// Something else altogether.
    #[error("is {0}, not a WebAssembly component")]
    Other(&'static str),
    /// A module, which is what a component is made of.
    #[error("is a core WebAssembly module, not a component")]
    Module,
    /// A component that ends too early, or whose structure makes no sense.
    #[error("is damaged: {what} (at byte {at} of {size})")]
    Damaged {
        /// What the parser says.
        what: String,
        /// Where.
        at: u64,
        /// Bytes of the file.
        size: u64,
    },
    /// A component of more than any needs.
    #[error("has more than {} {}", .0.most(), .0.what())]
    Beyond(Bound),
    /// A component that exports nothing of the contract.
    #[error("is made for no version of wharf:connector (it exports {exports}); this host serves {}", Served)]
    NoContract {
        /// What it exports instead.
        exports: String,
    },
    /// A component for another version of the contract.
    #[error("is made for wharf:connector {found}; this host serves {}", Served)]
    OtherVersion {
        /// The version that it is made for.
        found: String,
    },
}

impl NotAConnector {
    /// What to do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Other(_) => "give the .wasm file that building a connector for wasm32-wasip2 makes",
            Self::Module => "build the connector for wasm32-wasip2, which makes a component",
            Self::Damaged { .. } => "copy or build the file again",
            Self::Beyond(Bound::NameBytes) => "strip it of the names of its functions",
            Self::Beyond(_) => "ask the connector's author; no toolchain makes such a component of an ordinary program",
            Self::NoContract { .. } => {
                "a connector exports wharf:connector/connector; the SDK's export_destination!, export_bulk! and export_processor! do that"
            }
            Self::OtherVersion { .. } => "build it against the contract of this host, or run a host that serves its version",
        }
    }
}

struct Served;

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, version) in SERVED.iter().enumerate() {
            write!(f, "{}{version}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Walks the bytes of a file.
pub fn outline(bytes: &[u8]) -> Result<Outline, NotAConnector> {
    if let Some(other) = something_else(bytes) {
        return Err(NotAConnector::Other(other));
    }
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    walk(bytes, &mut imports, &mut exports).map_err(|error| match error {
        Walked::Module => NotAConnector::Module,
        Walked::Stopped(stop) => stop.of(bytes.len() as u64),
    })?;
    let api = version(&imports, &exports)?;
    Ok(Outline { imports, exports, api })
}

/// Why a walk ended early.
enum Walked {
    /// It is a module from the outset.
    Module,
    Stopped(Stop),
}

impl<E: Into<Stop>> From<E> for Walked {
    fn from(error: E) -> Self {
        Self::Stopped(error.into())
    }
}

/// Reads all there is, and gathers the names at the outermost level.
fn walk(bytes: &[u8], imports: &mut Vec<String>, exports: &mut Vec<String>) -> Result<(), Walked> {
    let mut tally = Tally::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if tally.levels() == 0 {
            match &payload {
                Payload::Version { encoding: Encoding::Module, .. } => return Err(Walked::Module),
                Payload::ComponentImportSection(section) => {
                    for import in section.clone() {
                        imports.push(tally.name(import?.name.name)?);
                    }
                }
                Payload::ComponentExportSection(section) => {
                    for export in section.clone() {
                        exports.push(tally.name(export?.name.name)?);
                    }
                }
                _ => {}
            }
        }
        tally.take(bytes, payload)?;
    }
    Ok(())
}

/// The one version of the contract that all names agree on and this host serves.
fn version(imports: &[String], exports: &[String]) -> Result<Version, NotAConnector> {
    if !exports.iter().filter_map(|name| contract(name)).any(|(interface, _)| interface == "connector") {
        let mut exports = match exports {
            [] => "nothing".to_owned(),
            some => some.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", "),
        };
        exports = exports.escape_debug().take(200).collect();
        return Err(NotAConnector::NoContract { exports });
    }
    let mut found = None;
    for (_, version) in exports.iter().chain(imports).filter_map(|name| contract(name)) {
        let served = Version::parse(version).ok().filter(|version| SERVED.contains(version));
        let Some(served) = served else {
            let found = if version.is_empty() { "without a version".into() } else { version.escape_debug().take(40).collect() };
            return Err(NotAConnector::OtherVersion { found });
        };
        found = Some(served);
    }
    found.ok_or(NotAConnector::OtherVersion { found: "without a version".into() })
}

/// Interface and version of a name within the contract's package.
fn contract(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix(PACKAGE)?;
    Some(name.split_once('@').unwrap_or((name, "")))
}

/// What files that people mistake for components begin with.
fn something_else(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF", "a PDF document"),
        (b"\x7fELF", "an ELF file (a native program, or compiled code)"),
        (b"\x1f\x8b", "a gzip file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"PK\x03\x04", "a zip archive"),
        (b"#!", "a script"),
    ];
    if bytes.starts_with(b"\0asm") {
        return None;
    }
    if bytes.is_empty() {
        return Some("an empty file");
    }
    let known = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, name)| *name);
    known.or_else(|| {
        let head = &bytes[..bytes.len().min(1024)];
        let text = std::str::from_utf8(head).is_ok_and(|head| !head.contains('\0'));
        Some(if text { "a text file" } else { "a file of another kind" })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(wat: &str) -> Vec<u8> {
        wat::parse_str(wat).unwrap()
    }

    fn refusal(bytes: &[u8]) -> String {
        outline(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_connector_is_told_apart() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "is an empty file, not a WebAssembly component"),
            (b"\x89PNG\r\n\x1a\n", "is a PNG image, not a WebAssembly component"),
            (b"version: 1\n", "is a text file, not a WebAssembly component"),
            (b"\0asm\x01\0\0\0", "is a core WebAssembly module, not a component"),
            (b"\0asm\x0d\0\x01\0", "is made for no version of wharf:connector (it exports nothing); this host serves 0.1.0"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(refusal(bytes), *expected);
        }
        let other = component(r#"(component (instance $i) (export "wharf:connector/connector@0.2.0" (instance $i)))"#);
        assert_eq!(refusal(&other), "is made for wharf:connector 0.2.0; this host serves 0.1.0");
        let mixed = component(
            r#"(component (import "wharf:connector/log@0.3.0" (instance))
                 (instance $i) (export "wharf:connector/connector@0.1.0" (instance $i)))"#,
        );
        assert_eq!(refusal(&mixed), "is made for wharf:connector 0.3.0; this host serves 0.1.0");
    }

    #[test]
    fn a_component_that_is_cut_anywhere_is_damaged_or_incomplete() {
        let whole = component(
            r#"(component (import "wasi:cli/stdout@0.2.3" (instance)) (core module $m (func (export "f")))
                 (instance $i) (export "wharf:connector/connector@0.1.0" (instance $i)))"#,
        );
        let found = outline(&whole).unwrap();
        assert_eq!((&*found.imports, &found.api), (&["wasi:cli/stdout@0.2.3".to_owned()][..], &Version::new(0, 1, 0)));
        // What is cut off between two sections is not missed where it is not needed.
        let passed = (1..whole.len()).filter(|end| outline(&whole[..*end]).is_ok_and(|cut| cut == found));
        let failed = (1..whole.len()).filter(|end| outline(&whole[..*end]).is_err());
        assert_eq!(failed.count() + passed.clone().count(), whole.len() - 1);
        assert!(passed.count() <= 1, "only the section of names at the end may be missing");
    }
}
