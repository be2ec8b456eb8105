//! What the page says when it is not connected, and that it can be connected again.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{Page, start_server};

/// A server in a process of its own, killed at the latest when this is dropped.
struct ServerProcess {
    process: Child,
    url: String,
}

impl ServerProcess {
    fn start() -> Result<Self> {
        let mut process =
            Command::new(env!("CARGO_BIN_EXE_page_server")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(process.stdout.take().context("a piped stdout")?);
        let mut server = Self { process, url: String::new() };
        output.read_line(&mut server.url)?;
        server.url.truncate(server.url.trim_end().len());
        Ok(server)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[tokio::test]
async fn a_program_that_was_killed_is_named_as_the_reason() -> Result<()> {
    let server = ServerProcess::start()?;
    let page = Page::open(&server.url).await?;
    page.connected().await?;
    drop(server);
    page.find("#summary[data-state=failed]").await?;
    let problem = page.problem().await?;
    for expected in ["the program no longer answers", "cargo run --release", "code 1006", "Nothing answers at"] {
        ensure!(problem.contains(expected), "{expected} in {problem}");
    }
    page.screenshot("failure-killed").await?;
    page.find("#text:disabled").await?;
    page.find("#file:disabled").await?;
    page.find("#flood:disabled").await?;

    page.click("#again").await?;
    page.find("#summary[data-state=failed]").await?;
    let problem = page.problem().await?;
    ensure!(problem.contains("has never been open"), "{problem}");
    Ok(())
}

#[tokio::test]
async fn a_program_that_was_stopped_is_named_as_the_reason() -> Result<()> {
    let server = start_server()?;
    let page = Page::open(&server.url()).await?;
    page.connected().await?;
    server.stop()?;
    page.find("#summary[data-state=failed]").await?;
    let problem = page.problem().await?;
    ensure!(problem.contains("the program no longer answers"), "{problem}");
    Ok(())
}

/// Hands connections on to a server until it is told to cut them; new ones get through again.
async fn hand_on(listener: TcpListener, server: String, mut cut: tokio::sync::mpsc::Receiver<()>) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (mut browser, _) = accepted?;
                let mut server = TcpStream::connect(&server).await?;
                connections.spawn(async move { copy_bidirectional(&mut browser, &mut server).await });
            }
            told = cut.recv() => match told {
                Some(()) => connections.abort_all(),
                None => return Ok(()),
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signalling_that_is_cut_is_told_apart_from_a_program_that_is_gone_and_connecting_again_works() -> Result<()> {
    let server = start_server()?;
    let authority = server.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let (cut, told) = tokio::sync::mpsc::channel(1);
    let handing_on = tokio::spawn(hand_on(listener, authority, told));
    let page = Page::open(&url).await?;
    page.connected().await?;
    cut.send(()).await?;
    page.find("#summary[data-state=failed]").await?;
    let problem = page.problem().await?;
    ensure!(problem.contains("the program is still running"), "{problem}");
    page.click("#again").await?;
    page.connected().await?;
    page.find("#problem[hidden]").await?;
    drop(page);
    drop(cut);
    handing_on.await??;
    server.stop()
}

#[tokio::test]
async fn without_candidates_it_says_what_is_missing_long_before_it_gives_up_and_connects_again_without_the_fault()
-> Result<()> {
    let server = start_server()?;
    let page = Page::open(&format!("{}?fault=candidates", server.url())).await?;
    let early = page.problem().await?;
    page.find("#summary[data-state=connecting]").await?;
    for expected in [
        "Still not connected: no candidate of the peer has reached this browser",
        "Candidates of the browser: host ",
        ".local:",
        "The browser has checked nothing",
        "The peer says of ICE: new: the other side has no candidate that can be used here",
    ] {
        ensure!(early.contains(expected), "{expected} in {early}");
    }
    page.find("#summary[data-state=failed]").await?;
    let late = page.problem().await?;
    ensure!(late.starts_with("No candidate of the peer has reached this browser"), "{late}");
    ensure!(late.contains("The peer says of ICE: failed"), "{late}");
    page.find("#peer-ice-connection [data-state=failed]").await?;
    page.screenshot("failure-candidates").await?;
    page.go(&server.url()).await?;
    page.connected().await?;
    drop(page);
    server.stop()
}

async fn wrong_fingerprint(query: &str) -> Result<()> {
    let server = start_server()?;
    let page = Page::open(&format!("{}?fault=fingerprint{query}", server.url())).await?;
    page.find("#summary[data-state=failed]").await?;
    let problem = page.problem().await?;
    for expected in ["a path was found, but DTLS was not agreed on", "fingerprint", "The peer says of ICE: "] {
        ensure!(problem.contains(expected), "{expected} in {problem}");
    }
    ensure!(!problem.contains("[["), "addresses in brackets once: {problem}");
    page.screenshot("failure-fingerprint").await?;
    drop(page);
    server.stop()
}

#[tokio::test]
async fn a_certificate_that_does_not_match_is_told_apart_from_a_missing_path() -> Result<()> {
    wrong_fingerprint("").await
}

#[tokio::test]
async fn a_certificate_that_does_not_match_is_told_when_the_peer_offers() -> Result<()> {
    wrong_fingerprint("&offer=peer").await
}
