//! The document in which a connector says who it is.

use std::collections::HashSet;

use wharf::connector::descriptor::Descriptor;

/// What is accepted keeps to the rules and is read again as it is written; what is refused is refused in a line.
pub fn holds(bytes: &[u8]) {
    let document = String::from_utf8_lossy(bytes);
    let descriptor = match Descriptor::parse(&document) {
        Ok(descriptor) => descriptor,
        Err(error) => return super::readable(&error.to_string(), 400),
    };
    super::readable(&descriptor.title(), 210);
    assert_eq!(descriptor.format, 1);
    assert!(semver::Version::parse(&descriptor.about.version).is_ok());
    let names: HashSet<_> = descriptor.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names.len(), descriptor.parameters.len());
    for name in names {
        super::readable(name, 100);
    }
    let known =
        |name: &Option<String>, names: Vec<&str>| name.as_deref().is_none_or(|name| name.is_empty() || names.contains(&name));
    assert!(known(&descriptor.default_action, descriptor.actions.iter().map(|action| action.name.as_str()).collect()));
    assert!(known(&descriptor.default_version, descriptor.versions.iter().map(|version| version.name.as_str()).collect()));
    assert!(descriptor.bounds.largest_record() > 0 && descriptor.bounds.records != Some(0));

    let written = serde_json::to_string(&descriptor).expect("it can be written");
    // The written form may be the longer one.
    if written.len() <= 1 << 20 {
        let again = Descriptor::parse(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
        assert_eq!(serde_json::to_string(&again).expect("it can be written"), written);
    }
}
