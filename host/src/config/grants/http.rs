//! Where HTTP requests may go, and what the host adds to them.

use std::{borrow::Cow, fmt, path::PathBuf};

use http::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::tcp::leads_somewhere;
use crate::config::{
    At, Pattern, Secret,
    bounded::{path, short_or_long, told},
    fault::Refusal,
};

/// Somewhere that a component may send HTTP requests to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGrant {
    /// Scheme, host and port.
    pub to: Pattern,
    /// Whether an address that is no public one is let through.
    pub private: bool,
    /// What the host adds to each request.
    pub headers: Vec<At<AddedHeader>>,
    /// The certificates that alone are trusted there; the system's where there is none.
    pub roots: Option<PathBuf>,
}

/// A header that the host adds, which the component never sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedHeader {
    /// Its name.
    pub name: HeaderName,
    /// What comes before the value, such as `Bearer `.
    pub prefix: String,
    /// Where its value comes from.
    pub value: HeaderFrom,
}

/// Where the value of an added header comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderFrom {
    /// It stands in the pipeline file, or in a variable.
    Text(Secret),
    /// A file, without the line's end that it may have.
    File(PathBuf),
    /// An access token of this provider, asked for with each request.
    Token(String),
}

/// The long form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "an HTTP grant")]
#[schemars(rename = "HttpGrant")]
struct Written {
    /// Where to: `scheme://host[:port]`, the scheme `http` or `https`, the host a name, `*.` and a name, or an address.
    #[schemars(with = "String")]
    to: Pattern,
    /// Whether addresses that are not public are let through: loopback, private, link-local and the like.
    #[serde(default)]
    private: bool,
    /// Headers that the host adds to each request, by name; the component never sees them.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, HeaderValue>")]
    headers: Headers,
    /// A file of PEM certificates that alone are trusted as roots there, relative to the folder of the pipeline file.
    #[serde(default, deserialize_with = "optional_path")]
    #[schemars(with = "Option<String>")]
    roots: Option<PathBuf>,
}

/// What was given may be a variable's, so it is not quoted.
fn pattern(text: &str) -> Result<Pattern, Refusal> {
    text.parse().map_err(|cause| Refusal::new(format!("this grant {cause}")).with_hint("write it like `https://api.example.com`"))
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        told(deserializer, "where to, such as `https://api.example.com`", pattern)
    }
}

impl HttpGrant {
    fn read(Written { to, private, headers: Headers(headers), roots }: Written) -> Result<Self, Refusal> {
        to.host().map_or(Ok(()), |host| leads_somewhere(host, private))?;
        Ok(Self { to, private, headers, roots })
    }
}

impl<'de> Deserialize<'de> for HttpGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The short form is the pattern alone.
        let short =
            |text: &str| Self::read(Written { to: pattern(text)?, private: false, headers: Headers::default(), roots: None });
        short_or_long(deserializer, "an HTTP grant", short, Self::read)
    }
}

#[derive(Default)]
struct Headers(Vec<At<AddedHeader>>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName;

        impl<'de> Visitor<'de> for ByName {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the headers block (a mapping)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers: Vec<At<AddedHeader>> = Vec::new();
                while let Some((At { value: name, place }, value)) = map.next_entry::<At<String>, HeaderValue>()? {
                    let refused = |what: String| de::Error::custom(Refusal::new(what).with_place(&place));
                    let name: HeaderName = name.parse().map_err(|_| refused("this is no header's name".to_owned()))?;
                    if is_the_hosts(&name) {
                        return Err(refused(format!("the header `{name}` is the host's own, and cannot be added")));
                    }
                    if headers.iter().any(|other| other.name == name) {
                        return Err(refused(format!("the header `{name}` stands here again")));
                    }
                    headers.push(At::new(AddedHeader { name, prefix: value.prefix, value: value.from }, place));
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(ByName)
    }
}

/// What is written behind a header's name.
struct HeaderValue {
    prefix: String,
    from: HeaderFrom,
}

/// The long form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "an added header")]
#[schemars(rename = "AddedHeader")]
struct HeaderWritten {
    /// A file that holds the value, relative to the folder of the pipeline file; a line's end behind it is left out.
    #[serde(default, deserialize_with = "optional_path")]
    #[schemars(with = "Option<String>")]
    file: Option<PathBuf>,
    /// The provider, as it is called under `tokens`, whose access token is the value.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    token: Option<String>,
    /// What comes before the value, such as `Bearer `.
    #[serde(default)]
    prefix: Option<String>,
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let short = |text: &str| {
            header_text(text)?;
            Ok(Self { prefix: String::new(), from: HeaderFrom::Text(Secret::new(text)) })
        };
        short_or_long(deserializer, "an added header", short, |HeaderWritten { file, token, prefix }| {
            prefix.as_deref().map_or(Ok(()), header_text)?;
            let from = match (file, token) {
                (Some(file), None) => HeaderFrom::File(file),
                (None, Some(provider)) => HeaderFrom::Token(provider),
                _ => return Err(Refusal::new("an added header has either `file` or `token`")),
            };
            Ok(Self { prefix: prefix.unwrap_or_default(), from })
        })
    }
}

/// Whether a text can be a header's value. It may be a secret, so it is not quoted.
fn header_text(text: &str) -> Result<(), Refusal> {
    let hint = "it is one line of visible ASCII characters and spaces";
    match text {
        "" => Err(Refusal::new("the header has no value").with_hint("is the variable empty?")),
        _ if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(()),
        _ => Err(Refusal::new("the header has a value that no header can have").with_hint(hint)),
    }
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    path(deserializer).map(Some)
}

/// Whether a header is the host's own to set: what frames a message, what is of one connection alone, and what is for proxies
/// (RFC 9110, 7.6.1).
pub fn is_the_hosts(name: &HeaderName) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
    ];
    let name = name.as_str();
    NAMES.contains(&name) || name.starts_with("proxy-")
}

impl JsonSchema for HttpGrant {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HttpGrantOrPattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<Written>()] })
    }
}

impl JsonSchema for HeaderValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AddedHeaderOrText".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<HeaderWritten>()] })
    }
}
