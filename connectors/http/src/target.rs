//! Where a record's request goes, and how: method, URL and headers.

use wharf_json::{Makes, Source, Template};
use wharf_sdk::{Failure, Operation, Problem};

use super::settings::Config;

/// Headers that are not an operator's to set here: what the message itself says, and what a proxy would act on (RFC 9110, 7.6.1).
const NOT_HERE: [&str; 8] =
    ["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Headers that hold credentials, which have no place in settings: the host adds them.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Makes targets of records.
#[derive(Clone, Debug)]
pub struct Targets {
    method: Template,
    methods: Vec<(Operation, String)>,
    scheme: String,
    authority: String,
    path: Template,
    fixed: String,
    headers: Vec<(String, Template)>,
}

/// Where a request goes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its method, in upper case.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers that the settings name.
    pub headers: Vec<(String, String)>,
}

impl Targets {
    /// What the settings say. What is wrong with them goes to the problems.
    pub fn new(config: &Config, problems: &mut Vec<Problem>) -> Self {
        let mut template = |name: &str, text: &str, makes| {
            Template::parse(text, makes).unwrap_or_else(|error| {
                problems.push(Problem::new(name, error));
                Template::default()
            })
        };
        let method = template("method", &config.method, Makes::Text);
        let (scheme, rest) = config.url.split_once("://").unwrap_or_default();
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let fixed = fixed(&path).to_owned();
        let path = template("url", &path, Makes::Url);
        let headers: Vec<_> = config
            .headers
            .iter()
            .map(|(name, text)| (name.clone(), template(&format!("headers.{name}"), text, Makes::Text)))
            .collect();
        let scheme = scheme.to_ascii_lowercase();
        if !["http", "https"].contains(&scheme.as_str()) {
            problems.push(Problem::new("url", "begins with neither `https://` nor `http://`"));
        } else if authority.is_empty() || authority.contains("{{") {
            problems.push(Problem::new("url", "has no fixed host: only what comes after it can be made from a record"));
        } else if authority.contains('@') {
            problems.push(Problem::new("url", "has credentials in it: let the host add them (grants, `headers`)"));
        }
        for name in config.headers.keys() {
            let lower = name.to_ascii_lowercase();
            if !is_token(name) {
                problems.push(Problem::new(format!("headers.{name}"), "is no name of a header"));
            } else if NOT_HERE.contains(&&*lower) {
                problems.push(Problem::new(format!("headers.{name}"), "is set by the request itself"));
            } else if CREDENTIALS.contains(&&*lower) {
                problems
                    .push(Problem::new(format!("headers.{name}"), "holds credentials: let the host add it (grants, `headers`)"));
            }
        }
        let mut methods = Vec::new();
        for (operation, method) in &config.methods {
            match operation.as_str() {
                "create" => methods.push((Operation::Create, method.clone())),
                "update" => methods.push((Operation::Update, method.clone())),
                "delete" => methods.push((Operation::Delete, method.clone())),
                "snapshot" => methods.push((Operation::Snapshot, method.clone())),
                _ => {
                    let name = format!("methods.{operation}");
                    problems.push(Problem::new(name, "is none of `create`, `update`, `delete` and `snapshot`"));
                }
            }
            if !is_method(method) {
                problems.push(Problem::new(format!("methods.{operation}"), format!("is `{method}`: {METHODS}")));
            }
        }
        if method.is_plain() && !is_method(&config.method) {
            problems.push(Problem::new("method", format!("is `{}`: {METHODS}", config.method)));
        }
        Self { method, methods, scheme, authority: authority.to_owned(), path, fixed, headers }
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host, and port where one is given.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The part of path and query that is the same for all records.
    pub fn fixed(&self) -> &str {
        &self.fixed
    }

    /// Whether all records of an operation go the same way.
    pub fn is_plain(&self) -> bool {
        self.method.is_plain() && self.path.is_plain() && self.headers.iter().all(|(_, value)| value.is_plain())
    }

    /// Where a record goes.
    ///
    /// # Errors
    /// Where it cannot be said of this record: it is rejected.
    pub fn of(&self, source: &mut Source<'_>) -> Result<Target, Failure> {
        let operation = source.record().operation();
        let method = match self.methods.iter().find(|(of, _)| *of == operation) {
            Some((_, method)) => method.clone(),
            None => self.method.fill(source, false)?,
        };
        if !is_method(&method) {
            return Err(Failure::rejected(format!("the method `{}`: {METHODS}", shown(&method))));
        }
        let path = self.path.fill(source, false)?;
        // A far side may take these for the way to another place.
        let way = path.split('?').next().unwrap_or_default();
        if !self.path.is_plain() && way.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(Failure::rejected(format!("the path `{}` leads elsewhere: a value in it is `.` or `..`", shown(way))));
        }
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, template) in &self.headers {
            let value = template.fill(source, false)?;
            if !value.bytes().all(|byte| byte == b'\t' || (b' '..0x7f).contains(&byte)) {
                return Err(Failure::rejected(format!("the header `{name}` would hold what no header can: {}", shown(&value))));
            }
            headers.push((name.clone(), value.trim().to_owned()));
        }
        Ok(Target { method, path, headers })
    }
}

/// What of a path and query stands before the first place in it, up to the end of a segment.
fn fixed(path: &str) -> &str {
    let way = path.split('?').next().unwrap_or_default();
    match (way.find("{{"), path.contains("{{")) {
        (Some(place), _) => &way[..way[..place].rfind('/').map_or(0, |slash| slash + 1)],
        (None, true) => way,
        (None, false) => path,
    }
}

const METHODS: &str = "one of GET, POST, PUT, PATCH, DELETE";

fn is_method(text: &str) -> bool {
    ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&text)
}

/// A token of RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The beginning of a text, as a message can show it.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(120).flat_map(char::escape_default).collect();
    if text.chars().nth(120).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_for_all_records_ends_with_a_segment() {
        for (path, due) in [
            ("/", "/"),
            ("/a/b?c=d", "/a/b?c=d"),
            ("/a/{{/id}}", "/a/"),
            ("/a/b-{{/id}}/c?d={{/e}}", "/a/"),
            ("/a/b?c={{/id}}", "/a/b"),
            ("/{{/id}}", "/"),
        ] {
            assert_eq!(fixed(path), due, "{path}");
        }
    }
}
