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

/// The same, where they go on so many columns from the left. Lines stay lines where none of them can be taken for one that begins on the left.
pub(crate) fn hung(beginning: &str, indent: usize, words: &str) -> String {
    let indent = indent.min(COLUMNS / 2);
    let words = printable(words, indent > 0);
    let mut text = beginning.to_owned();
    // What fits stands as it was written.
    if beginning.chars().count() + words.trim_end().chars().count() <= COLUMNS && !words.contains('\n') {
        text.push_str(words.trim_end());
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        return text;
    }
    let mut column = beginning.chars().count();
    let below = |text: &mut String, column: &mut usize| {
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', indent));
        *column = indent;
    };
    for (number, line) in words.trim_end().split('\n').enumerate() {
        if number > 0 {
            below(&mut text, &mut column);
        }
        for (index, word) in line.split_whitespace().enumerate() {
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
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_on_below_where_they_began_and_what_fits_stands_as_it_is() {
        assert_eq!(wrapped("  a  ", "b  c"), "  a  b  c\n");
        let told = wrapped("ok  ", &"word ".repeat(40));
        assert!(told.lines().all(|line| line.chars().count() <= COLUMNS), "{told}");
        assert!(told.lines().skip(1).all(|line| line.starts_with("    word")), "{told}");
        assert_eq!(told.matches("word").count(), 40);
    }

    #[test]
    fn lines_stay_lines_but_where_they_would_begin_on_the_left() {
        assert_eq!(wrapped("came  ", "it wrote: a\n    | b\n"), "came  it wrote: a\n      | b\n");
        assert_eq!(hung("", 0, "a\nb"), "a\\u{a}b\n");
    }

    #[test]
    fn a_word_that_is_longer_than_a_line_is_broken_and_nothing_rewrites_the_terminal() {
        let told = hung("", 4, &format!("before \u{1b}[2J {}", "é".repeat(200)));
        assert!(told.lines().all(|line| line.chars().count() <= COLUMNS), "{told}");
        assert_eq!((told.matches('é').count(), told.contains('\u{1b}')), (200, false), "{told}");
    }
}
