//! What the tests need beside Rust, and how it comes onto the machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::{cargo, run, succeeds};

/// A program that the tests start, and where Debian has it.
struct Tool {
    /// Any of these will do.
    programs: &'static [&'static str],
    package: &'static str,
}

const INTEROP: [Tool; 7] = [
    Tool { programs: &["chromium"], package: "chromium" },
    Tool { programs: &["chromedriver"], package: "chromium-driver" },
    Tool { programs: &["firefox-esr", "firefox"], package: "firefox-esr" },
    Tool { programs: &["turnserver"], package: "coturn" },
    Tool { programs: &["ip"], package: "iproute2" },
    Tool { programs: &["nft"], package: "nftables" },
    Tool { programs: &["sysctl"], package: "procps" },
];

/// Sees to it that cargo can format and lint.
pub(crate) fn rust_components(may_install: bool) -> Result<()> {
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(subcommand, _)| !succeeds(cargo().args([subcommand, "--version"])))
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !may_install || on_path("rustup").is_none() {
        bail!("missing: {0}. Install with: rustup component add {0}", missing.join(" "));
    }
    run(Command::new("rustup").args(["component", "add"]).args(missing))
}

/// Sees to it that there is cargo-fuzz. The nightly toolchain that it needs is the developer's to install.
pub(crate) fn fuzzer(may_install: bool) -> Result<()> {
    let nightly = |arguments: &[&str]| succeeds(Command::new("cargo").arg("+nightly").args(arguments));
    if !nightly(&["--version"]) {
        bail!("fuzzing needs a nightly compiler. Install with: rustup toolchain install nightly");
    }
    if nightly(&["fuzz", "--version"]) {
        return Ok(());
    }
    if !may_install {
        bail!("cargo-fuzz is missing. Install with: cargo install --locked cargo-fuzz");
    }
    run(cargo().args(["install", "--locked", "cargo-fuzz"]))
}

/// Sees to it that there are the browsers, the program that drives Chromium, and a TURN server.
pub(crate) fn interop_tools(may_install: bool) -> Result<()> {
    let missing: Vec<&str> = INTEROP.iter().filter(|tool| !tool.is_there()).map(|tool| tool.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    advise(&missing, install(&missing, may_install))
}

/// Whatever has kept them from being installed, the developer is told what to do.
fn advise(packages: &[&str], installed: Result<()>) -> Result<()> {
    installed.with_context(|| {
        let packages = packages.join(" ");
        format!(
            "the end-to-end tests need {packages}. On Debian: apt-get install {packages}. Elsewhere: install Chromium with its chromedriver, Firefox, and coturn. \
             Or leave these tests out: cargo xtask test --skip-interop"
        )
    })
}

fn install(packages: &[&str], may_install: bool) -> Result<()> {
    if !may_install {
        bail!("nothing is to be installed");
    }
    if on_path("apt-get").is_none() || !is_root() {
        bail!("only root on a Debian system can have them installed");
    }
    println!("==> installing {}", packages.join(" "));
    apt_get(&["update"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
}

impl Tool {
    fn is_there(&self) -> bool {
        self.programs.iter().any(|program| on_path(program).is_some())
    }
}

/// Runs apt-get, and once more if it fails: mirrors have their moments.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let attempt = || run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"));
    attempt().or_else(|error| {
        println!("{error:#}; trying once more");
        attempt()
    })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_said_beside_why_the_browsers_could_not_be_installed() {
        for failure in [install(&["chromium"], false), Err(anyhow::Error::msg("apt-get update ended with 100"))] {
            let why = failure.as_ref().unwrap_err().to_string();
            let told = format!("{:?}", advise(&["chromium", "firefox-esr"], failure).unwrap_err());
            for words in [why.as_str(), "apt-get install chromium firefox-esr", "cargo xtask test --skip-interop"] {
                assert!(told.contains(words), "{told}");
            }
        }
        assert!(advise(&["chromium"], Ok(())).is_ok());
    }
}
