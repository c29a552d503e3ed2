//! Providers of tokens.

use super::*;

/// A right file with one provider of tokens, and what its one destination is granted.
fn tokens(provider: &str, granted: &str) -> String {
    format!("tokens:\n  - {provider}\n{}", with(GENERATOR, &format!("        grants: {{ tokens: {granted} }}\n")))
}

const PROVIDER: &str =
    "{ id: crm, kind: client-credentials, token-url: 'https://x.example/t', client-id: us, client-secret: '${SECRET}' }";

#[test]
fn providers_of_tokens_are_read_and_their_secrets_not_shown() {
    let file = read(&tokens(PROVIDER, "[crm]")).unwrap();
    let TokenProvider { token_url, client_secret, auth, scopes, .. } = &file.tokens[0].value;
    assert_eq!((token_url.url().as_str(), *auth, scopes.len()), ("https://x.example/t", ClientAuth::Basic, 0));
    assert_eq!(client_secret.as_ref().map(|secret| &secret.value), Some(&SecretFrom::Text(Secret::new("s3cret: ["))));
    assert_eq!(file.pipelines[0].destinations[0].grants.tokens[0].as_str(), "crm");

    let provider = "{ id: ads, kind: refresh-token, token-url: 'http://[::1]:8080/t', client-id: us, refresh-token: { file: keys/r }, \
                    roots: ca.pem, auth: body, scopes: [a, 'b:c'], parameters: { audience: '${SECRET}' } }";
    let file = read(&tokens(provider, "[]")).unwrap();
    let TokenProvider { refresh_token, roots, auth, scopes, parameters, .. } = &file.tokens[0].value;
    assert_eq!(refresh_token.as_ref().map(|secret| &secret.value), Some(&SecretFrom::File("/etc/wharf/keys/r".into())));
    assert_eq!((roots.as_deref(), *auth), (Some(Path::new("/etc/wharf/ca.pem")), ClientAuth::Body));
    assert_eq!(scopes.iter().map(Scope::as_str).collect::<Vec<_>>(), ["a", "b:c"]);
    assert_eq!(parameters.iter().collect::<Vec<_>>(), [("audience", &Secret::new("s3cret: ["))]);
    assert!(!format!("{file:?}").contains("s3cret"));

    assert_eq!(file.key_file(), None);
    let key = |name: &str| (name == "WHARF_KEY_FILE").then(|| "/etc/key".to_owned());
    assert_eq!(parse(&with(GENERATOR, ""), "p.yaml", Path::new("/"), &key).unwrap().key_file(), Some(Path::new("/etc/key")));
}

#[test]
fn what_is_wrong_with_a_provider_of_tokens_is_told_with_its_line_and_without_its_secrets() {
    let bent = |from: &str, to: &str| tokens(&PROVIDER.replace(from, to), "[]");
    let address = "an address such as `https://login.example.com/token`, without user, password and fragment; `http` is for this machine alone";
    for url in
        ["http://x.example/t", "https://u:p@x.example/", "https://x.example/#f", "ftp://localhost/", "x.example", "https://"]
    {
        let text = bent("https://x.example/t", url);
        refused(&text, &format!("p.yaml:2:53: expected {address}, found `{url}`"));
    }
    for (text, expected) in [
        (tokens(PROVIDER, "[cmr]"), "p.yaml:10:28: destination d: there is no token provider `cmr`\ndid you mean `crm`?"),
        (tokens(PROVIDER, "[other]"), "p.yaml:10:28: destination d: there is no token provider `other`\nthere are `crm`"),
        (
            with(GENERATOR, "        grants: { tokens: [crm] }\n"),
            "p.yaml:8:28: destination d: there is no token provider `crm`\ndescribe it under `tokens:` at the top of the file",
        ),
        (
            tokens(PROVIDER, "[crm, crm]"),
            "p.yaml:10:33: the grant of tokens of `crm` stands here again, first on line 10\ngive each a name of its own",
        ),
        (
            tokens(&format!("{PROVIDER}\n  - {PROVIDER}"), "[]"),
            "p.yaml:3:11: the token provider `crm` stands here again, first on line 2\ngive each a name of its own",
        ),
        (
            bent(", client-secret: '${SECRET}'", ""),
            "p.yaml:2:5: missing key `client-secret` in a token provider of the kind `client-credentials`\n\
             give it as `${VARIABLE}`, or as `{ file: PATH }`",
        ),
        (
            bent("client-credentials", "refresh-token"),
            "p.yaml:2:5: missing key `refresh-token` in a token provider of the kind `refresh-token`\n\
             give the one that came with the consent, as `${VARIABLE}` or as `{ file: PATH }`",
        ),
        (
            bent("client-id", "refresh-token: '${SECRET}', client-id"),
            "p.yaml:2:5: `refresh-token` with `kind: client-credentials`\n\
             choose `kind: refresh-token`, or leave `refresh-token` out",
        ),
        (
            bent("client-credentials", "password"),
            "p.yaml:2:22: expected `client-credentials` or `refresh-token`, found `password`",
        ),
        (bent("${SECRET}", "${EMPTY}"), "p.yaml:2:106: the secret is empty\nis the variable empty?"),
        (bent("'${SECRET}'", "{ fiel: x }"), "p.yaml:2:108: unknown key `fiel` in a secret\ndid you mean `file`?"),
        (bent("'${SECRET}'", "['${SECRET}']"), "p.yaml:2:106: expected a secret (a mapping), found a list"),
        (
            bent("client-id", "parameters: { scope: x }, client-id"),
            "p.yaml:2:90: the field `scope` is the host's own, and no parameter",
        ),
        (
            bent("client-id", "scopes: ['${SECRET}'], client-id"),
            "p.yaml:2:85: expected a scope: visible ASCII characters without spaces, `\"` and `\\`, found `${SECRET}`",
        ),
    ] {
        refused(&text, expected);
    }
}
