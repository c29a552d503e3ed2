//! What an operator gave.

/// Names and values, as the contract carries them: lists as `name.0`, `name.1`, maps as `name.key`.
#[derive(Clone, Default)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Names and values, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is such a name, or one behind it and a dot.
    pub fn mentions(&self, name: &str) -> bool {
        self.get(name).is_some() || !self.segments(name).is_empty()
    }

    /// What stands next behind `name` and a dot, each once.
    pub fn segments<'a>(&'a self, name: &str) -> Vec<&'a str> {
        let behind = |(other, _): &'a (String, String)| other.strip_prefix(name)?.strip_prefix('.')?.split('.').next();
        let mut segments: Vec<&str> = self.0.iter().filter_map(behind).collect();
        segments.dedup();
        segments
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(settings: I) -> Self {
        let mut settings: Vec<(String, String)> = settings.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        settings.sort_unstable();
        Self(settings)
    }
}

/// Names alone: a value may be a secret.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_several_names_share_comes_once() {
        let settings =
            Settings::from_iter([("a.x", "1"), ("a.y.b", "2"), ("a.y.c", "3"), ("a-b.z", "4"), ("ab", "5"), ("a", "6")]);
        assert_eq!(settings.segments("a"), ["x", "y"]);
        assert_eq!(settings.get("a.y.c"), Some("3"));
        assert!(settings.mentions("a.y") && settings.mentions("ab") && !settings.mentions("a.z"));
    }

    #[test]
    fn what_is_given_is_not_shown() {
        assert_eq!(format!("{:?}", Settings::from_iter([("password", "hunter2")])), r#"{"password"}"#);
    }
}
