//! What a Rust name is called in a pipeline file.

/// `max_attempts` and `MaxAttempts` are `max-attempts`.
pub fn hyphenated(name: &str) -> String {
    let mut hyphenated = String::new();
    let mut previous = '-';
    for c in name.trim_start_matches("r#").trim_matches('_').chars() {
        if c == '_' {
            hyphenated.push('-');
        } else {
            if c.is_uppercase() && (previous.is_lowercase() || previous.is_ascii_digit()) {
                hyphenated.push('-');
            }
            hyphenated.extend(c.to_lowercase());
        }
        previous = c;
    }
    hyphenated
}

/// Whether a parameter may be called so: segments of lower-case letters, digits and hyphens, joined by dots.
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.split('.').all(|segment| segment.starts_with(|c: char| c.is_ascii_lowercase()) && segment.chars().all(allowed))
}

/// The one of `known` that `name` was probably meant to be: no more than two changes away.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, nearest) = known.iter().map(|known| (distance(name, known), *known)).min()?;
    (distance <= 2).then_some(nearest)
}

/// Damerau's distance without transposing twice: insertions, deletions, replacements and swaps of neighbours.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, row) in table.iter_mut().enumerate() {
        row[0] = i;
    }
    table[0] = (0..=right.len()).collect();
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let replaced = table[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = best;
        }
    }
    table[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_names_become_hyphenated() {
        let cases =
            [("url", "url"), ("max_attempts", "max-attempts"), ("InsertOrUpdate", "insert-or-update"), ("r#type", "type")];
        for (name, hyphens) in cases {
            assert_eq!(hyphenated(name), hyphens);
        }
        assert_eq!(hyphenated("Sha256Sum"), "sha256-sum");
    }

    #[test]
    fn names_are_what_a_pipeline_file_can_hold() {
        assert!(["a", "a-b", "retry.max-attempts", "x2"].into_iter().all(is_name));
        assert!(!["", "A", "a b", "a..b", ".a", "a.*", "2x", "-a"].into_iter().any(is_name));
    }

    #[test]
    fn a_slip_of_the_finger_is_near() {
        assert_eq!(nearest("defualt", &["default", "secret"]), Some("default"));
        assert_eq!(nearest("colour", &["default", "secret"]), None);
    }
}
