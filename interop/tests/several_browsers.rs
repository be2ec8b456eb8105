//! More than one browser on one server, and what the server refuses.

use anyhow::{Context, Result, ensure};
use demo::{MAX_BROWSERS, Options, Server};
use interop::{Chromium, HostCandidates};
use serde_json::{Value, json};

const CONNECT: &str = "await interop.connect(parameters); await (await interop.open('chat')).echo('text', 100)";
const ECHO: &str =
    "const chat = await interop.open('chat'); for (const size of parameters) await chat.echo('binary', size)";

fn start_server() -> Result<Server> {
    Server::start(&Options { port: Some(0), ..Options::default() })
}

#[tokio::test]
async fn three_tabs_talk_at_once_and_outlive_each_other() -> Result<()> {
    let server = start_server()?;
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

/// Opens so many signalling connections, and returns the first message on the last of them.
const CROWD: &str = "
    const join = async () => {
        const socket = new WebSocket(`ws://${location.host}/signal`);
        const message = await once(socket, 'message', 'first message');
        return [socket, JSON.parse(message.data)];
    };
    window.crowd = [];
    for (let browser = 0; browser < parameters; browser += 1) {
        const [socket, message] = await join();
        if (message.type !== 'hello') throw new Error(`browser ${browser}: ${JSON.stringify(message)}`);
        crowd.push(socket);
    }
    return (await join())[1];";

/// One of them goes: there is room for the next, as soon as the server has noticed.
const REPLACE: &str = "
    crowd.pop().close();
    for (;;) {
        const socket = new WebSocket(`ws://${location.host}/signal`);
        const message = JSON.parse((await once(socket, 'message', 'first message')).data);
        if (message.type === 'hello') return message;
        await once(socket, 'close', 'close of a refused connection');
    }";

#[tokio::test]
async fn a_browser_too_many_is_refused_with_the_reason_and_let_in_when_another_goes() -> Result<()> {
    let server = start_server()?;
    let chromium = Chromium::start(HostCandidates::MulticastDns).await?;
    chromium.open(&format!("{}page.css", server.url())).await?;
    let refusal = chromium.run(CROWD, json!(MAX_BROWSERS)).await?;
    ensure!(refusal["type"] == "error" && refusal["where"] == "connect", "{refusal}");
    ensure!(refusal["message"].as_str().is_some_and(|text| text.contains(&MAX_BROWSERS.to_string())), "{refusal}");
    chromium.run(REPLACE, Value::Null).await?;
    drop(chromium);
    server.stop()
}

/// Sends text as signalling, and returns the first report that is an error, or the code that the connection was closed with.
const SAY: &str = "
    const socket = new WebSocket(`ws://${location.host}/signal`);
    await once(socket, 'message', 'first message');
    const answer = new Promise((resolve) => {
        socket.addEventListener('message', ({ data }) => { const m = JSON.parse(data); if (m.type === 'error') resolve(m); });
        socket.addEventListener('close', ({ code }) => resolve({ code }));
    });
    socket.send(parameters.text.repeat(parameters.times));
    return within(answer, 'answer');";

#[tokio::test]
async fn nonsense_in_signalling_is_answered_with_an_error_and_floods_of_it_with_the_end() -> Result<()> {
    let server = start_server()?;
    let chromium = Chromium::start(HostCandidates::MulticastDns).await?;
    chromium.open(&format!("{}page.css", server.url())).await?;
    for text in ["nonsense", "{}", r#"{"type":"no-such-thing"}"#] {
        let answer = chromium.run(SAY, json!({ "text": text, "times": 1 })).await?;
        ensure!(answer["where"] == "signal", "{text}: {answer}");
    }
    let answer = chromium.run(SAY, json!({ "text": r#"{"type":"offer","sdp":"nonsense"}"#, "times": 1 })).await?;
    ensure!(answer["where"] == "offer", "{answer}");
    let answer = chromium.run(SAY, json!({ "text": "x", "times": 1 << 20 })).await?;
    ensure!(answer.get("code").is_some(), "{answer}");
    drop(chromium);
    server.stop()
}
