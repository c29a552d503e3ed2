//! The lines of a pipeline file that a destination lacks.
//!
//! **Threat.** A person pastes what the host says, and what it says is made of a stranger's words. **Answer.** What a component asks for
//! stands there parsed, or as one quoted scalar, and never as YAML of its own.

use std::{fmt::Write as _, iter};

use crate::config::{At, Grants, TokenProvider};

/// What to change in the pipeline file, for one request.
pub(super) enum Remedy {
    /// An entry more of a list of the grants, and what to know of it.
    Entry {
        /// The list.
        list: &'static str,
        /// The entry, on one line of YAML.
        entry: String,
        /// On one line.
        note: Option<&'static str>,
    },
    /// An entry of the grant `tokens`, and the provider where there is none of that name.
    Token(String),
    /// A key of the grants with its value, on one line of YAML.
    Key(String),
    /// Something else, in words.
    Words(String),
}

/// All that a destination or a processor lacks (`noun`), as lines to paste: its grants so far are these, and the file has these providers
/// of tokens.
pub(super) fn told(remedies: &[Remedy], noun: &str, grants: &Grants, providers: &[At<TokenProvider>]) -> String {
    let mut told: Vec<String> = remedies.iter().filter_map(Remedy::words).map(str::to_owned).collect();
    let mut block = Vec::new();
    for (list, begun) in [
        ("directories", !grants.directories.is_empty()),
        ("http", !grants.http.is_empty()),
        ("tcp", !grants.tcp.is_empty()),
        ("tokens", !grants.tokens.is_empty()),
    ] {
        let mut entries: Vec<String> = Vec::new();
        for lines in remedies.iter().filter_map(|remedy| remedy.entry(list)) {
            if !entries.contains(&lines[0]) {
                entries.extend(lines);
            }
        }
        match entries.is_empty() {
            true => {}
            false if begun => told.push(under(&format!("add to `{list}` under `grants:`"), &entries)),
            false => block.extend(iter::once(format!("{list}:")).chain(entries.iter().map(indented))),
        }
    }
    block.extend(remedies.iter().filter_map(Remedy::key).map(str::to_owned));
    match block.is_empty() {
        true => {}
        false if grants.is_empty() => {
            let lines: Vec<String> = iter::once("grants:".to_owned()).chain(block.iter().map(indented)).collect();
            told.push(under(&format!("write in the {noun}"), &lines));
        }
        false => told.push(under("add under `grants:`", &block)),
    }
    let unknown = |name: &&str| providers.iter().all(|provider| provider.id.value.as_str() != *name);
    let described: Vec<String> = remedies.iter().filter_map(Remedy::token).filter(unknown).map(described).collect();
    match described.is_empty() {
        true => {}
        false if providers.is_empty() => {
            let lines: Vec<String> = iter::once("tokens:".to_owned()).chain(described.iter().map(indented)).collect();
            told.push(under("add at the top of the file", &lines));
        }
        false => told.push(under("add to `tokens` at the top of the file", &described)),
    }
    told.join("\n")
}

impl Remedy {
    /// The lines of an entry of this list.
    fn entry(&self, of: &str) -> Option<Vec<String>> {
        match self {
            Self::Entry { list, entry, note } if *list == of => {
                Some(iter::once(format!("- {entry}")).chain(note.map(|note| format!("  # {note}"))).collect())
            }
            Self::Token(name) if of == "tokens" => Some(vec![format!("- {name}")]),
            _ => None,
        }
    }

    fn token(&self) -> Option<&str> {
        if let Self::Token(name) = self { Some(name) } else { None }
    }

    fn key(&self) -> Option<&str> {
        if let Self::Key(line) = self { Some(line) } else { None }
    }

    fn words(&self) -> Option<&str> {
        if let Self::Words(words) = self { Some(words) } else { None }
    }
}

fn described(provider: &str) -> String {
    format!("- {{ id: {provider}, kind: client-credentials, token-url: 'URL', client-id: 'ID', client-secret: '${{SECRET}}' }}")
}

fn indented(line: impl AsRef<str>) -> String {
    format!("  {}", line.as_ref())
}

fn under(sentence: &str, lines: &[String]) -> String {
    lines.iter().fold(sentence.to_owned(), |mut told, line| {
        // Writing into a text does not fail.
        let _written = write!(told, "\n  {line}");
        told
    })
}

/// A text as a scalar of YAML on one line, in a flow mapping too.
pub(super) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if text.starts_with('/') && text.chars().all(plain) { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
