//! What tidy looks for, as functions of text.

/// The crates without I/O, which may not reach any either.
pub(crate) const PURE_CRATES: [&str; 5] = ["proto-machine", "proto-sdp", "proto-ice", "proto-dtls-sctp", "peer-core"];

/// Sockets, event loops and the enumeration of interfaces.
const IO_CRATES: [&str; 8] = ["async-io", "async-std", "if-addrs", "mio", "polling", "quinn-udp", "socket2", "tokio"];

/// Markers of work that is not done. Written in two halves, so that this file does not carry them.
const MARKERS: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

const SLEEPS: [&str; 3] = [concat!("thread::", "sleep("), concat!("time::", "sleep("), concat!("task::", "sleep(")];

/// Lines of a Rust file without its test modules.
pub(crate) fn production_lines(text: &str) -> usize {
    let mut count = 0;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let test_module = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod "));
        if !test_module {
            count += 1;
            continue;
        }
        // An inline module ends at the first brace in the first column, one in a file of its own where it begins.
        let inline = lines.next().is_some_and(|declaration| declaration.ends_with('{'));
        if inline {
            lines.by_ref().find(|line| *line == "}");
        }
    }
    count
}

/// Numbers of the lines that carry a marker as a word of its own.
pub(crate) fn left_over_markers(text: &str) -> impl Iterator<Item = usize> {
    numbered(text, |line| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| MARKERS.contains(&word)))
}

/// Numbers of the lines that sleep.
pub(crate) fn sleeps(text: &str) -> impl Iterator<Item = usize> {
    numbered(text, |line| SLEEPS.iter().any(|call| line.contains(call)))
}

/// What a pure crate depends on although it must not, directly or not: I/O, and for a protocol any crate of the family but the vocabulary.
pub(crate) fn forbidden_dependencies(name: &str, tree: &[String]) -> Vec<String> {
    let is_protocol = name.starts_with("proto-");
    let of_the_family =
        |other: &str| other.starts_with("proto-") || other.starts_with("driver-") || other == "peer-core";
    let forbidden = |other: &str| {
        let beside = other != name && other != "proto-machine";
        let sibling = of_the_family(other) && (is_protocol || !other.starts_with("proto-"));
        IO_CRATES.contains(&other) || (beside && sibling)
    };
    let mut found: Vec<String> = tree.iter().filter(|other| forbidden(other)).cloned().collect();
    found.sort();
    found.dedup();
    found
}

fn numbered(text: &str, matches: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
    text.lines().enumerate().filter(move |(_, line)| matches(line)).map(|(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn test_modules_do_not_count_as_production_code() {
        assert_eq!(production_lines("one\n#[cfg(test)]\nmod tests;\ntwo\n"), 2);
        assert_eq!(production_lines("one\n#[cfg(test)]\nmod tests {\n    many\n    lines\n}\ntwo\n"), 2);
    }

    #[test]
    fn code_for_tests_that_is_no_module_counts() {
        assert_eq!(production_lines("#[cfg(test)]\nuse std::fmt;\n"), 2);
    }

    #[test]
    fn a_marker_is_found_as_a_word_and_not_inside_one() {
        let marker = MARKERS[0];
        let text = format!("fine\n// {marker}: later\n// {marker}LIST\n({marker})\n");
        assert_eq!(left_over_markers(&text).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_sleep_is_found() {
        let text = format!("first\nstd::{}second);\n", SLEEPS[0]);
        assert_eq!(sleeps(&text).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_protocol_may_know_the_vocabulary_and_no_other_protocol() {
        let found = forbidden_dependencies("proto-ice", &tree(&["proto-ice", "proto-machine", "proto-sdp", "bytes"]));
        assert_eq!(found, ["proto-sdp"]);
    }

    #[test]
    fn the_peer_may_know_the_protocols_and_no_driver() {
        let found = forbidden_dependencies("peer-core", &tree(&["peer-core", "proto-ice", "proto-sdp", "driver-mio"]));
        assert_eq!(found, ["driver-mio"]);
    }

    #[test]
    fn no_pure_crate_may_reach_sockets() {
        assert_eq!(forbidden_dependencies("peer-core", &tree(&["mio", "tokio", "mio"])), ["mio", "tokio"]);
    }
}
