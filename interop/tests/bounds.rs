//! What the server refuses, and how it says so.

use anyhow::{Result, ensure};
use demo::behaviour::MAX_FLOOD_MESSAGE;
use demo::{MAX_BROWSERS, MAX_CHANNELS, MAX_EARLY_CANDIDATES, Options, Server};
use interop::{Browser, BrowserKind, HostCandidates};
use serde_json::{Value, json};

async fn start(kind: BrowserKind) -> Result<(Browser, Server)> {
    let server = Server::start(&Options { port: Some(0), ..Options::default() })?;
    let browser = Browser::start(kind, HostCandidates::MulticastDns).await?;
    browser.open(&format!("{}page.css", server.url())).await?;
    Ok((browser, server))
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
    let (browser, server) = start(BrowserKind::Chromium).await?;
    let refusal = browser.run(CROWD, json!(MAX_BROWSERS)).await?;
    ensure!(refusal["type"] == "error" && refusal["where"] == "connect", "{refusal}");
    ensure!(refusal["message"].as_str().is_some_and(|text| text.contains(&MAX_BROWSERS.to_string())), "{refusal}");
    browser.run(REPLACE, Value::Null).await?;
    drop(browser);
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
    let (browser, server) = start(BrowserKind::Chromium).await?;
    for text in ["nonsense", "{}", r#"{"type":"no-such-thing"}"#] {
        let answer = browser.run(SAY, json!({ "text": text, "times": 1 })).await?;
        ensure!(answer["where"] == "signal", "{text}: {answer}");
    }
    let answer = browser.run(SAY, json!({ "text": r#"{"type":"offer","sdp":"nonsense"}"#, "times": 1 })).await?;
    ensure!(answer["where"] == "offer", "{answer}");
    let answer = browser.run(SAY, json!({ "text": "x", "times": 1 << 20 })).await?;
    ensure!(answer.get("code").is_some(), "{answer}");
    drop(browser);
    server.stop()
}

#[tokio::test]
async fn candidates_before_the_description_are_kept_up_to_a_bound() -> Result<()> {
    let (browser, server) = start(BrowserKind::Chromium).await?;
    let script = "
        const socket = new WebSocket(`ws://${location.host}/signal`);
        await once(socket, 'open', 'signalling connection');
        const reports = [];
        const refused = new Promise((resolve) => socket.addEventListener('message', ({ data }) => {
            const report = JSON.parse(data);
            if (report.type === 'error') reports.push(report);
            if (report.where === 'offer') resolve(reports);
        }));
        const candidate = { type: 'candidate', candidate: 'candidate:1 1 udp 1 127.0.0.1 9 typ host', sdpMid: '0' };
        for (let sent = 0; sent < parameters; sent += 1) socket.send(JSON.stringify(candidate));
        socket.send(JSON.stringify({ type: 'offer', sdp: 'nonsense' }));
        return within(refused, 'answer');";
    let reports = browser.run(script, json!(MAX_EARLY_CANDIDATES + 2)).await?;
    let places: Vec<&str> = reports.as_array().into_iter().flatten().filter_map(|r| r["where"].as_str()).collect();
    ensure!(places == ["candidate", "candidate", "offer"], "{reports}");
    drop(browser);
    server.stop()
}

async fn close_a_channel_too_many(kind: BrowserKind) -> Result<()> {
    let (browser, server) = start(kind).await?;
    let script = "
        await interop.connect({ offer: 'browser', media: false });
        const channels = [await interop.open('chat')];
        while (channels.length < parameters) channels.push(await interop.open(`channel ${channels.length}`));
        const extra = interop.create('extra');
        await within(extra.closed, 'close of the channel too many');
        const report = await interop.reports.first(({ type }) => type === 'error');
        for (const channel of channels) await channel.echo('text', 10);
        return report;";
    let report = browser.run(script, json!(MAX_CHANNELS)).await?;
    ensure!(report["where"] == "channel", "{report}");
    ensure!(report["message"].as_str().is_some_and(|text| text.contains(&MAX_CHANNELS.to_string())), "{report}");
    drop(browser);
    server.stop()
}

#[tokio::test]
async fn a_channel_too_many_is_closed_with_the_reason_and_the_others_live_on() -> Result<()> {
    close_a_channel_too_many(BrowserKind::Chromium).await
}

#[tokio::test]
async fn a_channel_too_many_of_firefox_is_closed_with_the_reason_and_the_others_live_on() -> Result<()> {
    close_a_channel_too_many(BrowserKind::Firefox).await
}

/// A request that nobody could meet is answered on its channel; one that this browser cannot take, since its description says so, is told of as an error of the channel. The
/// channel goes on after both.
async fn refuse_messages_that_are_too_large(kind: BrowserKind) -> Result<()> {
    let (browser, server) = start(kind).await?;
    let script = "
        const { signal } = interop;
        interop.signal = ({ sdp, ...rest }) => signal.call(interop, sdp ? { ...rest, sdp: sdp.replace(/(a=max-message-size:)[0-9]+/, `$1${parameters.accepted}`) } : rest);
        await interop.connect({ offer: 'browser', media: false });
        const flood = await interop.open('flood');
        flood.send(`please-flood 1000000 ${parameters.impossible}`);
        const answer = await flood.messages.next();
        flood.send(`please-flood 1000000 ${parameters.accepted + 1}`);
        const report = await interop.reports.first(({ type }) => type === 'error');
        const announced = await flood.messages.next();
        await flood.echo('text', 10);
        const taken = await flood.takeFlood(1000000, parameters.accepted);
        return { answer, report, announced, taken };";
    let parameters = json!({ "accepted": 20_000, "impossible": MAX_FLOOD_MESSAGE + 1 });
    let outcome = browser.run(script, parameters).await?;
    let says = |value: &Value, limit: usize| value.as_str().is_some_and(|text| text.contains(&limit.to_string()));
    ensure!(says(&outcome["answer"], MAX_FLOOD_MESSAGE), "{outcome}");
    ensure!(outcome["report"]["where"] == "channel" && says(&outcome["report"]["message"], 20_000), "{outcome}");
    ensure!(outcome["taken"]["received"] == 1_000_000 && outcome["taken"]["inOrder"] == true, "{outcome}");
    drop(browser);
    server.stop()
}

#[tokio::test]
async fn a_flood_of_messages_that_are_too_large_is_refused_with_the_limit_and_its_channel_lives_on() -> Result<()> {
    refuse_messages_that_are_too_large(BrowserKind::Chromium).await
}

#[tokio::test]
async fn a_flood_of_messages_that_are_too_large_for_firefox_is_refused_with_the_limit_and_its_channel_lives_on()
-> Result<()> {
    refuse_messages_that_are_too_large(BrowserKind::Firefox).await
}
