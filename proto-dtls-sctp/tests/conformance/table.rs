//! The table of purposes and tests.

use std::collections::BTreeSet;
use std::path::Path;

/// How many purposes each group of the suite has.
const GROUPS: [(&str, usize); 11] = [
    ("AS", 33),
    ("AT", 16),
    ("IMH", 10),
    ("DM", 15),
    ("FH", 8),
    ("E", 6),
    ("BDC", 8),
    ("D", 15),
    ("A", 3),
    ("M", 4),
    ("RT", 3),
];

fn rows() -> Vec<String> {
    let table = std::fs::read_to_string(here().join("README.md")).unwrap();
    table.lines().filter(|line| line.starts_with("| ")).map(str::to_owned).collect()
}

fn here() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn named(rows: &[String]) -> BTreeSet<String> {
    let quoted = rows.iter().flat_map(|row| row.split('`').skip(1).step_by(2));
    quoted.filter(|text| text.contains(".rs:")).map(str::to_owned).collect()
}

/// Whoever renames a test learns here that the table names it.
#[test]
fn every_test_that_the_table_names_exists() {
    let tests = named(&rows());
    assert!(tests.len() > 150);
    for test in tests {
        let (file, function) = test.split_once(':').unwrap();
        let path = if file.contains('/') { here().join("../../..").join(file) } else { here().join(file) };
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("#[test]\nfn {function}()")), "{test}");
    }
}

#[test]
fn the_table_names_every_test_of_this_folder() {
    let named = named(&rows());
    for entry in std::fs::read_dir(here()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if matches!(file.as_str(), "table.rs" | "README.md") {
            continue;
        }
        let text = std::fs::read_to_string(here().join(&file)).unwrap();
        let names = text.split("#[test]\nfn ").skip(1).map(|rest| rest.split('(').next().unwrap());
        let missing: Vec<&str> = names.filter(|name| !named.contains(&format!("{file}:{name}"))).collect();
        assert!(missing.is_empty(), "{file}: {missing:?}");
    }
}

#[test]
fn every_purpose_of_the_suite_has_a_row_with_a_test_or_a_reason() {
    let rows = rows();
    for (group, count) in GROUPS {
        let of_group: Vec<&String> = rows
            .iter()
            .filter(|row| {
                let id = row.split('|').nth(1).unwrap().trim();
                id.split('-').next() == Some(group) && id.contains('-')
            })
            .collect();
        assert_eq!(of_group.len(), count, "{group}");
        for row in of_group {
            assert!(row.contains(".rs:") || row.contains("does not apply: "), "{row}");
        }
    }
}
