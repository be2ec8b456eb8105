//! Words of servers, as they may be shown to a person.

/// RFC 8489 §14.8, §14.14: "fewer than 128" characters.
const MAXIMUM_LENGTH: usize = 127;

/// What a server says, without what would not be seen or would change what is seen: some servers pad their words with NUL, and any may send what moves a cursor or turns the direction of
/// writing. No longer than its RFC allows.
pub(crate) fn shown(words: &str) -> String {
    let seen = words.chars().map(|character| if character.is_whitespace() { ' ' } else { character });
    let seen: String = seen.filter(|character| !is_hidden(*character)).take(MAXIMUM_LENGTH).collect();
    seen.trim().to_owned()
}

/// Control characters, and Unicode's marks and overrides of direction (UAX #9), which are none.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_left_out_and_the_rest_stays() {
        assert_eq!(shown("Invalid allocation\0\0"), "Invalid allocation");
        assert_eq!(shown("\u{1b}[2Jone\r\ntwo\tthree \u{7f}\u{9b}"), "[2Jone  two three");
        assert_eq!(shown("\u{202e}txt.exe\u{200b}\u{feff}"), "txt.exe");
        assert_eq!(shown("größer, 大きい"), "größer, 大きい");
        assert_eq!(shown("\0\0"), "");
    }

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(shown(&"ä".repeat(800)).chars().count(), MAXIMUM_LENGTH);
    }
}
