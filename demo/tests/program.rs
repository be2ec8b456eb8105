//! The program as it is run from a shell.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use demo::DEFAULT_PORT;

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program, running, with the first line that it has printed.
struct Running {
    process: Child,
    output: BufReader<ChildStdout>,
    line: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut process = demo().args(arguments).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Self { process, output, line }
    }

    /// Sends a signal (`INT` is Ctrl-C), and returns the exit status and what else was printed.
    fn end_with(mut self, signal: &str) -> (Option<i32>, String) {
        let kill = format!("kill -{signal} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap().code(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _has_ended_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[test]
fn it_prints_one_line_with_the_address_and_ends_well_on_ctrl_c() {
    let program = Running::start(&["--port", "0"]);
    let url = program.line.strip_prefix("Open ").unwrap().trim_end();
    let port = url.strip_prefix("http://127.0.0.1:").unwrap().strip_suffix('/').unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    let (status, rest) = program.end_with("INT");
    assert_eq!((status, rest.as_str()), (Some(0), ""));
}

#[test]
fn it_chooses_another_port_and_says_so_if_the_default_one_is_taken() {
    // Whoever has it, it is taken.
    let _taken = TcpListener::bind(("127.0.0.1", DEFAULT_PORT));
    let program = Running::start(&[]);
    assert!(program.line.contains(&format!("port {DEFAULT_PORT} is taken")), "{}", program.line);
    assert!(!program.line.contains(&format!(":{DEFAULT_PORT}/")), "{}", program.line);
    assert_eq!(program.end_with("TERM").0, Some(0));
}

#[test]
fn it_refuses_a_port_that_was_asked_for_and_is_taken_and_says_what_to_do() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let Output { status, stdout, stderr } = demo().args(["--port", &port]).output().unwrap();
    let message = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && stdout.is_empty());
    assert!(message.contains(&port) && message.contains("--port"), "{message}");
}

#[test]
fn its_help_tells_what_it_does_and_how_to_end_it() {
    let help = String::from_utf8(demo().arg("--help").output().unwrap().stdout).unwrap();
    for expected in ["--port", "--bind", "Ctrl-C", "?offer=peer", "?fault=candidates", "demo stdio"] {
        assert!(help.contains(expected), "{expected} in {help}");
    }
}

#[test]
fn the_help_for_scripts_tells_how_to_speak_to_the_peer() {
    let help = String::from_utf8(demo().args(["stdio", "--help"]).output().unwrap().stdout).unwrap();
    for expected in [r#"{"cmd":"close"}"#, "docs/stdio.md", "--role", "exit status"] {
        assert!(help.contains(expected), "{expected} in {help}");
    }
}
