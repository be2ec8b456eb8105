//! Channels of every kind between browsers and `demo stdio`, made by either side: ordered or not, reliable or not, with a protocol, a priority, an id of one's own.

use anyhow::{Result, ensure};
use interop::{Browser, BrowserKind, HostCandidates, ScriptedPeer};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stdio_peer");

/// Each is `RTCDataChannelInit`, with the label.
fn kinds() -> [Value; 7] {
    [
        json!({ "label": "plain" }),
        json!({ "label": "unordered", "ordered": false }),
        json!({ "label": "no retransmission", "ordered": false, "maxRetransmits": 0 }),
        json!({ "label": "three retransmissions", "maxRetransmits": 3 }),
        json!({ "label": "a lifetime", "ordered": false, "maxPacketLifeTime": 500 }),
        json!({ "label": "Ünïcödé — 🦀", "protocol": "p.example", "priority": "high" }),
        json!({ "label": "negotiated", "negotiated": true, "id": 101 }),
    ]
}

/// What a channel of the browser says of itself.
const DESCRIBE: &str = "
    const { label, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated } = (await interop.channels.get(parameters).opened()).channel;
    return { label, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated };";

/// Loopback loses nothing, but a machine under load may: what is not reliable is tried until it comes back.
const ECHO: &str = "
    const channel = interop.channels.get(parameters);
    for (let attempt = 0; ; attempt += 1) {
        try {
            for (const size of [0, 1, 1200]) await channel.echo('binary', size);
            return attempt;
        } catch (error) {
            if (attempt === 2 || channel.channel.maxRetransmits === null && channel.channel.maxPacketLifeTime === null) throw error;
            channel.messages.values.length = 0;
        }
    }";

fn is_described(description: &Value, kind: &Value) -> bool {
    let or_default = |name: &str, default: Value| kind.get(name).cloned().unwrap_or(default);
    description["label"] == kind["label"]
        && description["protocol"] == or_default("protocol", json!(""))
        && description["ordered"] == or_default("ordered", json!(true))
        && description["maxRetransmits"] == or_default("maxRetransmits", Value::Null)
        && description["maxPacketLifeTime"] == or_default("maxPacketLifeTime", Value::Null)
        && description["negotiated"] == or_default("negotiated", json!(false))
}

async fn carry_messages(kind: BrowserKind) -> Result<()> {
    let browser = Browser::start(kind, HostCandidates::MulticastDns).await?;
    for creator in ["browser", "peer"] {
        let mut peer = ScriptedPeer::start(PROGRAM, &["--role", "answerer"]).await?;
        browser.open(peer.url()).await?;
        browser.run("await interop.connect(parameters)", json!({ "offer": "browser", "label": "first" })).await?;
        peer.until("first", |event| event["event"] == "open" && event["label"] == "first").await?;
        for init in kinds() {
            let negotiated = init["negotiated"] == true;
            if creator == "peer" || negotiated {
                let mut command = init.clone();
                command["cmd"] = json!("create");
                peer.command(&command).await?;
            }
            let take = if creator == "browser" || negotiated {
                "const { label, ...options } = parameters; interop.create(label, options)"
            } else {
                "const channel = await interop.remoteChannels.first(({ channel }) => channel.label === parameters.label); interop.channels.set(channel.channel.label, channel)"
            };
            browser.run(take, init.clone()).await?;
            let description = browser.run(DESCRIBE, init["label"].clone()).await?;
            ensure!(is_described(&description, &init), "{creator}: {description}, not {init}");
            let open = peer.until("open", |event| event["event"] == "open" && event["label"] == init["label"]).await?;
            ensure!(open["ordered"] == description["ordered"] && open["protocol"] == description["protocol"], "{open}");
            ensure!(open["byRemote"] == (creator == "browser" && !negotiated), "{open}");
            browser.run(ECHO, init["label"].clone()).await?;
        }
        peer.command(&json!({ "cmd": "close" })).await?;
        peer.event("done").await?;
    }
    Ok(())
}

#[tokio::test]
async fn channels_of_every_kind_carry_messages_between_chromium_and_the_peer_whoever_made_them() -> Result<()> {
    carry_messages(BrowserKind::Chromium).await
}

#[tokio::test]
async fn channels_of_every_kind_carry_messages_between_firefox_and_the_peer_whoever_made_them() -> Result<()> {
    carry_messages(BrowserKind::Firefox).await
}
