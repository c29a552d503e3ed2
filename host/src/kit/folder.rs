//! Folders that are written for somebody: into an empty one, unless they say otherwise.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Trouble;

/// Makes sure that there is a folder, and that what is written there is in nobody's way.
///
/// # Errors
/// Where it is no folder, cannot be made, or holds something already and `force` is not given.
pub fn prepared(folder: &Path, force: bool) -> Result<(), Trouble> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            Some(_) if !force => Err(Trouble::hint_of(
                format!("the folder {} is not empty", folder.display()),
                "name another, or say `--force` to have files of the same names replaced",
            )),
            _ => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(|error| Trouble::new(format!("cannot make {}: {error}", folder.display())))
        }
        Err(error) => Err(Trouble::new(format!("cannot write into {}: {error}", folder.display()))),
    }
}

/// Writes a file of a folder, and the folders that it stands in.
///
/// # Errors
/// Where it cannot be written.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Trouble> {
    let path = folder.join(name);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    made.and_then(|()| fs::write(&path, text))
        .map_err(|error| Trouble::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_written_to_on_purpose_only() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("a/b");
        prepared(&folder, false).unwrap();
        prepared(&folder, false).unwrap();
        write(&folder, "deps/c.txt", "c").unwrap();
        let refused = prepared(&folder, false).unwrap_err();
        assert!(refused.to_string().ends_with("b is not empty") && refused.hint().unwrap().contains("--force"), "{refused}");
        prepared(&folder, true).unwrap();
        let refused = prepared(&folder.join("deps/c.txt"), true).unwrap_err();
        assert!(refused.to_string().starts_with("cannot write into "), "{refused}");
    }
}
