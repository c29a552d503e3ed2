//! From `wharf new` to a component that runs, without an edit.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use wharf_tests::{Ran, Scratch, checkout, component, program, target};

/// A new crate, with what it needs to be built offline and soon: the versions that are there, and a target folder that is warm.
struct Crate {
    scratch: Scratch,
    name: &'static str,
}

impl Crate {
    fn new(name: &'static str, more: &[&str]) -> Self {
        let scratch = Scratch::new().unwrap();
        let written = scratch.run(&[&["new", name, "--output", "json"], more].concat()).unwrap();
        assert_eq!(written.code, Some(0), "{}", written.stderr);
        let written = written.json().unwrap();
        assert_eq!((&written["name"], &written["folder"]), (&json!(name), &json!(name)));
        fs::copy(checkout().join("Cargo.lock"), scratch.path(name).join("Cargo.lock")).unwrap();
        std::os::unix::fs::symlink(target().unwrap(), scratch.path(name).join("target")).unwrap();
        Self { scratch, name }
    }

    fn folder(&self) -> PathBuf {
        self.scratch.path(self.name)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Ran {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder()).stdin(Stdio::null());
        command.env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR").env("TMPDIR", self.scratch.path(""));
        command.output().unwrap().into()
    }

    /// Its own tests pass, as whoever wrote it runs them.
    fn tests(&self) {
        let tested = self.command("cargo", &["test", "--lib"]);
        assert_eq!(tested.code, Some(0), "{}\n{}", tested.stdout, tested.stderr);
        assert!(tested.stdout.contains("test result: ok."), "{}", tested.stdout);
        let formatted = self.command("cargo", &["fmt", "--check"]);
        assert_eq!(formatted.code, Some(0), "{}", formatted.stdout);
    }

    fn wharf(&self, arguments: &[&str]) -> Ran {
        let mut wharf = self.scratch.wharf(arguments).unwrap();
        wharf.current_dir(self.folder()).env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR");
        wharf.env("DESTINATION", component("wharf-print").unwrap());
        wharf.output().unwrap().into()
    }

    /// Builds it; gives the component, which is where its README says.
    fn builds(&self) -> PathBuf {
        let built = self.wharf(&["build", "--output", "json"]);
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        let built = built.json().unwrap();
        let file = self.folder().join(format!("target/wasm32-wasip2/release/{}.wasm", self.name.replace('-', "_")));
        let component = Path::new(built["component"].as_str().unwrap());
        assert_eq!(component.canonicalize().unwrap(), file.canonicalize().unwrap());
        assert_eq!(built["size"], fs::metadata(&file).unwrap().len());
        assert_eq!((&built["name"], &built["version"]), (&json!(self.name), &json!("0.1.0")));
        file
    }

    /// It conforms as it is: nothing failed.
    fn conforms(&self, component: &Path) {
        let ran = self.wharf(&["conform", &component.display().to_string(), "--suite", "conform.yaml"]);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(" passed, 0 failed"), "{}", ran.stdout);
    }

    fn inspected(&self, component: &Path) -> Value {
        self.wharf(&["inspect", &component.display().to_string(), "--output", "json"]).json().unwrap()
    }
}

#[test]
fn a_new_destination_builds_conforms_and_runs_without_an_edit() {
    let new = Crate::new("new-lines", &[]);
    // All that its CI runs: formatting, lints, its own tests, and the component.
    let workflow = fs::read_to_string(new.folder().join(".github/workflows/ci.yml")).unwrap();
    assert!(workflow.contains("run: ./ci"));
    let program = program().unwrap().display().to_string();
    let ci = new.command("env", &[&format!("WHARF={program}"), "./ci"]);
    assert_eq!(ci.code, Some(0), "{}\n{}", ci.stdout, ci.stderr);
    assert!(ci.stdout.contains("test result: ok. 4 passed"), "{}", ci.stdout);
    let component = new.builds();
    new.conforms(&component);
    let told = new.inspected(&component);
    assert_eq!((&told["about"]["name"], &told["offers"]), (&json!("new-lines"), &json!(["destination"])));
    let ran = new.wharf(&["run", "pipeline.yaml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(new.folder().join("out/records.txt")).unwrap(), "one\n  two\nthree\n");
    assert!(ran.stdout.starts_with("new-lines: 3 read"), "{}", ran.stdout);
}

#[test]
fn a_new_processor_builds_conforms_and_runs_without_an_edit() {
    let sdk = checkout().join("guest-sdk").display().to_string();
    let new = Crate::new("new-trim", &["--kind", "processor", "--sdk", &sdk]);
    new.tests();
    let component = new.builds();
    new.conforms(&component);
    assert_eq!(new.inspected(&component)["offers"], json!(["processor"]));
    let ran = new.wharf(&["run", "pipeline.yaml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let printed = format!("{}{}", ran.stdout, ran.stderr);
    assert!(printed.contains("two") && !printed.contains("  two"), "{printed}");
}

#[test]
fn a_new_bulk_destination_builds_conforms_and_runs_without_an_edit() {
    let sdk = checkout().join("guest-sdk").display().to_string();
    let new = Crate::new("new-files", &["--kind", "bulk", "--sdk", &sdk]);
    new.tests();
    let component = new.builds();
    new.conforms(&component);
    let told = new.inspected(&component);
    assert_eq!((&told["offers"], &told["guarantees"]["reconciles"]), (&json!(["bulk"]), &json!(true)));
    let ran = new.wharf(&["run", "pipeline.yaml", "--once", "--now"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let out = fs::read_dir(new.folder().join("out")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = out.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), "one\n  two\nthree\n");
}

#[test]
fn what_cannot_be_built_is_explained() {
    let scratch = Scratch::new().unwrap();
    let refused = |arguments: &[&str], code: i32, says: &[&str]| {
        let ran = scratch.run(arguments).unwrap();
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        assert!(says.iter().all(|says| ran.stderr.contains(says)), "{arguments:?}: {}", ran.stderr);
    };
    refused(&["build"], 2, &["error: there is no Cargo.toml in .", "hint: ", "`wharf new NAME`"]);
    refused(&["new", "Orders"], 2, &["error: a connector cannot be called `Orders`", "such as `orders`"]);
    scratch.write("orders/mine.txt", "").unwrap();
    refused(&["new", "orders"], 2, &["error: the folder orders is not empty"]);

    let manifest = |name: &str, lib: &str| format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{lib}\n[workspace]\n");
    scratch.write("plain/Cargo.toml", manifest("plain", "")).unwrap();
    scratch.write("plain/src/lib.rs", "").unwrap();
    refused(&["build", "plain"], 2, &["error: the crate plain makes no component", "crate-type = [\"cdylib\", \"rlib\"]"]);

    let cdylib = "[lib]\ncrate-type = [\"cdylib\"]\n";
    scratch.write("empty/Cargo.toml", manifest("empty", cdylib)).unwrap();
    scratch.write("empty/src/lib.rs", "").unwrap();
    refused(&["build", "empty"], 1, &["error: ", "empty.wasm", "hint: "]);
    scratch.write("broken/Cargo.toml", manifest("broken", cdylib)).unwrap();
    scratch.write("broken/src/lib.rs", "fn broken(").unwrap();
    refused(&["build", "broken"], 1, &["unclosed delimiter", "error: broken 0.0.0 does not build", "hint: mend"]);
    let all = "[workspace]\nmembers = [\"one\"]\nresolver = \"3\"\n";
    scratch.write("all/Cargo.toml", all).unwrap();
    scratch.write("all/one/Cargo.toml", "[package]\nname = \"one\"\n").unwrap();
    scratch.write("all/one/src/lib.rs", "").unwrap();
    refused(&["build", "all"], 2, &["is a workspace and no crate", "one of its crates: `one`"]);

    let mut without = scratch.wharf(&["build", "plain"]).unwrap();
    let ran: Ran = without.env("PATH", scratch.path("nowhere")).output().unwrap().into();
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.starts_with("error: cargo and rustc, which build the component, are not on the PATH\nhint: "),
        "{}",
        ran.stderr
    );

    // A toolchain without the target.
    let tools = scratch.path("tools");
    scratch.write("tools/rustc", "#!/bin/sh\necho /nowhere/at/all\n").unwrap();
    let cargo = Command::new("sh").args(["-c", "command -v cargo"]).output().unwrap();
    let cargo = String::from_utf8(cargo.stdout).unwrap();
    scratch.write("tools/cargo", format!("#!/bin/sh\nexec {} \"$@\"\n", cargo.trim())).unwrap();
    for tool in ["rustc", "cargo"] {
        Command::new("chmod").arg("+x").arg(tools.join(tool)).status().unwrap();
    }
    let path = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let mut without = scratch.wharf(&["build", "empty"]).unwrap();
    let ran: Ran = without.env("PATH", path.unwrap()).output().unwrap().into();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("wasm32-wasip2 is not installed\nhint: `rustup target add wasm32-wasip2`"), "{}", ran.stderr);
}
