//! The table of rules and tests.

use std::path::Path;

/// Whoever renames a test learns here that the table names it.
#[test]
fn every_test_that_the_table_names_exists_and_every_rule_has_a_line() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ice");
    let table = std::fs::read_to_string(here.join("README.md")).unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| line.split('|').nth(1).is_some_and(is_number)).collect();
    let numbers: Vec<usize> =
        lines.iter().map(|line| line.split('|').nth(1).unwrap().trim().parse().unwrap()).collect();
    assert_eq!(numbers, (1..=43).collect::<Vec<_>>());
    for line in lines {
        let tests: Vec<&str> = line.split('`').filter(|text| text.contains(".rs:")).collect();
        assert!(!tests.is_empty() || line.contains("not there yet"), "{line}");
        for test in tests {
            let (file, function) = test.split_once(':').unwrap();
            let path = if file.contains('/') { here.join("../../..").join(file) } else { here.join(file) };
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(&format!("#[test]\nfn {function}()")), "{test}");
        }
    }
}

fn is_number(cell: &str) -> bool {
    cell.trim().parse::<usize>().is_ok()
}
