//! Much data each way between browsers and `demo stdio` over loopback: whether it arrives intact, how fast, and what it takes. `cargo xtask interop long` runs it.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use demo::stdio::{self, StdioOptions};
use interop::processes::{Usage, usage, usage_of_descendants};
use interop::{Browser, BrowserKind, HostCandidates, ScriptedPeer};
use serde_json::{Value, json};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the floods, and print the table
    Run(RunOptions),
    /// The peer, in a process of its own
    Stdio(Box<StdioOptions>),
}

#[derive(Args)]
struct RunOptions {
    /// One browser alone
    #[arg(long, value_enum)]
    browser: Option<Name>,
    /// Bytes each way
    #[arg(long, default_value_t = 1_000_000_000)]
    bytes: u64,
    /// Bytes of each message
    #[arg(long, default_value_t = 65_536)]
    message: u64,
    /// Have the browser flood itself as well, to compare with
    #[arg(long)]
    reference: bool,
}

#[derive(ValueEnum, Clone, Copy)]
enum Name {
    Chromium,
    Firefox,
}

/// What loads the helpers of the page.
const HELPERS: &str = include_str!("../long_run.js");

/// More memory than the peer may ever take, in bytes: its buffers have bounds, and those do not depend on how much passes through them.
const MEMORY_LIMIT: u64 = 128 << 20;

/// Waits for the end of a flood for two seconds, and returns how far it has come, and what came of it.
const WAIT: &str = "
    const pause = new Promise((resolve) => setTimeout(resolve, 2000, null));
    return { done: run.done, outcome: await Promise.race([window.outcome, pause]) };";
/// So many of those without a single byte, and the flood counts as stuck.
const PATIENCE: u32 = 30;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Stdio(options) => stdio::run(&options),
        Command::Run(options) => run(&options).await,
    }
}

async fn run(options: &RunOptions) -> Result<ExitCode> {
    let chosen = |kind| match options.browser {
        None => true,
        Some(Name::Chromium) => kind == BrowserKind::Chromium,
        Some(Name::Firefox) => kind == BrowserKind::Firefox,
    };
    for kind in [BrowserKind::Chromium, BrowserKind::Firefox].into_iter().filter(|kind| chosen(*kind)) {
        flood_each_way(kind, options).await.with_context(|| format!("{kind:?}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn flood_each_way(kind: BrowserKind, options: &RunOptions) -> Result<()> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("a path in UTF-8")?;
    let mut peer = ScriptedPeer::start(program, &["stdio", "--loopback", "--timeout", "36000"]).await?;
    let process = peer.process_id().context("the peer runs")?;
    let browser = Browser::start(kind, HostCandidates::MulticastDns).await?;
    browser.open(peer.url()).await?;
    let connect = format!(
        "{HELPERS}
        await interop.connect({{ offer: 'browser' }});
        window.run = new LongRun(interop.pc.createDataChannel('sink'));
        await run.event('open');
        return navigator.userAgent.match(/(Firefox|Chrome)\\/[0-9.]+/)[0];"
    );
    let name = browser.run(&connect, Value::Null).await?;
    println!(
        "{} with messages of {} bytes: {}",
        name.as_str().unwrap_or_default(),
        options.message,
        agreement(&mut peer).await?
    );
    for direction in [Direction::ToPeer, Direction::ToBrowser] {
        let before = Costs::now(process)?;
        let (report, browser_memory) = flood(direction, &browser, &mut peer, options).await?;
        let costs = Costs::now(process)?.since(before);
        let seconds = report.seconds;
        println!(
            "{}: {:.1} MB/s ({} bytes in {seconds:.1} s), intact and in order, CRC-32C {}; CPU s: peer {:.1}, browser {:.1}; memory of the browser {} MiB, at most {}",
            direction.name(),
            options.bytes as f64 / 1e6 / seconds,
            options.bytes,
            report.crc32c,
            costs.peer.processor_time.as_secs_f64(),
            costs.browser.processor_time.as_secs_f64(),
            before.browser.memory >> 20,
            browser_memory >> 20,
        );
    }
    if options.reference {
        flood_itself(&browser, options).await?;
    }
    let peak = usage(process)?.peak_memory;
    println!("memory of the peer: {:.1} MiB at most", peak as f64 / f64::from(1 << 20));
    ensure!(peak <= MEMORY_LIMIT, "the peer has taken {peak} bytes of memory");
    peer.command(&json!({ "cmd": "close" })).await?;
    let done = peer.event("done").await?;
    ensure!(done["ok"] == true, "{done}");
    Ok(())
}

/// What the browser makes of the same work when it is both ends.
async fn flood_itself(browser: &Browser, options: &RunOptions) -> Result<()> {
    let begin = "
        const [sender, receiver] = await withItself();
        window.run = receiver;
        const received = receiver.receive();
        window.outcome = sender.send(parameters.bytes, parameters.message).then(async (sent) => ({ sent, received: await received }));
        outcome.catch(() => {});";
    browser.run(begin, json!({ "bytes": options.bytes, "message": options.message })).await?;
    let before = usage_of_descendants(std::process::id(), 0).processor_time;
    let (outcome, memory) = wait(browser, 0).await?;
    let processor_time = usage_of_descendants(std::process::id(), 0).processor_time.saturating_sub(before);
    ensure!(outcome["sent"]["crc32c"] == outcome["received"]["crc32c"], "{outcome}");
    let seconds = outcome["sent"]["seconds"].as_f64().context("a time")?;
    println!(
        "browser to itself: {:.1} MB/s in {seconds:.1} s; CPU s: {:.1}; memory of the browser {} MiB at most",
        options.bytes as f64 / 1e6 / seconds,
        processor_time.as_secs_f64(),
        memory >> 20
    );
    Ok(())
}

/// What both have agreed on for SCTP, in the words of `demo stdio`.
async fn agreement(peer: &mut ScriptedPeer) -> Result<Value> {
    peer.command(&json!({ "cmd": "stats", "id": 1 })).await?;
    let mut stats = peer.until("statistics", |event| event["what"] == "getStats").await?;
    Ok(stats["sctp"].take())
}

#[derive(Clone, Copy)]
enum Direction {
    ToPeer,
    ToBrowser,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::ToPeer => "browser to peer",
            Self::ToBrowser => "peer to browser",
        }
    }
}

/// A flood that has arrived intact.
struct Report {
    seconds: f64,
    crc32c: String,
}

/// Runs a flood, compares what both ends say of it, and returns it with the most memory that the browser was seen to have.
async fn flood(
    direction: Direction,
    browser: &Browser,
    peer: &mut ScriptedPeer,
    options: &RunOptions,
) -> Result<(Report, u64)> {
    let RunOptions { bytes, message, .. } = options;
    let parameters = json!({ "bytes": bytes, "message": message });
    let begin = match direction {
        Direction::ToPeer => "window.outcome = run.send(parameters.bytes, parameters.message); outcome.catch(() => {})",
        Direction::ToBrowser => "window.outcome = run.receive(); outcome.catch(() => {})",
    };
    browser.run(begin, parameters).await?;
    if let Direction::ToBrowser = direction {
        peer.command(&json!({ "cmd": "flood", "id": 1, "label": "sink", "bytes": bytes, "msgSize": message })).await?;
    }
    let (there, browser_memory) = wait(browser, peer.process_id().unwrap_or_default()).await?;
    let here = match direction {
        Direction::ToPeer => peer.until("flood", |event| event["what"] == "flood-received").await?,
        Direction::ToBrowser => peer.event("flood-result").await?,
    };
    let received = if here["received"].is_null() { &here["bytes"] } else { &here["received"] };
    ensure!(there["received"] == *bytes && *received == *bytes, "{bytes} bytes were sent: {there} {here}");
    ensure!(there["inOrder"] == true && here["inOrder"] == true, "{there} {here}");
    ensure!(there["crc32c"] == here["crc32c"] && here["crc32c"].is_string(), "{there} {here}");
    let seconds = there["seconds"].as_f64().context("a time")?;
    Ok((Report { seconds, crc32c: here["crc32c"].as_str().unwrap_or_default().to_owned() }, browser_memory))
}

/// Waits for the end of a flood, for as long as it goes on.
async fn wait(browser: &Browser, peer: u32) -> Result<(Value, u64)> {
    let (mut done, mut pauses, mut memory) = (json!(0), 0, 0);
    loop {
        let mut progress = browser.run(WAIT, Value::Null).await?;
        memory = memory.max(usage_of_descendants(std::process::id(), peer).memory);
        let outcome = progress["outcome"].take();
        if !outcome.is_null() {
            return Ok((outcome, memory));
        }
        pauses = if progress["done"] == done { pauses + 1 } else { 0 };
        ensure!(pauses < PATIENCE, "it is stuck after {done} bytes");
        done = progress["done"].take();
    }
}

#[derive(Clone, Copy)]
struct Costs {
    peer: Usage,
    browser: Usage,
}

impl Costs {
    fn now(peer: u32) -> Result<Self> {
        Ok(Self { peer: usage(peer)?, browser: usage_of_descendants(std::process::id(), peer) })
    }

    fn since(self, before: Self) -> Self {
        let since = |now: Usage, before: Usage| Usage {
            processor_time: now.processor_time.saturating_sub(before.processor_time),
            ..now
        };
        Self { peer: since(self.peer, before.peer), browser: since(self.browser, before.browser) }
    }
}
