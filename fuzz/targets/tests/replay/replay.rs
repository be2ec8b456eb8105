//! One test a target, so that they run side by side and a failure names the target.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fuzz_targets::{TARGETS, Target};

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(kind).join(target)
}

/// All files of a folder in order; none if there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// Runs every file, and names all that fail.
fn replay(target: &Target, files: &[PathBuf]) {
    let fails = |file: &&PathBuf| {
        let input = std::fs::read(file).unwrap();
        catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err()
    };
    let failing: Vec<&PathBuf> = files.iter().filter(fails).collect();
    assert!(failing.is_empty(), "{} fails with {failing:#?}", target.name);
}

fn replay_all(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = files(&folder("corpus", name));
    assert!(!corpus.is_empty(), "the corpus of {name} is missing");
    replay(target, &corpus);
    replay(target, &files(&folder("regressions", name)));
}

#[test]
fn session_description_keeps_its_properties_on_every_recorded_input() {
    replay_all("session_description");
}

#[test]
fn candidate_keeps_its_properties_on_every_recorded_input() {
    replay_all("candidate");
}

#[test]
fn stun_keeps_its_properties_on_every_recorded_input() {
    replay_all("stun");
}

#[test]
fn dcep_keeps_its_properties_on_every_recorded_input() {
    replay_all("dcep");
}

#[test]
fn sctp_keeps_its_properties_on_every_recorded_input() {
    replay_all("sctp");
}

#[test]
fn peer_keeps_its_properties_on_every_recorded_input() {
    replay_all("peer");
}

#[test]
fn connection_keeps_its_properties_on_every_recorded_input() {
    replay_all("connection");
}

#[test]
fn offer_answer_keeps_its_properties_on_every_recorded_input() {
    replay_all("offer_answer");
}

/// A folder whose target was renamed or removed would be skipped in silence.
#[test]
fn every_folder_of_inputs_and_every_binary_belongs_to_a_target() {
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    names.sort();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = |folder: &str| -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Vec::new() };
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut stems: Vec<String> = entries.map(|entry| stem(entry.unwrap().path())).collect();
        stems.sort();
        stems
    };
    assert_eq!(entries("fuzz_targets"), names);
    assert_eq!(entries("corpus"), names);
    let strangers: Vec<_> = entries("regressions").into_iter().filter(|name| !names.contains(name)).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// The committed inputs stay small, or the tests would not stay fast.
#[test]
fn every_corpus_stays_within_its_bounds() {
    for target in TARGETS {
        let corpus = files(&folder("corpus", target.name));
        let bytes: u64 = corpus.iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(corpus.len() <= 150 && bytes <= 300 * 1024, "{}: {} files, {bytes} bytes", target.name, corpus.len());
    }
}
