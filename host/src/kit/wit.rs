//! The contract as other languages' tools take it: a folder with a world of the author's own, and in `deps/` the packages that it stands
//! on, a folder each.
//!
//! The contract itself asks for nothing of WASI. The packages beside it are those that this host serves, of the version that it serves,
//! so that a world may import what it needs of them, HTTP above all.

use std::path::Path;

use super::{Trouble, folder};

/// A package, and the files that it is.
struct Package {
    name: &'static str,
    version: &'static str,
    folder: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// The version of the contract.
const CONTRACT: &str = "0.1.0";
/// The version of WASI that the engine serves.
const WASI: &str = "0.2.12";

macro_rules! wasi {
    ($name:literal) => {
        Package {
            name: concat!("wasi:", $name),
            version: WASI,
            folder: concat!("wasi-", $name),
            files: &[(concat!($name, ".wit"), include_str!(concat!("wasi/", $name, ".wit")))],
        }
    };
}

const PACKAGES: [Package; 8] = [
    Package {
        name: "wharf:connector",
        version: CONTRACT,
        folder: "wharf-connector",
        files: &[
            ("types.wit", include_str!("../../../wit/types.wit")),
            ("host.wit", include_str!("../../../wit/host.wit")),
            ("connector.wit", include_str!("../../../wit/connector.wit")),
        ],
    },
    wasi!("cli"),
    wasi!("clocks"),
    wasi!("filesystem"),
    wasi!("http"),
    wasi!("io"),
    wasi!("random"),
    wasi!("sockets"),
];

/// The schema of what `describe` returns.
const SCHEMA: &str = include_str!("../../../wit/descriptor.schema.json");

/// The worlds that are written, each with what it is for.
pub const WORLDS: [(&str, &str); 4] = [
    ("write-destination", "Writes records as they come."),
    ("bulk-destination", "Takes records as uploads."),
    ("mixed-destination", "Some actions are written, others uploaded."),
    ("record-processor", "Changes records on their way."),
];

/// The package that is the author's own.
pub const LOCAL: &str = "local:connector";

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// The packages in `deps/`, each with its version.
    pub packages: Vec<(&'static str, &'static str)>,
    /// Whether a `world.wit` was there, and stays as it was.
    pub kept: bool,
}

/// Writes the contract into a folder, which is made where there is none.
///
/// `force` has files of the same names replaced, but for `world.wit`, which is the author's.
///
/// # Errors
/// Where the folder is not empty, or cannot be written.
pub fn write(into: &Path, force: bool) -> Result<Written, Trouble> {
    folder::prepared(into, force)?;
    let kept = into.join("world.wit").exists();
    if !kept {
        folder::write(into, "world.wit", &world())?;
    }
    folder::write(into, "descriptor.schema.json", SCHEMA)?;
    for Package { folder, files, .. } in &PACKAGES {
        for (name, text) in *files {
            folder::write(into, &format!("deps/{folder}/{name}"), text)?;
        }
    }
    Ok(Written { packages: PACKAGES.iter().map(|package| (package.name, package.version)).collect(), kept })
}

fn world() -> String {
    let mut text = format!(
        "/// Worlds to build a component for: take one, and leave out the others. Yours to change; `wharf wit --force` leaves this file as it is.
///
/// An import asks for nothing: what a component may reach is granted in the pipeline file, and what is not granted answers so. Whatever else
/// of `deps/` it needs, it imports likewise. With `export wharf:connector/probe@{CONTRACT};` it can be asked whether its far side is there.
package {LOCAL};
"
    );
    for (name, summary) in WORLDS {
        // What changes records reaches nobody.
        let http = if name == "record-processor" { "" } else { "    import wasi:http/outgoing-handler@0.2.12;\n" };
        text.push_str(&format!("\n/// {summary}\nworld {name} {{\n    include wharf:connector/{name}@{CONTRACT};\n{http}}}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use wit_parser::{PackageName, Resolve, UnresolvedPackageGroup, WorldItem, WorldKey};

    use super::*;

    /// The functions of everything that a world imports or exports, by the interface's name.
    fn items(resolve: &Resolve, package: &str, version: Option<&str>, world: &str) -> (Vec<String>, Vec<String>) {
        let (namespace, name) = package.split_once(':').unwrap();
        let version = version.map(|version| version.parse().unwrap());
        let package = PackageName { namespace: namespace.into(), name: name.into(), version };
        let package = resolve.package_names[&package];
        let world = &resolve.worlds[resolve.packages[package].worlds[world]];
        let listed = |items: &wit_parser::IndexMap<WorldKey, WorldItem>| {
            let mut listed = Vec::new();
            for (key, item) in items {
                let name = resolve.name_world_key(key);
                let WorldItem::Interface { id, .. } = item else { panic!("{name} is no interface") };
                let interface = &resolve.interfaces[*id];
                listed.push(name.clone());
                listed.extend(
                    interface.functions.iter().map(|(function, shape)| format!("{name} {function} {:?}", shape.params.len())),
                );
                listed.extend(interface.types.keys().map(|kind| format!("{name} type {kind}")));
            }
            listed.sort();
            listed
        };
        (listed(&world.imports), listed(&world.exports))
    }

    #[test]
    fn what_is_written_is_the_contract_and_the_wasi_that_it_may_import() {
        let folder = tempfile::tempdir().unwrap();
        let written = write(folder.path(), false).unwrap();
        let mut resolve = Resolve::new();
        resolve.push_dir(folder.path()).unwrap();
        for (name, version) in &written.packages {
            let (namespace, name) = name.split_once(':').unwrap();
            let package = PackageName { namespace: namespace.into(), name: name.into(), version: Some(version.parse().unwrap()) };
            assert!(resolve.package_names.contains_key(&package), "{package} is not there");
        }
        assert_eq!(resolve.package_names.len(), written.packages.len() + 1);

        let mut contract = Resolve::new();
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        contract.push_group(UnresolvedPackageGroup::parse_dir(&wit).unwrap()).unwrap();
        for (world, _) in WORLDS {
            let (imports, exports) = items(&contract, "wharf:connector", Some(CONTRACT), world);
            let (more, same) = items(&resolve, LOCAL, None, world);
            assert_eq!(same, exports, "{world}");
            let (others, ours): (Vec<String>, Vec<String>) = more.into_iter().partition(|item| item.starts_with("wasi:"));
            assert_eq!(ours, imports, "{world}");
            let http = others.iter().any(|item| item.starts_with("wasi:http/outgoing-handler@0.2.12 handle"));
            assert_eq!(http, world != "record-processor", "{world}: {others:?}");
        }
    }

    #[test]
    fn every_file_of_the_contract_is_written() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), false).unwrap();
        let mut there = 0;
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            let wit = path.extension().is_some_and(|extension| extension == "wit");
            let written = if wit { folder.path().join("deps/wharf-connector").join(name) } else { folder.path().join(name) };
            assert_eq!(fs::read_to_string(&written).unwrap(), fs::read_to_string(&path).unwrap(), "{}", path.display());
            there += 1;
        }
        assert!(there >= 4);
    }

    #[test]
    fn the_world_of_an_author_survives() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!write(folder.path(), false).unwrap().kept);
        write(folder.path(), false).unwrap_err();
        fs::write(folder.path().join("world.wit"), "mine").unwrap();
        fs::write(folder.path().join("deps/wasi-io/io.wit"), "changed").unwrap();
        assert!(write(folder.path(), true).unwrap().kept);
        assert_eq!(fs::read_to_string(folder.path().join("world.wit")).unwrap(), "mine");
        assert_ne!(fs::read_to_string(folder.path().join("deps/wasi-io/io.wit")).unwrap(), "changed");
    }
}
