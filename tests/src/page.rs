//! Pages of the documentation, as tests follow them.
//!
//! A fenced block below a line that is nothing but a file's name (`` **`words.yaml`** ``) is that file, whole. In a `console` block a line
//! that begins with `$ ` is typed, and what follows is what it prints; there a line `…` stands for any number of lines, and `…` within a
//! line for any text. Other blocks are for the reader alone.

use std::{collections::BTreeMap, fs};

use super::{Scratch, checkout, component};

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of the page on which its text begins, counted from 1.
    pub line: usize,
    /// What stands behind the fence, such as `console`.
    pub language: String,
    /// The file that it is, where it is one.
    pub title: String,
    /// What stands in it.
    pub text: String,
}

/// What a reader does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes a file.
    File(Block),
    /// Types a command.
    Command {
        /// The line of the page on which it stands.
        line: usize,
        /// What is typed.
        typed: String,
        /// What the page says that it prints.
        expected: String,
    },
}

/// The fenced blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut title) = (false, "");
    for (index, line) in page.lines().enumerate() {
        match (open, line.strip_prefix("```")) {
            (false, Some(language)) => {
                blocks.push(Block { line: index + 2, language: language.into(), title: title.into(), text: String::new() });
                (open, title) = (true, "");
            }
            (true, Some("")) => open = false,
            (true, _) => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            (false, None) if line.is_empty() => {}
            (false, None) => title = line.strip_prefix("**`").and_then(|rest| rest.strip_suffix("`**")).unwrap_or_default(),
        }
    }
    blocks
}

/// What a reader does who follows a page.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for block in blocks(page) {
        if !block.title.is_empty() {
            steps.push(Step::File(block));
        } else if block.language == "console" {
            for (index, line) in block.text.lines().enumerate() {
                match (line.strip_prefix("$ "), steps.last_mut()) {
                    (Some(typed), _) => {
                        steps.push(Step::Command { line: block.line + index, typed: typed.into(), expected: String::new() });
                    }
                    (None, Some(Step::Command { expected, .. })) => {
                        expected.push_str(line);
                        expected.push('\n');
                    }
                    (None, _) => {}
                }
            }
        }
    }
    steps
}

/// How what was printed differs from what a page says, for a person; `None` where it does not.
pub fn differs(expected: &str, printed: &str) -> Option<String> {
    let (expected, printed): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), printed.lines().collect());
    // How many of the first lines of the page fit, whatever comes then.
    let mut reached = 0;
    if fits(&expected, &printed, &mut reached, expected.len()) {
        return None;
    }
    Some(match expected.get(reached) {
        Some(line) => format!("does not print what the page says:\n  {line}"),
        None => "prints more than the page says".into(),
    })
}

fn fits(expected: &[&str], printed: &[&str], reached: &mut usize, all: usize) -> bool {
    *reached = (*reached).max(all - expected.len());
    match (expected.split_first(), printed.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((&"…", rest)), _) => (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..], reached, all)),
        (Some((line, rest)), Some((first, others))) => line_fits(line, first) && fits(rest, others, reached, all),
        (Some(_), None) => false,
    }
}

fn line_fits(expected: &str, printed: &str) -> bool {
    let Some((beginning, rest)) = expected.split_once('…') else {
        return expected == printed.trim_end();
    };
    let Some(printed) = printed.strip_prefix(beginning) else { return false };
    let ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
    ends.into_iter().any(|at| line_fits(rest, &printed[at..]))
}

/// Holds the page of a connector to its example, and to the settings that its component declares, with their defaults.
///
/// # Panics
/// Where they differ.
#[allow(clippy::panic, clippy::expect_used, reason = "it says by a panic that a test fails")]
pub fn holds_connector(name: &str, example: &str) {
    let read = |path: &str| fs::read_to_string(checkout().join(path)).expect(path);
    let page = read(&format!("docs/connectors/{name}.md"));
    let example: String = read(example).split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
    assert!(page.contains(&example), "the page's first pipeline file is not that of the examples");

    let component = component(&format!("wharf-{name}")).expect("the component builds").display().to_string();
    let shown =
        Scratch::new().and_then(|scratch| scratch.run(&["inspect", &component, "--output", "json"])).expect("inspect runs");
    let descriptor = shown.json().expect("a document");
    // The first row of a name is that of the table of settings.
    let rows: BTreeMap<&str, &str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.split(" |").next().unwrap_or_default()))
        .rev()
        .collect();
    let parameters = descriptor["parameters"].as_array().expect("inspect lists the parameters");
    assert!(!parameters.is_empty(), "{shown:?}");
    for parameter in parameters {
        let name = parameter["name"].as_str().expect("a name").trim_end_matches(".*");
        let row = rows.get(name).unwrap_or_else(|| panic!("the page has no setting `{name}`"));
        if let Some(default) = parameter["default"].as_str() {
            assert_eq!(*row, format!("`{default}`"), "{name}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_stands_for_lines_or_for_text() {
        let cases = [
            ("", "", true),
            ("a\n", "a\n", true),
            ("a\n", "b\n", false),
            ("", "a\n", false),
            ("…\n", "", true),
            ("…\nb\n", "a\n\nb\n", true),
            ("…\nb\n", "b\na\n", false),
            ("in … s\n", "in 0.1 s\n", true),
            ("… b … d\n", "a b c d\n", true),
            ("… b … d\n", "a b c\n", false),
        ];
        for (expected, printed, fits) in cases {
            assert_eq!(differs(expected, printed).is_none(), fits, "{expected:?} and {printed:?}");
        }
        let told = differs("a\nb\nc\n", "a\nx\n").unwrap();
        assert!(told.ends_with("  b"), "{told}");
    }

    #[test]
    fn a_page_is_files_and_commands() {
        let page = "text\n\n**`a.txt`**\n\n```text\n$ no command\n```\n\n```console\n$ cat a.txt\n$ no command\n```\n\n```sh\n$ x\n```\n";
        let text = "$ no command\n".to_owned();
        let file = Block { line: 6, language: "text".into(), title: "a.txt".into(), text };
        let command = |line, typed: &str| Step::Command { line, typed: typed.into(), expected: String::new() };
        assert_eq!(steps(page), [Step::File(file), command(10, "cat a.txt"), command(11, "no command")]);
    }
}
