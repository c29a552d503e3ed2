//! The name that was probably meant.

/// Which of the candidates lies nearest to a word that is none of them; none where no candidate is near.
///
/// Case and `_` for `-` do not count. Near is a third of the word's letters away, and at least one, counting a swap of two
/// neighbours as one (Damerau and Levenshtein).
///
/// ```
/// use wharf::config::nearest;
///
/// assert_eq!(nearest("settigns", ["settings", "grants"]), Some("settings"));
/// assert_eq!(nearest("Batch_Size", ["batch-size"]), Some("batch-size"));
/// assert_eq!(nearest("flavour", ["settings", "grants"]), None);
/// ```
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let word = plain(word);
    let far = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= far)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
