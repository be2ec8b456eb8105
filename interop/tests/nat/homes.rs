use anyhow::{Context, Result, ensure};
use interop::Mapping::{PerDestination, PortPreserving};
use interop::{Mapping, Network, PeerProcess, ScriptedPair};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stdio_peer");

/// The candidate types of the pair that a peer has selected: its own, and that of the other side.
async fn selected(peer: &mut PeerProcess) -> Result<(String, String)> {
    peer.until("the selected pair", |event| event["ice"] == "completed").await?;
    peer.command(&json!({ "cmd": "stats" })).await?;
    let stats = peer.until("statistics", |event| event["what"] == "getStats").await?;
    let kind = |side: &str| stats["pair"][side]["type"].as_str().map(ToOwned::to_owned).context("a type");
    Ok((kind("local")?, kind("remote")?))
}

/// Connects two homes that know a STUN and TURN server on the internet, and has a message echoed. The candidate types that the offerer ends with.
async fn connect(homes: [Mapping; 2]) -> Result<(String, String)> {
    let network = Network::new(homes)?;
    let server = network.start_server()?;
    let mut servers = server.ice_servers();
    servers.as_array_mut().context("a list")?.push(json!({ "urls": format!("stun:{}", server.address()) }));
    let peer = |home| {
        let mut command = network.at_home(home, PROGRAM);
        command.args(["--ice-servers", &servers.to_string()]);
        command
    };
    let mut pair = ScriptedPair::start(peer(0), peer(1))?;
    let outcome = |event: &serde_json::Value| event["event"] == "open" || event["event"] == "ice-report";
    let open = pair.offerer.until("an open channel", outcome).await?;
    ensure!(open["event"] == "open", "{open:#}");
    let test = json!({ "cmd": "echo-test", "id": 1, "label": "echo", "kind": "text", "size": 1000 });
    pair.offerer.command(&test).await?;
    let echo = pair.offerer.event("echo-result").await?;
    ensure!(echo["ok"] == true, "{echo}");
    selected(&mut pair.offerer).await
}

#[tokio::test]
async fn two_homes_with_port_preserving_nats_connect_directly() -> Result<()> {
    let (local, remote) = connect([PortPreserving; 2]).await?;
    ensure!(local != "relay" && remote != "relay", "{local} {remote}");
    Ok(())
}

/// Their filters let nothing in that comes from a port that was not known before.
#[tokio::test]
async fn a_symmetric_nat_and_a_port_restricted_one_need_the_relay_whoever_offers() -> Result<()> {
    for homes in [[PortPreserving, PerDestination], [PerDestination, PortPreserving]] {
        let (local, remote) = connect(homes).await?;
        ensure!(local == "relay" || remote == "relay", "{homes:?}: {local} {remote}");
    }
    Ok(())
}

#[tokio::test]
async fn two_symmetric_nats_need_the_relay() -> Result<()> {
    let (local, remote) = connect([PerDestination; 2]).await?;
    ensure!(local == "relay" || remote == "relay", "{local} {remote}");
    Ok(())
}
