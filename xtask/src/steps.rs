//! `cargo xtask test`: the steps, in the order in which a developer wants to hear of a failure.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{install, tidy};

#[derive(Args)]
pub(crate) struct TestOptions {
    /// Install nothing: say what is missing and stop
    #[arg(long)]
    no_install: bool,
    /// Leave out the tests that need a browser
    #[arg(long)]
    skip_interop: bool,
}

/// Runs every step, and fails at the end if one did.
pub(crate) fn test(root: &Path, options: &TestOptions) -> Result<()> {
    install::rust_components(!options.no_install)?;
    if !options.skip_interop {
        install::interop_tools(!options.no_install)?;
    }
    let mut failed = Vec::new();
    for step in steps(options) {
        println!("==> {}", step.name);
        let began = Instant::now();
        let outcome = step.run(root);
        let seconds = began.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => println!("==> {}: ok, {seconds:.1} s\n", step.name),
            Err(error) => {
                println!("==> {}: FAILED, {seconds:.1} s: {error:#}\n", step.name);
                failed.push(step.name);
            }
        }
    }
    if failed.is_empty() {
        println!("==> all steps passed");
        Ok(())
    } else {
        bail!("failed: {}", failed.join(", "));
    }
}

struct Step {
    name: &'static str,
    action: Action,
}

enum Action {
    Cargo { arguments: Vec<&'static str>, environment: Option<(&'static str, &'static str)> },
    Tidy,
}

impl Step {
    fn cargo(name: &'static str, arguments: &[&'static str]) -> Self {
        Self { name, action: Action::Cargo { arguments: arguments.to_vec(), environment: None } }
    }

    fn run(&self, root: &Path) -> Result<()> {
        match &self.action {
            Action::Cargo { arguments, environment } => {
                let mut command = cargo();
                command.args(arguments).current_dir(root).envs(*environment);
                run(&mut command)
            }
            Action::Tidy => tidy::tidy(root),
        }
    }
}

/// SCTP of our own beside that of `sctp-proto`, each with every test of the transport, and one against the other.
const BOTH_SCTPS: &[&str] = &["--package", "proto-dtls-sctp", "--features", "sctp-proto,bare,simulation", "--locked"];

fn steps(options: &TestOptions) -> Vec<Step> {
    let mut test = vec!["test", "--workspace", "--locked", "--no-fail-fast"];
    if options.skip_interop {
        test.extend(["--exclude", "interop"]);
    }
    let document = Step {
        name: "documentation",
        action: Action::Cargo {
            arguments: vec!["doc", "--workspace", "--no-deps", "--locked"],
            environment: Some(("RUSTDOCFLAGS", "-D warnings")),
        },
    };
    let mut steps = vec![
        Step { name: "tidy", action: Action::Tidy },
        Step::cargo("formatting", &["fmt", "--all", "--check"]),
        Step::cargo("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
        Step::cargo(
            "lints of both SCTPs",
            &[&["clippy", "--all-targets"], BOTH_SCTPS, &["--", "-D", "warnings"]].concat(),
        ),
        Step::cargo("tests", &test),
        Step::cargo("tests of both SCTPs", &[&["test", "--no-fail-fast"], BOTH_SCTPS].concat()),
        document,
    ];
    if succeeds(cargo().args(["deny", "--version"])) {
        steps.push(Step::cargo("dependencies", &["deny", "--locked", "check"]));
    } else {
        println!(
            "cargo-deny is not installed: licences and advisories are not checked (cargo install --locked cargo-deny)"
        );
    }
    steps
}

/// The cargo that runs this program, or the one on the path.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command whose output the user sees.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", program(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", program(command));
    }
    Ok(())
}

/// Whether a command can be run and succeeds; its output is of no interest.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn program(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
