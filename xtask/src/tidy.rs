//! `cargo xtask tidy`: the project's own rules, applied to every file of the workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checks::{PURE_CRATES, forbidden_dependencies, left_over_markers, production_lines, sleeps};
use crate::steps::{cargo, succeeds};

/// The most lines of production code in a file.
const MAX_PRODUCTION_LINES: usize = 800;
/// Folders that hold nothing written by hand.
const SKIPPED_FOLDERS: [&str; 3] = ["target", ".git", "corpus"];
const CHECKED_EXTENSIONS: [&str; 7] = ["rs", "toml", "md", "js", "css", "html", "sh"];

/// Runs all checks and lists everything that is wrong.
pub(crate) fn tidy(root: &Path) -> Result<()> {
    let mut complaints = Vec::new();
    for file in files(root)? {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let name = file.strip_prefix(root).unwrap_or(&file);
        complaints.extend(in_file(name, &text));
    }
    for pure in PURE_CRATES {
        let tree = dependencies(root, pure)?;
        let forbidden = forbidden_dependencies(pure, &tree);
        complaints.extend(forbidden.iter().map(|name| format!("{pure} must not depend on {name}")));
    }
    complaints.extend(lock_file(root));
    if complaints.is_empty() {
        return Ok(());
    }
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    bail!("{} things are not tidy", complaints.len())
}

fn in_file(name: &Path, text: &str) -> Vec<String> {
    let shown = name.display();
    let mut complaints: Vec<String> =
        left_over_markers(text).map(|line| format!("{shown}:{line}: a marker was left over")).collect();
    if name.extension().is_some_and(|extension| extension == "rs") {
        complaints.extend(sleeps(text).map(|line| format!("{shown}:{line}: nothing here sleeps; wait for the event")));
        let lines = production_lines(text);
        if lines > MAX_PRODUCTION_LINES && !is_test(name) {
            complaints.push(format!("{shown}: {lines} lines of production code, {MAX_PRODUCTION_LINES} are the most"));
        }
    }
    complaints
}

/// Whether a whole file is tests.
fn is_test(name: &Path) -> bool {
    let folder_of_tests = name.iter().any(|part| part == "tests" || part == "benches" || part == "fuzz");
    folder_of_tests || name.file_name().is_some_and(|file| file == "tests.rs")
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let skipped = SKIPPED_FOLDERS.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() && !skipped {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|e| CHECKED_EXTENSIONS.iter().any(|c| e == *c)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Names of all packages that a crate is built from, itself included.
fn dependencies(root: &Path, name: &str) -> Result<Vec<String>> {
    let arguments = ["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", "-p", name];
    let output = cargo().args(arguments).current_dir(root).output().context("cannot start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree -p {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn lock_file(root: &Path) -> Option<String> {
    let in_git = root.join(".git").exists();
    let tracked = succeeds(Command::new("git").args(["ls-files", "--error-unmatch", "Cargo.lock"]).current_dir(root));
    (in_git && !tracked).then(|| "Cargo.lock is not committed".to_owned())
}
