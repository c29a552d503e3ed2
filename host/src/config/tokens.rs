//! Providers of access tokens.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
};
use url::{Host, Url};

use super::{
    at::At,
    bounded::{parsed, path, short_or_long},
    fault::Refusal,
    id::Id,
    secret::Secret,
};

/// Somebody who gives access tokens (OAuth 2, RFC 6749), fetched once for all instances that are granted them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a token provider")]
pub struct TokenProvider {
    /// The provider's name, unique in the file, by which grants call it.
    pub id: At<Id>,
    /// How a token is come by.
    pub kind: TokenKind,
    /// The token endpoint: `https://`, or `http://` on this machine alone.
    pub token_url: TokenUrl,
    /// The client's id at the provider.
    #[serde(deserialize_with = "client_id")]
    pub client_id: String,
    /// The client's secret: a text, best from a variable, or a file. Required for `client-credentials`.
    #[serde(default, deserialize_with = "some")]
    #[schemars(with = "SecretFrom")]
    pub client_secret: Option<At<SecretFrom>>,
    /// The first refresh token, as consent was given: a text, best from a variable, or a file. For `refresh-token` alone.
    #[serde(default, deserialize_with = "some")]
    #[schemars(with = "SecretFrom")]
    pub refresh_token: Option<At<SecretFrom>>,
    /// How the client says who it is: in a header, or in the form.
    #[serde(default)]
    pub auth: ClientAuth,
    /// What the token is to be good for. Default: what the provider gives.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub scopes: Vec<Scope>,
    /// Further fields of the request, such as `audience`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub parameters: Parameters,
    /// A file of PEM certificates that alone are trusted as roots there. Default: the system's.
    #[serde(default, deserialize_with = "optional_path")]
    #[schemars(with = "String")]
    pub roots: Option<PathBuf>,
}

/// How a token is come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// The client asks in its own name (RFC 6749, 4.4).
    ClientCredentials,
    /// Somebody gave consent once, and a refresh token stands for it (RFC 6749, 6).
    RefreshToken,
}

/// How the client says who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// In the header `Authorization: Basic`.
    #[default]
    Basic,
    /// As the fields `client_id` and `client_secret` of the form.
    Body,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    /// It stands in the pipeline file, or in a variable.
    Text(Secret),
    /// A file, without the line's end that it may have.
    File(PathBuf),
}

/// The long form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a secret")]
struct SecretWritten {
    /// A file that holds the secret, relative to the folder of the pipeline file; a line's end behind it is left out.
    #[serde(deserialize_with = "path")]
    file: PathBuf,
}

/// The address of a token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUrl(Url);

/// Something that a token is to be good for: visible characters without spaces, `"` and `\` (RFC 6749, 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(String);

/// Further fields of a request by name. A value may be a secret, so none is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(BTreeMap<String, Secret>);

/// The fields that are the host's own to set.
const OWN: [&str; 6] = ["client_id", "client_secret", "grant_type", "refresh_token", "scope", "client_assertion"];

impl TokenProvider {
    /// The files that its secrets stand in.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.client_secret, &self.refresh_token].into_iter().flatten().filter_map(|secret| match &secret.value {
            SecretFrom::File(path) => Some(path.as_path()),
            SecretFrom::Text(_) => None,
        })
    }

    /// All files that it names.
    pub fn all_files(&self) -> impl Iterator<Item = &Path> {
        self.files().chain(self.roots.as_deref())
    }

    /// What no single key can tell.
    pub(super) fn fault(&self) -> Option<(String, &'static str)> {
        let Self { kind, client_secret, refresh_token, .. } = self;
        match kind {
            TokenKind::ClientCredentials if client_secret.is_none() => Some((
                "missing key `client-secret` in a token provider of the kind `client-credentials`".into(),
                "give it as `${VARIABLE}`, or as `{ file: PATH }`",
            )),
            TokenKind::ClientCredentials if refresh_token.is_some() => Some((
                "`refresh-token` with `kind: client-credentials`".into(),
                "choose `kind: refresh-token`, or leave `refresh-token` out",
            )),
            TokenKind::RefreshToken if refresh_token.is_none() => Some((
                "missing key `refresh-token` in a token provider of the kind `refresh-token`".into(),
                "give the one that came with the consent, as `${VARIABLE}` or as `{ file: PATH }`",
            )),
            _ => None,
        }
    }
}

impl TokenUrl {
    /// The address itself.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for TokenUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(|_| ())?;
        let here = match url.host().ok_or(())? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let scheme = url.scheme() == "https" || url.scheme() == "http" && here;
        if plain && scheme { Ok(Self(url)) } else { Err(()) }
    }
}

impl<'de> Deserialize<'de> for TokenUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(
            deserializer,
            "an address such as `https://login.example.com/token`, without user, password and fragment; `http` is for this machine alone",
        )
    }
}

impl Scope {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let fits = text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'));
        if fits && !text.is_empty() { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a scope: visible ASCII characters without spaces, `\"` and `\\`")
    }
}

impl Parameters {
    /// Every field, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName;

        impl<'de> Visitor<'de> for ByName {
            type Value = Parameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the parameters block (a mapping)")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameters, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((At { value: name, place }, value)) = map.next_entry::<At<String>, Secret>()? {
                    if name.is_empty() || OWN.contains(&name.as_str()) {
                        let what = format!("the field `{name}` is the host's own, and no parameter");
                        return Err(de::Error::custom(Refusal::new(what).with_place(&place)));
                    }
                    fields.insert(name, value);
                }
                Ok(Parameters(fields))
            }
        }

        deserializer.deserialize_map(ByName)
    }
}

impl<'de> Deserialize<'de> for SecretFrom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The short form is the text alone.
        let short = |text: &str| match text {
            "" => Err(Refusal::new("the secret is empty").with_hint("is the variable empty?")),
            _ => Ok(Self::Text(Secret::new(text))),
        };
        short_or_long(deserializer, "a secret", short, |SecretWritten { file }| Ok(Self::File(file)))
    }
}

fn client_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct ClientId(String);

    impl FromStr for ClientId {
        type Err = ();

        fn from_str(text: &str) -> Result<Self, ()> {
            if text.is_empty() { Err(()) } else { Ok(Self(text.to_owned())) }
        }
    }

    parsed(deserializer, "the client's id").map(|ClientId(id)| id)
}

fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    path(deserializer).map(Some)
}

impl JsonSchema for SecretFrom {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretFrom".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let file = json_schema!({
            "type": "object",
            "properties": { "file": { "type": "string", "description": "A file that holds the secret on one line." } },
            "required": ["file"],
            "additionalProperties": false,
        });
        json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, file] })
    }
}

impl JsonSchema for TokenUrl {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TokenUrl".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^https?://" })
    }
}
