//! A crate to begin with: it builds, passes its own tests and runs.
//!
//! The SDK's sources are embedded in the program, and written beside the crate: nobody needs a checkout, and what was written goes on
//! building whatever becomes of this host.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Trouble, folder};

/// What a connector is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A destination that is written to.
    #[default]
    Write,
    /// A destination that takes files.
    Bulk,
    /// What changes records on their way.
    Processor,
}

/// Every file of the SDK: its path in the checkout, and what stands in it.
const SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
/// Whose versions of dependencies the SDK is built with.
const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const TOOLCHAIN: &str = include_str!("../../../rust-toolchain.toml");

/// What a crate may not be called: `rustc` or cargo have it for something else.
const TAKEN: [&str; 52] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "wharf-sdk",
    "where",
    "while",
];

/// What was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Written {
    /// What the crate is called.
    pub name: String,
    /// Where its component will be, from its folder.
    pub component: String,
    /// How many files.
    pub files: usize,
}

/// Writes a crate into a folder, whose last part is its name. `sdk` is the folder of the SDK's crate, where not that of this program is taken.
///
/// # Errors
/// Where the name is none for a crate, the folder is not empty, there is no SDK at `sdk`, or a file cannot be written.
pub fn write(into: &Path, kind: Kind, sdk: Option<&Path>) -> Result<Written, Trouble> {
    let name = named(into)?;
    let sdk = sdk.map(found).transpose()?;
    folder::prepared(into, false)?;
    let file = name.replace('-', "_");
    let component = format!("target/wasm32-wasip2/release/{file}.wasm");
    let path = sdk.as_ref().map_or_else(|| "sdk/guest-sdk".into(), |sdk| sdk.display().to_string());
    let author = author().unwrap_or_else(|| format!("the authors of {name}"));
    let fill = |template: &str| {
        // The first may name the others.
        let filled = template.replace("{{try}}", kind.trial()).replace("{{notes}}", kind.notes());
        let filled = filled.replace("{{name}}", &name).replace("{{file}}", &file).replace("{{Type}}", &camel(&name));
        let filled = filled.replace("{{summary}}", kind.summary()).replace("{{kind}}", kind.title());
        filled.replace("{{sdk}}", &format!("{path:?}")).replace("{{author}}", &author)
    };
    let mut files = vec![
        ("Cargo.toml", fill(include_str!("templates/Cargo.toml.txt"))),
        ("src/lib.rs", fill(kind.template())),
        ("README.md", fill(include_str!("templates/README.md"))),
        ("ci", fill(include_str!("templates/ci.txt"))),
        (".github/workflows/ci.yml", fill(include_str!("templates/workflow.yml"))),
        (".gitignore", "/target\n.wharf/\n".to_owned()),
        ("rust-toolchain.toml", TOOLCHAIN.to_owned()),
        ("pipeline.yaml", fill(kind.pipeline())),
        ("conform.yaml", kind.suite().to_owned()),
        ("records.txt", "one\n  two\nthree\n".to_owned()),
    ];
    if kind != Kind::Processor {
        // A granted directory has to be there.
        files.push(("out/.gitignore", "*\n!.gitignore\n".to_owned()));
    }
    let mut written = files.len();
    for (name, text) in files {
        folder::write(into, name, &text)?;
    }
    executable(&into.join("ci"))?;
    if sdk.is_none() {
        folder::write(into, "sdk/Cargo.toml", &workspace())?;
        written += 1 + SDK.len();
        for (name, text) in SDK {
            folder::write(into, &format!("sdk/{name}"), text)?;
        }
    }
    Ok(Written { name, component, files: written })
}

impl Kind {
    fn template(self) -> &'static str {
        match self {
            Self::Write => include_str!("templates/write.rs"),
            Self::Bulk => include_str!("templates/bulk.rs"),
            Self::Processor => include_str!("templates/processor.rs"),
        }
    }

    /// What the new connector does.
    fn summary(self) -> &'static str {
        match self {
            Self::Write => "Appends each record to a file, as a line.",
            Self::Bulk => "Puts records into a directory, a file for each upload.",
            Self::Processor => "Takes the blanks away around each value, and drops what is blank.",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Write => "A destination",
            Self::Bulk => "A bulk destination",
            Self::Processor => "A processor",
        }
    }

    fn pipeline(self) -> &'static str {
        match self {
            Self::Write => include_str!("templates/write.yaml"),
            Self::Bulk => include_str!("templates/bulk.yaml"),
            Self::Processor => include_str!("templates/processor.yaml"),
        }
    }

    /// What conformance is tried with.
    fn suite(self) -> &'static str {
        match self {
            Self::Write => include_str!("templates/write.conform.yaml"),
            Self::Bulk => include_str!("templates/bulk.conform.yaml"),
            Self::Processor => include_str!("templates/processor.conform.yaml"),
        }
    }

    fn trial(self) -> &'static str {
        match self {
            Self::Write => {
                "wharf run pipeline.yaml\nwharf dev pipeline.yaml   # builds and runs it again after each change\nwharf bench target/wasm32-wasip2/release/{{file}}.wasm --pipeline pipeline.yaml"
            }
            Self::Bulk => {
                "wharf run pipeline.yaml --once --now\nwharf dev pipeline.yaml   # builds and runs it again after each change\nwharf bench target/wasm32-wasip2/release/{{file}}.wasm --pipeline pipeline.yaml"
            }
            Self::Processor => {
                "DESTINATION=… wharf run pipeline.yaml\nDESTINATION=… wharf dev pipeline.yaml   # builds and runs it again after each change\nwharf bench target/wasm32-wasip2/release/{{file}}.wasm"
            }
        }
    }

    fn notes(self) -> &'static str {
        match self {
            Self::Write | Self::Bulk => "What it may reach stands in `pipeline.yaml`: one directory, and nothing else.",
            Self::Processor => "`DESTINATION` is the component of any destination, such as `print`.",
        }
    }
}

/// The name of a crate and of a connector, which a descriptor holds to lower-case letters, digits and hyphens.
fn named(into: &Path) -> Result<String, Trouble> {
    let name = into.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-');
    if plain && !TAKEN.contains(&&*name) {
        return Ok(name);
    }
    let near: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let near = near.trim_matches(|c: char| c == '-' || c.is_ascii_digit());
    let hint = match near {
        "" => "a name is lower-case letters, digits and hyphens, such as `my-destination`".to_owned(),
        near if TAKEN.contains(&near) => format!("call it `{near}-destination`, say: `{near}` means something else to cargo"),
        near => format!("a name is lower-case letters, digits and hyphens, such as `{near}`"),
    };
    Err(Trouble::hint_of(format!("a connector cannot be called `{name}`"), hint))
}

/// The SDK's own crate, by its absolute path.
fn found(sdk: &Path) -> Result<PathBuf, Trouble> {
    let manifest = fs::read_to_string(sdk.join("Cargo.toml"));
    if manifest.is_ok_and(|manifest| manifest.contains("name = \"wharf-sdk\"")) {
        return sdk.canonicalize().map_err(|error| Trouble::new(format!("cannot find {}: {error}", sdk.display())));
    }
    Err(Trouble::hint_of(
        format!("{} is not the folder of the crate wharf-sdk", sdk.display()),
        "name `guest-sdk` of a checkout, or leave `--sdk` out: the SDK of this program is written beside the crate then",
    ))
}

/// Whoever git says that this is, or the system does.
fn author() -> Option<String> {
    let git = Command::new("git").args(["config", "user.name"]).stdin(Stdio::null()).output();
    let git =
        git.ok().filter(|output| output.status.success()).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let names = git.into_iter().chain(std::env::var("USER").ok());
    // It is written between quotes.
    let plain = |name: String| name.replace(|c: char| c.is_control() || matches!(c, '"' | '\\'), "").trim().to_owned();
    names.map(plain).find(|name| !name.is_empty())
}

fn camel(name: &str) -> String {
    let mut words = String::new();
    for word in name.split('-') {
        let mut letters = word.chars();
        words.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        words.push_str(letters.as_str());
    }
    words
}

/// The workspace that the SDK's crates stand in: as in the checkout, with what they need of it.
fn workspace() -> String {
    let manifests: Vec<&str> = SDK.iter().filter(|(name, _)| name.ends_with("Cargo.toml")).map(|(_, text)| *text).collect();
    let needed = |line: &&str| {
        let name = line.split([' ', '.', '=']).next().unwrap_or_default();
        manifests.iter().any(|manifest| {
            manifest.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(".workspace")))
        })
    };
    let mut text = String::from(
        "# The SDK's sources, as the program has them.\n[workspace]\nresolver = \"3\"\nmembers = [\"guest-sdk\", \"guest-sdk/derive\"]\n",
    );
    for section in ["workspace.package", "workspace.dependencies", "workspace.lints.rust", "workspace.lints.clippy"] {
        text.push_str(&format!("\n[{section}]\n"));
        let lines = WORKSPACE.lines().skip_while(|line| *line != format!("[{section}]")).skip(1);
        let lines = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty());
        let all = section != "workspace.dependencies";
        for line in lines.filter(|line| all || needed(line)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn executable(path: &Path) -> Result<(), Trouble> {
    use std::os::unix::fs::PermissionsExt;
    let set = fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    set.map_err(|error| Trouble::new(format!("cannot make {} executable: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_for_a_crate_and_a_descriptor() {
        for (path, name) in [
            ("orders", Some("orders")),
            ("a/b/my-sink-2", Some("my-sink-2")),
            ("Orders", None),
            ("2nd", None),
            ("a-", None),
            ("a_b", None),
        ] {
            assert_eq!(named(Path::new(path)).ok().as_deref(), name, "{path}");
        }
        for (path, hint) in [("My_Orders", "such as `my-orders`"), ("..", "`my-destination`"), ("type", "`type-destination`")] {
            let refused = named(Path::new(path)).unwrap_err();
            assert!(refused.hint().unwrap().contains(hint), "{path}: {:?}", refused.hint());
        }
        assert_eq!(camel("my-sink-2"), "MySink2");
        assert!(TAKEN.is_sorted());
    }

    #[test]
    fn every_file_of_the_sdk_is_written() {
        let scratch = tempfile::tempdir().unwrap();
        let into = scratch.path().join("orders");
        let written = write(&into, Kind::Write, None).unwrap();
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut there = 0;
        for folder in ["guest-sdk/src", "guest-sdk/derive/src", "wit"] {
            compare(&checkout.join(folder), &into.join("sdk").join(folder), &mut there);
        }
        assert!(there > 40 && written.files > there, "{there} of {}", written.files);
        assert_eq!(written.component, "target/wasm32-wasip2/release/orders.wasm");
    }

    fn compare(theirs: &Path, ours: &Path, there: &mut usize) {
        for entry in fs::read_dir(theirs).unwrap() {
            let path = entry.unwrap().path();
            let written = ours.join(path.file_name().unwrap());
            if path.is_dir() {
                compare(&path, &written, there);
            } else {
                assert_eq!(fs::read(&path).unwrap(), fs::read(&written).unwrap(), "{}", path.display());
                *there += 1;
            }
        }
    }

    #[test]
    fn nothing_of_a_template_is_left_to_fill_in() {
        for kind in [Kind::Write, Kind::Bulk, Kind::Processor] {
            let scratch = tempfile::tempdir().unwrap();
            let into = scratch.path().join("my-orders");
            let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk");
            write(&into, kind, Some(&sdk)).unwrap();
            assert!(!into.join("sdk").exists());
            for name in ["Cargo.toml", "src/lib.rs", "README.md", "ci", "pipeline.yaml", "conform.yaml"] {
                let text = fs::read_to_string(into.join(name)).unwrap();
                assert!(!text.contains("{{") && !text.contains("}}"), "{name}:\n{text}");
            }
        }
        let scratch = tempfile::tempdir().unwrap();
        let into = scratch.path().join("orders");
        let refused = write(&into, Kind::Write, Some(scratch.path())).unwrap_err();
        assert!(refused.to_string().contains("is not the folder of the crate wharf-sdk"));
        assert!(!into.exists());
    }
}
