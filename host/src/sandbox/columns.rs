//! Text in the columns of a terminal.

use super::output::printable;

/// Columns of a terminal that is as narrow as they come.
pub(crate) const COLUMNS: usize = 80;

/// Words behind a beginning, which go on below where they began when a line is full. What would rewrite a terminal is shown as what it is, and a word that is
/// longer than a line is broken, not lost.
pub(crate) fn wrapped(beginning: &str, words: &str) -> String {
    let beginning = printable(beginning, false);
    hung(&beginning, beginning.chars().count(), words)
}

/// The same, where they go on so many columns from the left.
pub(crate) fn hung(beginning: &str, indent: usize, words: &str) -> String {
    let (words, indent) = (printable(words, false), indent.min(COLUMNS / 2));
    let mut text = beginning.to_owned();
    let mut column = beginning.chars().count();
    let below = |text: &mut String, column: &mut usize| {
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', indent));
        *column = indent;
    };
    for (index, word) in words.split_whitespace().enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > COLUMNS {
            below(&mut text, &mut column);
        } else if index > 0 {
            text.push(' ');
            column += 1;
        }
        for letter in word.chars() {
            if column == COLUMNS && column > indent {
                below(&mut text, &mut column);
            }
            text.push(letter);
            column += 1;
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
    text
}
