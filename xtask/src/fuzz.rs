//! `cargo xtask fuzz`: every target of `fuzz/` for some minutes, and a table of what came of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Error, Result, bail};
use clap::Args;

use crate::steps::run;
use crate::{corpus, install};

#[derive(Args)]
pub(crate) struct FuzzOptions {
    /// How long each target runs
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// This target only
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// How many targets run at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Instead of fuzzing, choose the inputs to be committed: of the corpus as it is and of what fuzzing has grown, those that cover most
    #[arg(long)]
    minimize: bool,
    /// Install nothing: say what is missing and stop
    #[arg(long)]
    no_install: bool,
}

/// No input of a target needs to be longer, in bytes.
const MAX_LENGTH: usize = 4096;
/// Descriptions are: that of a browser with audio and video alone has more.
const MAX_DESCRIPTION_LENGTH: usize = 16_384;
/// An input that takes longer, in seconds, is a finding.
const TIMEOUT: u32 = 10;
/// An input for which the process grows beyond this, in MiB, is a finding.
const MEMORY: u32 = 2048;
const BUILD: [&str; 4] = ["+nightly", "fuzz", "build", "--sanitizer=none"];

/// Builds the targets, runs them, and fails if one has found something.
pub(crate) fn fuzz(root: &Path, options: &FuzzOptions) -> Result<()> {
    install::fuzzer(!options.no_install)?;
    let targets = chosen(targets(root)?, options.target.as_deref())?;
    // There is no unsafe code to sanitize in this workspace, and without a sanitizer the targets run twice as fast.
    run(rustup_cargo().args(BUILD).current_dir(root))?;
    if options.minimize {
        return minimize_all(root, &targets);
    }
    let start = |target: &str| Run::start(root, target, options.minutes);
    let outcomes = run_all(&targets, options.jobs.into(), start, |run| run.finish(root));
    println!("{}", table(&outcomes));
    verdict(&outcomes)
}

/// Runs the targets, so many at a time. One that does not run to its end is told of in its outcome, and stops no other.
fn run_all<R>(
    targets: &[String],
    jobs: usize,
    start: impl Fn(&str) -> Result<R>,
    finish: impl Fn(R) -> Result<Outcome>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for batch in targets.chunks(jobs) {
        let started: Vec<_> = batch.iter().map(|target| (target, start(target))).collect();
        for (target, run) in started {
            outcomes.push(run.and_then(&finish).unwrap_or_else(|error| Outcome::failed(target, &error)));
        }
    }
    outcomes
}

/// Lists what has gone wrong, and fails if anything has.
fn verdict(outcomes: &[Outcome]) -> Result<()> {
    let failures: Vec<String> = outcomes.iter().flat_map(Outcome::failures).collect();
    for failure in &failures {
        println!("{failure}");
    }
    if !failures.is_empty() {
        let findings: usize = outcomes.iter().map(|outcome| outcome.findings.len()).sum();
        bail!("{findings} findings, {} targets that did not run to their end", failures.len() - findings);
    }
    Ok(())
}

/// The cargo of rustup, which knows `+nightly`: the one that runs this program does not.
fn rustup_cargo() -> Command {
    Command::new("cargo")
}

/// Where fuzzing keeps what it grows, beside the committed corpus.
fn grown(root: &Path, target: &str) -> PathBuf {
    root.join("fuzz/artifacts/corpus").join(target)
}

fn committed(root: &Path, target: &str) -> PathBuf {
    root.join("fuzz/corpus").join(target)
}

fn max_length(target: &str) -> usize {
    match target {
        "session_description" => MAX_DESCRIPTION_LENGTH,
        _ => MAX_LENGTH,
    }
}

/// The targets, by the names of their files.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn chosen(targets: Vec<String>, name: Option<&str>) -> Result<Vec<String>> {
    let Some(name) = name else { return Ok(targets) };
    if !targets.iter().any(|target| target == name) {
        bail!("there is no target {name}; there are {}", targets.join(", "));
    }
    Ok(vec![name.to_owned()])
}

/// The command for a target, up to the folders of its inputs.
fn fuzzer(root: &Path, target: &str) -> Command {
    let mut command = rustup_cargo();
    command.args(["+nightly", "fuzz", "run", "--sanitizer=none", target]).current_dir(root);
    command
}

/// Minimizes every corpus, and fails at the end if one could not be.
fn minimize_all(root: &Path, targets: &[String]) -> Result<()> {
    let mut failed = Vec::new();
    for target in targets {
        if let Err(error) = minimize(root, target) {
            println!("{target}: {error:#}");
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("not minimized: {}", failed.join(", "));
    }
    Ok(())
}

fn minimize(root: &Path, target: &str) -> Result<()> {
    let (committed, grown) = (committed(root, target), grown(root, target));
    let merged = root.join("fuzz/artifacts/merged").join(target);
    let control = root.join("fuzz/artifacts").join(format!("{target}.merge"));
    for leftover in [&merged, &control] {
        let _missing = fs::remove_dir_all(leftover).or_else(|_| fs::remove_file(leftover));
    }
    for folder in [&merged, &committed, &grown] {
        fs::create_dir_all(folder)?;
    }
    let mut merge = fuzzer(root, target);
    merge.args([&merged, &committed, &grown]).args(["--", "-set_cover_merge=1"]);
    run(merge.arg(format!("-merge_control_file={}", control.display())))?;
    let candidates = corpus::read_control_file(&fs::read_to_string(&control)?).context("the merge was cut short")?;
    let chosen = corpus::choose(candidates, corpus::MAX_FILES, corpus::MAX_BYTES);
    let inputs: Vec<Vec<u8>> = chosen.iter().map(fs::read).collect::<Result<_, _>>()?;
    fs::remove_dir_all(&committed)?;
    fs::create_dir_all(&committed)?;
    for (name, input) in chosen.iter().filter_map(|file| Path::new(file).file_name()).zip(&inputs) {
        fs::write(committed.join(name), input)?;
    }
    println!("{target}: {} files", inputs.len());
    Ok(())
}

/// A target that runs, and writes to a file of its own.
struct Run {
    target: String,
    child: Child,
    log: PathBuf,
    known: Vec<PathBuf>,
}

impl Run {
    fn start(root: &Path, target: &str, minutes: u64) -> Result<Self> {
        let artifacts = root.join("fuzz/artifacts");
        fs::create_dir_all(&artifacts)?;
        let log = artifacts.join(format!("{target}.log"));
        // What is new goes to the first folder.
        let folders = [grown(root, target), committed(root, target)];
        folders.iter().try_for_each(fs::create_dir_all)?;
        let mut command = fuzzer(root, target);
        command.args(folders).args(["--", &format!("-max_total_time={}", minutes * 60)]);
        command.args([format!("-max_len={}", max_length(target)), format!("-timeout={TIMEOUT}")]);
        command.args([format!("-rss_limit_mb={MEMORY}"), "-print_final_stats=1".to_owned()]);
        let dictionary = root.join(format!("fuzz/dictionaries/{target}.dict"));
        if dictionary.exists() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        println!("==> {target}: {minutes} minutes, {}", log.display());
        let child = command.spawn().context("cannot start cargo fuzz")?;
        Ok(Self { target: target.to_owned(), child, log, known: findings(root, target) })
    }

    fn finish(mut self, root: &Path) -> Result<Outcome> {
        let status = self.child.wait()?;
        let text = String::from_utf8_lossy(&fs::read(&self.log)?).into_owned();
        let mut new = findings(root, &self.target);
        new.retain(|finding| !self.known.contains(finding));
        let failure = (!status.success() && new.is_empty())
            .then(|| format!("ended with {status} and without a finding: see {}", self.log.display()));
        Ok(Outcome { target: self.target, figures: Figures::read(&text), findings: new, failure })
    }
}

/// The inputs that libFuzzer has saved as findings.
fn findings(root: &Path, target: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join("fuzz/artifacts").join(target)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

struct Outcome {
    target: String,
    figures: Figures,
    findings: Vec<PathBuf>,
    /// Why it did not run to its end, if not for a finding.
    failure: Option<String>,
}

impl Outcome {
    fn failed(target: &str, error: &Error) -> Self {
        let failure = Some(format!("{error:#}"));
        Self { target: target.to_owned(), figures: Figures::default(), findings: Vec::new(), failure }
    }

    /// Each finding with the command that replays it, and why the target did not run to its end.
    fn failures(&self) -> impl Iterator<Item = String> {
        let target = &self.target;
        let replay = move |file: &PathBuf| {
            format!("{target}: cargo +nightly fuzz run --sanitizer=none {target} {}", file.display())
        };
        let failure = self.failure.as_ref().map(|failure| format!("{target}: {failure}"));
        self.findings.iter().map(replay).chain(failure)
    }
}

/// What libFuzzer says of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Figures {
    runs: u64,
    runs_per_second: u64,
    corpus: u64,
    edges: u64,
}

impl Figures {
    /// Of status lines, `#123 NEW cov: 4 ft: 5 corp: 6/7b exec/s: 8 …`, the last one counts; final statistics, `stat::name: 1`, come once.
    fn read(text: &str) -> Self {
        let mut figures = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                let field = match word {
                    "cov:" => &mut figures.edges,
                    "corp:" => &mut figures.corpus,
                    "stat::number_of_executed_units:" => &mut figures.runs,
                    "stat::average_exec_per_sec:" => &mut figures.runs_per_second,
                    _ => continue,
                };
                let digits = words.next().and_then(|value| value.split(|c: char| !c.is_ascii_digit()).next());
                *field = digits.and_then(|digits| digits.parse().ok()).unwrap_or(*field);
            }
        }
        figures
    }
}

fn table(outcomes: &[Outcome]) -> String {
    let mut lines = vec![format!(
        "{:<20} {:>12} {:>8} {:>8} {:>8} {:>9}",
        "target", "runs", "runs/s", "corpus", "edges", "findings"
    )];
    lines.extend(outcomes.iter().map(|Outcome { target, figures, findings, .. }| {
        let Figures { runs, runs_per_second, corpus, edges } = figures;
        format!("{target:<20} {runs:>12} {runs_per_second:>8} {corpus:>8} {edges:>8} {:>9}", findings.len())
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_last_status_line_and_of_the_final_statistics() {
        let text = "#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                    #900\tREDUCE cov: 4199 ft: 11432 corp: 1279/1537Kb lim: 4096 exec/s: 2925 rss: 39Mb L: 163/4096 MS: 1 EraseBytes-\n\
                    Done 50514 runs in 31 second(s)\n\
                    stat::number_of_executed_units: 50514\n\
                    stat::average_exec_per_sec:     1629\n";
        let expected = Figures { runs: 50_514, runs_per_second: 1_629, corpus: 1_279, edges: 4_199 };
        assert_eq!(Figures::read(text), expected);
    }

    #[test]
    fn a_run_that_ended_early_has_the_figures_that_there_are() {
        assert_eq!(Figures::read("#1 cov: 3 corp: x/1b\nstat::"), Figures { edges: 3, ..Figures::default() });
    }

    #[test]
    fn a_target_is_chosen_by_its_name_or_refused_with_those_that_there_are() {
        let targets = || vec!["candidate".to_owned(), "stun".to_owned()];
        assert_eq!(chosen(targets(), None).unwrap(), targets());
        assert_eq!(chosen(targets(), Some("stun")).unwrap(), ["stun"]);
        let refusal = chosen(targets(), Some("turn")).unwrap_err().to_string();
        assert!(refusal.contains("candidate, stun"), "{refusal}");
    }

    fn outcome(findings: &[&str]) -> Outcome {
        Outcome {
            target: "stun".into(),
            figures: Figures { runs: 1, runs_per_second: 2, corpus: 3, edges: 4 },
            findings: findings.iter().map(PathBuf::from).collect(),
            failure: None,
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_target() {
        let text = table(&[outcome(&["artifacts/stun/crash-1"])]);
        let words: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words, ["stun", "1", "2", "3", "4", "1"]);
    }

    #[test]
    fn a_finding_is_named_with_the_command_that_replays_it() {
        let expected = "stun: cargo +nightly fuzz run --sanitizer=none stun crash-1";
        assert_eq!(outcome(&["crash-1"]).failures().collect::<Vec<_>>(), [expected]);
    }

    #[test]
    fn a_target_that_fails_does_not_stop_those_after_it() {
        let targets = ["a", "b", "c", "d"].map(str::to_owned);
        let start = |target: &str| if target == "a" { bail!("no such program") } else { Ok(target.to_owned()) };
        let finish = |target: String| match target.as_str() {
            "b" => bail!("its log cannot be read"),
            "c" => Ok(outcome(&["crash-1", "crash-2"])),
            _ => Ok(outcome(&[])),
        };
        for jobs in [1, 3, 9] {
            let outcomes = run_all(&targets, jobs, start, finish);
            let failures: Vec<_> = outcomes.iter().map(|outcome| outcome.failures().count()).collect();
            assert_eq!(failures, [1, 1, 2, 0]);
            assert_eq!(outcomes[0].failures().collect::<Vec<_>>(), ["a: no such program"]);
        }
    }

    #[test]
    fn a_run_with_findings_or_failures_fails_and_one_without_does_not() {
        assert!(verdict(&[outcome(&[]), outcome(&[])]).is_ok());
        assert!(verdict(&[outcome(&[]), outcome(&["crash-1"])]).is_err());
        let failed = Outcome::failed("stun", &Error::msg("no such program"));
        let told = verdict(&[failed, outcome(&["crash-1"])]).unwrap_err().to_string();
        assert_eq!(told, "1 findings, 1 targets that did not run to their end");
    }

    /// Beyond its length, libFuzzer would not read an input.
    #[test]
    fn no_committed_input_is_longer_than_its_target_reads() {
        let root = crate::root().unwrap();
        let targets = targets(&root).unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            let longest = fs::read_dir(committed(&root, &target)).unwrap();
            let longest = longest.map(|file| file.unwrap().metadata().unwrap().len()).max().unwrap();
            assert!(longest <= max_length(&target) as u64, "{target}: {longest} bytes");
        }
    }
}
