//! Embeds the SDK's sources, which `wharf new` writes beside a new connector: a list of every file, so that none is forgotten.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let root = root.canonicalize()?;
    let mut files = Vec::new();
    // Its own tests, which need the whole checkout, are not handed out.
    for folder in ["guest-sdk/src", "guest-sdk/derive/src", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(folder).display());
        list(&root.join(folder), &mut files)?;
    }
    files.extend(["guest-sdk/Cargo.toml", "guest-sdk/derive/Cargo.toml", "LICENSE"].map(|file| root.join(file)));
    files.sort();
    let mut code = String::from("&[\n");
    for path in &files {
        let name = path.strip_prefix(&root).map_err(io::Error::other)?;
        code.push_str(&format!("    ({:?}, include_str!({:?})),\n", name.display().to_string(), path.display().to_string()));
    }
    code.push_str("]\n");
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| io::Error::other("cargo names no folder"))?;
    fs::write(out.join("sdk.rs"), code)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { list(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
