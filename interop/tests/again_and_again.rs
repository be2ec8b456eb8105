//! Connections that come and go: reloads in the middle of a transfer, thirty in a row, many tabs at once.

use anyhow::{Context, Result, ensure};
use demo::{Options, Server};
use interop::{Browser, BrowserKind, Chromium, HostCandidates};
use serde_json::{Value, json};

const FLOOD_BYTES: u64 = 20_000_000;

async fn start(kind: BrowserKind) -> Result<(Browser, Server, String)> {
    let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
    let browser = Browser::start(kind, HostCandidates::MulticastDns).await?;
    let page = format!("{}page.css", server.url());
    Ok((browser, server, page))
}

/// A reload says no farewell on the connection: only signalling ends. What was under way must not disturb what follows.
async fn reloads_in_the_middle_of_a_transfer(kind: BrowserKind) -> Result<()> {
    let (browser, server, page) = start(kind).await?;
    for offer in ["browser", "peer", "browser", "peer"] {
        browser.open(&page).await?;
        let script = "
            await interop.connect(parameters);
            const up = await interop.open('sink');
            up.flood(1e9, 16384).catch(() => {});
            const down = await interop.open('flood');
            down.send('please-flood 1000000000 16384');
            await down.messages.next();
            await down.messages.next();";
        browser.run(script, json!({ "offer": offer })).await?;
    }
    browser.open(&page).await?;
    let script = "
        await interop.connect({ offer: 'browser' });
        return [
            await (await interop.open('sink')).flood(parameters, 16384),
            await (await interop.open('flood')).takeFlood(parameters, 16384),
        ];";
    let floods = browser.run(script, json!(FLOOD_BYTES)).await?;
    for flood in floods.as_array().context("two floods")? {
        ensure!(flood["received"] == FLOOD_BYTES && flood["inOrder"] == true, "{floods}");
    }
    drop(browser);
    server.stop()
}

#[tokio::test]
async fn chromium_reloads_in_the_middle_of_transfers_and_the_next_ones_are_intact() -> Result<()> {
    reloads_in_the_middle_of_a_transfer(BrowserKind::Chromium).await
}

#[tokio::test]
async fn firefox_reloads_in_the_middle_of_transfers_and_the_next_ones_are_intact() -> Result<()> {
    reloads_in_the_middle_of_a_transfer(BrowserKind::Firefox).await
}

/// Each until the first echo. The time that it took is a figure, not a condition.
#[expect(clippy::print_stdout, reason = "the figure is for whoever asks for the output of the test")]
async fn thirty_in_a_row(kind: BrowserKind) -> Result<()> {
    let (browser, server, page) = start(kind).await?;
    browser.open(&page).await?;
    let script = "
        const times = [];
        for (let nth = 0; nth < parameters; nth += 1) {
            // An error comes with the log of this one.
            const interop = window.interop = new Interop();
            const began = performance.now();
            await interop.connect({ offer: nth % 2 === 0 ? 'browser' : 'peer' });
            await (await interop.open('chat')).echo('text', 100);
            times.push(Math.round(performance.now() - began));
            interop.note(`${times.length} connections were well`);
            interop.pc.close();
            interop.socket.close();
        }
        return times;";
    let times = browser.run(script, json!(30)).await?;
    let mut times: Vec<u64> = serde_json::from_value(times)?;
    ensure!(times.len() == 30, "{times:?}");
    times.sort_unstable();
    let (median, slowest) = (times.get(15).context("the median")?, times.last().context("the slowest")?);
    println!("{kind:?}: 30 connections in a row, first echo after {median} ms (median), {slowest} ms (slowest)");
    drop(browser);
    server.stop()
}

#[tokio::test]
async fn thirty_connections_of_chromium_in_a_row_all_come_up() -> Result<()> {
    thirty_in_a_row(BrowserKind::Chromium).await
}

#[tokio::test]
async fn thirty_connections_of_firefox_in_a_row_all_come_up() -> Result<()> {
    thirty_in_a_row(BrowserKind::Firefox).await
}

/// Tabs in the background have slow timers, but packets and events as any other.
#[tokio::test]
async fn sixteen_tabs_that_connect_at_the_same_time_are_all_served() -> Result<()> {
    let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
    let chromium = Chromium::start(HostCandidates::MulticastDns).await?;
    let page = format!("{}page.css", server.url());
    let client = chromium.client();
    let mut tabs = vec![client.window().await?];
    while tabs.len() < 16 {
        tabs.push(client.new_window(true).await?.handle);
    }
    for tab in &tabs {
        client.switch_to_window(tab.clone()).await?;
        chromium.open(&page).await?;
    }
    let begin = "
        window.outcome = (async () => {
            await interop.connect(parameters);
            const chat = await interop.open('chat');
            for (const size of [1, 1200, 65_536]) await chat.echo('binary', size);
            return (await interop.open('sink')).flood(1_000_000, 16384);
        })();
        window.outcome.catch(() => {});";
    for (tab, offer) in tabs.iter().zip(["browser", "peer"].into_iter().cycle()) {
        client.switch_to_window(tab.clone()).await?;
        chromium.run(begin, json!({ "offer": offer })).await?;
    }
    for tab in &tabs {
        client.switch_to_window(tab.clone()).await?;
        let outcome = chromium.run("return window.outcome", Value::Null).await?;
        ensure!(outcome["received"] == 1_000_000 && outcome["inOrder"] == true, "{outcome}");
    }
    drop(chromium);
    server.stop()
}
