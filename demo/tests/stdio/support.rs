//! Processes with their events, and the wire between two of them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long to wait for anything before the test has failed. ICE needs 30 s to give up a connection.
const PATIENCE: Duration = Duration::from_secs(90);

/// A `demo stdio` process.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    input: Input,
    events: Receiver<Value>,
    seen: Vec<Value>,
}

type Input = Arc<Mutex<Option<ChildStdin>>>;

impl Process {
    fn spawn(name: &'static str, arguments: &[&str]) -> (Self, ChildStdout, Sender<Value>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        command.args(["stdio", "--loopback"]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = Arc::new(Mutex::new(child.stdin.take()));
        let output = child.stdout.take().unwrap();
        let (sender, events) = channel();
        (Self { name, child, input, events, seen: Vec::new() }, output, sender)
    }

    /// One without another side. Signalling comes as events.
    pub(crate) fn lone(arguments: &[&str]) -> Self {
        let (process, output, events) = Self::spawn("lone", arguments);
        forward(output, events, None);
        process
    }

    pub(crate) fn line(&self, line: &str) {
        write(&self.input, line);
    }

    pub(crate) fn command(&self, command: Value) {
        self.line(&command.to_string());
    }

    /// Ends its stdin.
    pub(crate) fn end_input(&self) {
        self.input.lock().unwrap().take();
    }

    /// The next event for which this holds. Those before it are passed over.
    pub(crate) fn until(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if is_it(&event) {
                        return event;
                    }
                }
                Err(error) => panic!("{}: no {what} ({error}) after {:#?}", self.name, self.seen),
            }
        }
    }

    /// The next event of this name.
    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.until(name, |event| event["event"] == name)
    }

    /// The next event, whatever it is.
    pub(crate) fn next(&mut self) -> Value {
        self.until("event", |_| true)
    }

    /// Waits until a channel is open.
    pub(crate) fn open(&mut self, label: &str) -> Value {
        self.until(label, |event| event["event"] == "open" && event["label"] == label)
    }

    /// Waits until ICE has selected its pair, if it has not yet.
    pub(crate) fn completed(&mut self) {
        let is_it = |event: &Value| event["ice"] == "completed";
        if self.seen(is_it) == 0 {
            self.until("completed", is_it);
        }
    }

    /// What came so far that this holds for.
    pub(crate) fn seen(&self, is_it: impl Fn(&Value) -> bool) -> usize {
        self.seen.iter().filter(|event| is_it(event)).count()
    }

    /// The exit status, and the events up to it.
    pub(crate) fn exit(&mut self) -> (Option<i32>, Vec<Value>) {
        let deadline = Instant::now() + PATIENCE;
        let mut rest = Vec::new();
        while let Ok(event) = self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            rest.push(event);
        }
        assert!(Instant::now() < deadline, "{}: no end after {:#?} {rest:#?}", self.name, self.seen);
        (self.child.wait().unwrap().code(), rest)
    }

    /// Waits for `done`, then for the end.
    pub(crate) fn done(&mut self) -> (Value, Option<i32>) {
        let done = self.event("done");
        let (status, rest) = self.exit();
        assert_eq!(rest, [] as [Value; 0], "nothing follows done");
        (done, status)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _has_ended_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An offerer and an answerer, each the other's signalling channel.
pub(crate) struct Pair {
    pub(crate) offerer: Process,
    pub(crate) answerer: Process,
}

impl Pair {
    pub(crate) fn new(offerer: &[&str], answerer: &[&str]) -> Self {
        let offerer_arguments: Vec<&str> = ["--role", "offerer"].iter().chain(offerer).copied().collect();
        let (offerer, offerer_output, offerer_events) = Process::spawn("offerer", &offerer_arguments);
        let (answerer, answerer_output, answerer_events) = Process::spawn("answerer", answerer);
        forward(offerer_output, offerer_events, Some(Arc::clone(&answerer.input)));
        forward(answerer_output, answerer_events, Some(Arc::clone(&offerer.input)));
        Self { offerer, answerer }
    }

    /// With an open channel "echo".
    pub(crate) fn connected() -> Self {
        let mut pair = Self::new(&[], &[]);
        pair.offerer.open("echo");
        pair.answerer.open("echo");
        pair
    }

    /// Runs an echo test from the offerer, and returns its result.
    pub(crate) fn echo(&mut self, label: &str, kind: &str, size: usize) -> Value {
        self.offerer.command(json!({"cmd": "echo-test", "id": size, "label": label, "kind": kind, "size": size}));
        self.offerer.event("echo-result")
    }

    /// Closes it from the offerer; both sides are content.
    pub(crate) fn close(mut self) {
        self.offerer.command(json!({"cmd": "close"}));
        for side in [&mut self.offerer, &mut self.answerer] {
            let (done, status) = side.done();
            assert_eq!((&done["ok"], &done["reason"], status), (&json!(true), &json!("closed"), Some(0)));
        }
    }
}

/// Carries lines of stdout: signalling to the other side, and everything to the test.
fn forward(output: ChildStdout, events: Sender<Value>, other: Option<Input>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            let event: Value =
                serde_json::from_str(&line).unwrap_or_else(|_| json!({"event": "not JSON", "line": line}));
            if let Some(other) = &other
                && event.get("type").is_some()
            {
                write(other, &line);
            }
            if events.send(event).is_err() {
                return;
            }
        }
    });
}

fn write(input: &Input, line: &str) {
    if let Some(input) = &mut *input.lock().unwrap() {
        let _it_may_be_gone = writeln!(input, "{line}");
    }
}
