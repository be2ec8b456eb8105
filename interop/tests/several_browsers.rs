//! More than one browser on one server.

use anyhow::{Context, Result};
use demo::{Options, Server};
use interop::{Chromium, HostCandidates};
use serde_json::json;

const CONNECT: &str = "await interop.connect(parameters); await (await interop.open('chat')).echo('text', 100)";
const ECHO: &str =
    "const chat = await interop.open('chat'); for (const size of parameters) await chat.echo('binary', size)";

#[tokio::test]
async fn three_tabs_talk_at_once_and_outlive_each_other() -> Result<()> {
    let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
    let page = format!("{}page.css", server.url());
    let chromium = Chromium::start(HostCandidates::Addresses).await?;
    let client = chromium.client();
    let mut tabs = vec![client.window().await?];
    for _ in 0..2 {
        tabs.push(client.new_window(true).await?.handle);
    }
    for (tab, offer) in tabs.iter().zip(["browser", "peer", "browser"]) {
        client.switch_to_window(tab.clone()).await?;
        chromium.open(&page).await?;
        chromium.run(CONNECT, json!({ "offer": offer, "media": true })).await?;
    }
    for tab in &tabs {
        client.switch_to_window(tab.clone()).await?;
        chromium.run(ECHO, json!([1, 1200, 65_536])).await?;
    }
    let first = tabs.first().context("there are three")?;
    client.switch_to_window(first.clone()).await?;
    client.close_window().await?;
    for tab in tabs.iter().skip(1) {
        client.switch_to_window(tab.clone()).await?;
        chromium.run(ECHO, json!([1, 1200, 65_536])).await?;
    }
    drop(chromium);
    server.stop()
}
