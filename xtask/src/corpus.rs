//! Which files of a grown corpus are worth committing.

use std::collections::BTreeSet;

/// The most files in a committed corpus, and the most bytes in all of them.
pub(crate) const MAX_FILES: usize = 150;
pub(crate) const MAX_BYTES: usize = 300 * 1024;

/// A file, and what it covers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Candidate {
    pub(crate) file: String,
    bytes: usize,
    features: BTreeSet<u32>,
}

/// Reads the control file of a merge by set cover: the number of files, how many of them come from the first folder, their names, and then, for each by its number, `STARTED` with
/// its size and `FT` with its features.
pub(crate) fn read_control_file(text: &str) -> Option<Vec<Candidate>> {
    let mut lines = text.lines();
    let count: usize = lines.next()?.parse().ok()?;
    lines.next()?;
    let names: Vec<&str> = lines.by_ref().take(count).collect();
    let mut candidates: Vec<_> =
        names.iter().map(|name| Candidate { file: (*name).to_owned(), ..Candidate::default() }).collect();
    for line in lines {
        let mut words = line.split_whitespace();
        let (Some(kind), Some(number)) = (words.next(), words.next()) else { continue };
        let candidate = candidates.get_mut(number.parse::<usize>().ok()?)?;
        match kind {
            "STARTED" => candidate.bytes = words.next()?.parse().ok()?,
            "FT" => candidate.features = words.filter_map(|feature| feature.parse().ok()).collect(),
            _ => {}
        }
    }
    (names.len() == count).then_some(candidates)
}

/// The files that cover most, within the bounds: always the one that adds most, of equals the smallest.
pub(crate) fn choose(mut candidates: Vec<Candidate>, max_files: usize, max_bytes: usize) -> Vec<String> {
    let mut chosen = Vec::new();
    let mut room = max_bytes;
    while chosen.len() < max_files {
        candidates.retain(|candidate| !candidate.features.is_empty() && candidate.bytes <= room);
        let gain = |candidate: &Candidate| (candidate.features.len(), std::cmp::Reverse(candidate.bytes));
        let Some(best) = (0..candidates.len()).max_by_key(|&index| gain(&candidates[index])) else { break };
        let best = candidates.swap_remove(best);
        for candidate in &mut candidates {
            candidate.features.retain(|feature| !best.features.contains(feature));
        }
        room -= best.bytes;
        chosen.push(best.file);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str =
        "3\n1\na\nb\nc\nSTARTED 0 10\nFT 0 1 2 3\nCOV 0 7\nSTARTED 1 5\nFT 1 3 4\nSTARTED 2 4\nFT 2 3 4\n";

    #[test]
    fn the_control_file_names_files_with_their_sizes_and_features() {
        let candidates = read_control_file(CONTROL).unwrap();
        let expected = Candidate { file: "b".into(), bytes: 5, features: [3, 4].into() };
        assert_eq!((candidates.len(), &candidates[1]), (3, &expected));
        assert_eq!(read_control_file("2\n0\na\n"), None);
    }

    #[test]
    fn what_adds_most_is_chosen_first_and_what_adds_nothing_never() {
        assert_eq!(choose(read_control_file(CONTROL).unwrap(), 9, 99), ["a", "c"]);
    }

    #[test]
    fn both_bounds_hold() {
        assert_eq!(choose(read_control_file(CONTROL).unwrap(), 1, 99), ["a"]);
        assert_eq!(choose(read_control_file(CONTROL).unwrap(), 9, 9), ["c"]);
    }
}
