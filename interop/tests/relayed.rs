//! A browser and `demo stdio` that reach each other through coturn alone.

use anyhow::{Result, ensure};
use interop::{Browser, BrowserKind, Coturn, HostCandidates, ScriptedPeer};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stdio_peer");

/// Bytes of a flood, each way.
const FLOOD_BYTES: u64 = 20_000_000;

/// Both sides use relayed candidates only, and tell no others; a flood goes each way.
async fn floods_go_through_the_relay(kind: BrowserKind, offer: &str) -> Result<()> {
    let coturn = Coturn::start(&[])?;
    let servers = coturn.ice_servers();
    let role = if offer == "peer" { "offerer" } else { "answerer" };
    let (json_servers, policy) = (servers.to_string(), "relay");
    let arguments = ["--role", role, "--loopback", "--ice-servers", &json_servers, "--policy", policy];
    let mut peer = ScriptedPeer::start(PROGRAM, &arguments).await?;
    let browser = Browser::start(kind, HostCandidates::Addresses).await?;
    browser.open(peer.url()).await?;
    let configuration = json!({ "iceServers": servers, "iceTransportPolicy": policy });
    let connect = "
        await interop.connect(parameters);
        const echo = await interop.open('echo');
        for (const size of [0, 1, 1200, 65_536]) {
            await echo.echo('text', size);
            await echo.echo('binary', size);
        }
        return { candidates: interop.localCandidates, pair: await interop.selectedPair() };";
    // Firefox has a preference for that.
    let media = kind == BrowserKind::Chromium;
    let parameters = json!({ "offer": offer, "label": "echo", "media": media, "configuration": configuration });
    let outcome = browser.run(connect, parameters).await?;
    let candidates = outcome["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
    let are_relayed =
        |lines: &[Value]| lines.iter().all(|line| line.as_str().is_some_and(|line| line.contains(" typ relay")));
    ensure!(!candidates.is_empty() && are_relayed(candidates), "{outcome}");
    let pair = &outcome["pair"];
    // It may have learned ours from a check before it was told.
    ensure!(pair["local"]["candidateType"] == "relay" && pair["local"]["relayProtocol"] == "udp", "{pair}");

    let flood = "return (await interop.open('sink')).flood(parameters.bytes, 16384)";
    let outcome = browser.run(flood, json!({ "bytes": FLOOD_BYTES })).await?;
    ensure!(outcome["received"] == FLOOD_BYTES && outcome["inOrder"] == true, "to the peer: {outcome}");
    peer.command(&json!({ "cmd": "flood", "id": 1, "label": "echo", "bytes": FLOOD_BYTES, "msgSize": 16_384 })).await?;
    let outcome = browser.run("return (await interop.open('echo')).receiveFlood()", Value::Null).await?;
    ensure!(outcome["received"] == FLOOD_BYTES && outcome["inOrder"] == true, "to the browser: {outcome}");
    let result = peer.event("flood-result").await?;
    ensure!(result["ok"] == true && result["received"] == FLOOD_BYTES && result["inOrder"] == true, "{result}");

    peer.command(&json!({ "cmd": "stats", "id": 2 })).await?;
    let stats = peer.until("statistics", |event| event["event"] == "stats" && event["what"] == "getStats").await?;
    let local = &stats["pair"]["local"];
    ensure!(local["type"] == "relay" && local["relayProtocol"] == "udp", "{stats}");
    peer.command(&json!({ "cmd": "close" })).await?;
    let done = peer.event("done").await?;
    ensure!(done["ok"] == true, "{done}");
    Ok(())
}

#[tokio::test]
async fn chromium_and_the_peer_carry_twenty_megabytes_each_way_when_chromium_offers() -> Result<()> {
    floods_go_through_the_relay(BrowserKind::Chromium, "browser").await
}

#[tokio::test]
async fn chromium_and_the_peer_carry_twenty_megabytes_each_way_when_the_peer_offers() -> Result<()> {
    floods_go_through_the_relay(BrowserKind::Chromium, "peer").await
}

#[tokio::test]
async fn firefox_and_the_peer_carry_twenty_megabytes_each_way_when_firefox_offers() -> Result<()> {
    floods_go_through_the_relay(BrowserKind::Firefox, "browser").await
}

#[tokio::test]
async fn the_peer_says_why_a_relay_is_of_no_use() -> Result<()> {
    let coturn = Coturn::start(&[])?;
    let mut servers = coturn.ice_servers();
    servers[0]["credential"] = json!("wrong");
    let servers = servers.to_string();
    let arguments = ["--role", "offerer", "--loopback", "--policy", "relay", "--ice-servers", &servers];
    let mut peer = ScriptedPeer::start(PROGRAM, &arguments).await?;
    let mut report = json!({});
    while report["servers"].as_array().is_none_or(Vec::is_empty) {
        peer.command(&json!({ "cmd": "ice-report" })).await?;
        report = peer.event("ice-report").await?;
    }
    ensure!(report["servers"][0]["errorCode"] == 401 && report["servers"][0]["url"] == coturn.url(), "{report}");
    ensure!(
        report["verdict"].as_str().is_some_and(|verdict| verdict.contains("check username and credential")),
        "{report}"
    );
    Ok(())
}
