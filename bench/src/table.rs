//! The table of a suite, in Markdown: medians, the stacks side by side.

use std::fmt::Write;

use serde_json::{Map, Value};

/// What stands in a line and is no parameter of the workload.
const NOT_PARAMETERS: [&str; 7] = ["stack", "version", "workload", "repetition", "figures", "datagrams", "error"];

/// All lines of one workload with the same parameters.
struct Group<'a> {
    workload: &'a str,
    parameters: String,
    lines: Vec<&'a Value>,
}

/// The table of the lines of a suite.
#[must_use]
pub fn markdown(lines: &[Value]) -> String {
    let mut stacks: Vec<(&str, &str)> = Vec::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for line in lines {
        let (workload, parameters) = (text(line, "workload"), parameters(line));
        let stack = (text(line, "stack"), text(line, "version"));
        if !stacks.contains(&stack) {
            stacks.push(stack);
        }
        match groups.iter_mut().find(|group| group.workload == workload && group.parameters == parameters) {
            Some(group) => group.lines.push(line),
            None => groups.push(Group { workload, parameters, lines: vec![line] }),
        }
    }
    let mut table = String::from("| workload | figure |");
    stacks.iter().for_each(|(stack, version)| push(&mut table, format_args!(" {stack} {version} |")));
    push(&mut table, format_args!("\n| --- | --- |{}\n", " --- |".repeat(stacks.len())));
    groups.iter().for_each(|group| group.write(&stacks, &mut table));
    table
}

impl Group<'_> {
    fn write(&self, stacks: &[(&str, &str)], table: &mut String) {
        let mut title = format!("{} {}", self.workload, self.parameters);
        for name in self.figure_names() {
            push(table, format_args!("| {title} | {name} |"));
            title.clear();
            for (stack, _) in stacks {
                push(table, format_args!(" {} |", self.figure(stack, name)));
            }
            table.push('\n');
        }
        push(table, format_args!("| {title} | datagrams: largest, most common |"));
        for (stack, _) in stacks {
            push(table, format_args!(" {} |", self.datagrams(stack)));
        }
        table.push('\n');
    }

    /// In the order in which they first appear.
    fn figure_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for figures in self.lines.iter().filter_map(|line| line["figures"].as_object()) {
            names.extend(figures.keys().map(String::as_str).filter(|name| !names.contains(name)).collect::<Vec<_>>());
        }
        names
    }

    fn of<'a>(&'a self, stack: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().copied().filter(move |line| text(line, "stack") == stack)
    }

    /// The median, or why there is none. How many runs failed is said beside the median of the others.
    fn figure(&self, stack: &str, name: &str) -> String {
        let values: Vec<f64> = self.of(stack).filter_map(|line| line["figures"][name].as_f64()).collect();
        let errors: Vec<&str> = self.of(stack).filter_map(|line| line["error"].as_str()).collect();
        match (median(values), errors.first()) {
            (Some(median), None) => digits(median),
            (Some(median), Some(error)) => format!("{} ({} failed: {error})", digits(median), errors.len()),
            (None, Some(error)) => (*error).to_owned(),
            (None, None) => "-".to_owned(),
        }
    }

    fn datagrams(&self, stack: &str) -> String {
        let mut seen = self.of(stack).map(|line| &line["datagrams"]).filter(|seen| seen.is_object());
        seen.next().map_or_else(|| "-".to_owned(), |seen| format!("{}, {}", seen["largest"], seen["most_common"]))
    }
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_default()
}

fn parameters(line: &Value) -> String {
    let all = line.as_object().into_iter().flat_map(Map::iter);
    let parameters = all.filter(|(key, value)| !NOT_PARAMETERS.contains(&key.as_str()) && !value.is_null());
    let words = parameters.map(|(key, value)| match value {
        Value::String(text) => format!("{key}={text}"),
        value => format!("{key}={value}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    let even = values.len().is_multiple_of(2);
    Some(if even { f64::midpoint(values[middle - 1], upper) } else { upper })
}

/// Three significant digits.
fn digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn push(table: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = table.write_fmt(words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(stack: &str, value: f64) -> Value {
        let figures = json!({ "MB/s": value });
        let datagrams = json!({ "largest": 1200, "most_common": 1188 });
        json!({ "stack": stack, "version": "1", "workload": "w1", "message": 16, "buffer_kib": null, "figures": figures, "datagrams": datagrams })
    }

    #[test]
    fn medians_of_the_stacks_stand_side_by_side() {
        let lines =
            [line("ours", 3.0), line("other", 10.0), line("ours", 1.0), line("other", 20.0), line("ours", 200.0)];
        let rows: Vec<String> = markdown(&lines).lines().map(str::to_owned).collect();
        assert_eq!(rows[0], "| workload | figure | ours 1 | other 1 |");
        assert_eq!(rows[2], "| w1 message=16 | MB/s | 3.00 | 15.0 |");
        assert_eq!(rows[3], "|  | datagrams: largest, most common | 1200, 1188 | 1200, 1188 |");
        assert_eq!(rows.len(), 4);
    }

    #[test]
    fn a_failed_run_shows_in_its_place() {
        let failed = json!({ "stack": "other", "version": "1", "workload": "w1", "message": 16, "error": "it hangs" });
        let table = markdown(&[line("ours", 3.0), failed.clone(), line("third", 1.0), line("third", 1.0)]);
        assert!(table.contains("| w1 message=16 | MB/s | 3.00 | it hangs | 1.00 |"));
        let table = markdown(&[line("other", 3.0), failed]);
        assert!(table.contains("| MB/s | 3.00 (1 failed: it hangs) |"));
    }
}
