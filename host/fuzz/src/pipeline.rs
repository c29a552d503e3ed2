//! The pipeline file.

use std::{collections::HashSet, path::Path};

use wharf::config::{self, Source};

/// What the one variable that is set holds; it shows in no message.
const SECRET: &str = "h1dden: [\u{1b}";

/// What is accepted keeps to the rules; what is refused is refused at a place that exists, in words that show no variable's value.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let env = |name: &str| match name {
        "SECRET" => Some(SECRET.to_owned()),
        "SIX" => Some("6".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let parsed = config::parse(text, "p.yaml", Path::new("/etc/wharf"), &env);
    let file = match parsed {
        Ok(file) => file,
        Err(mistakes) => return mistakes.iter().for_each(|error| refused(text, error)),
    };
    assert_eq!(file.version, 1);
    assert!(file.data_dir().is_absolute());
    assert!(!format!("{file:?}").contains("h1dden"), "a variable's value is shown");
    assert!(!file.pipelines.is_empty());
    let unique = |names: Vec<&str>| {
        let set: HashSet<_> = names.iter().collect();
        assert_eq!(set.len(), names.len(), "{names:?}");
        for name in names {
            assert!(
                (1..=64).contains(&name.len())
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            );
        }
    };
    unique(file.pipelines.iter().map(|pipeline| pipeline.id.as_str()).collect());
    for pipeline in &file.pipelines {
        assert!((1..=64).contains(&pipeline.window));
        assert!(pipeline.batch.records.is_none_or(|records| (1..=1_000_000).contains(&records)));
        if let Source::File(source) = &pipeline.source.value {
            assert!(Path::new(&source.path.to_string()).is_absolute(), "{:?}", source.path);
        }
        assert!(!pipeline.destinations.is_empty());
        unique(pipeline.destinations.iter().map(|destination| destination.id.as_str()).collect());
        for destination in &pipeline.destinations {
            assert!(destination.component.is_absolute());
            let directories = &destination.grants.directories;
            let guests: HashSet<_> = directories.iter().map(|grant| grant.guest.as_str()).collect();
            assert_eq!(guests.len(), directories.len());
            assert!(directories.iter().all(|grant| grant.host.is_absolute()));
            assert!(destination.limits.memory.bytes() >= 1 << 20 && destination.limits.time.write.millis() >= 1);
        }
    }
    let process = &file.process;
    assert!(process.instances >= 1 && process.compile_time.millis() >= 1 && process.compile_memory.bytes() >= 64 << 20);
}

fn refused(text: &str, error: &config::ConfigError) {
    let shown = format!("{error} {}", error.hint().unwrap_or_default());
    assert!(!shown.contains("h1dden"), "a variable's value is shown: {shown}");
    assert!(!error.what().is_empty() && error.what().chars().count() < 1000, "{shown:.300}");
    if let Some(place) = error.place() {
        let lines = text.split(['\n', '\r']).count();
        assert!(place.line >= 1 && place.column >= 1 && place.line as usize <= lines + 1, "{place} of {lines} lines");
    }
}
