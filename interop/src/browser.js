// Runs in the page: the browser's half of a test. Each wait has a limit, and says what it waited for when the limit is reached.

const WAIT_MILLISECONDS = 60_000;
const HIGH_WATER = 1 << 20;
const LOW_WATER = 1 << 18;

/** Values that arrive, and whoever waits for the next. */
class Inbox {
  constructor(what) {
    this.what = what;
    this.values = [];
    this.waiting = null;
  }

  put(value) {
    this.values.push(value);
    this.waiting?.();
  }

  async next() {
    if (this.values.length === 0) {
      const arrived = new Promise((resolve) => (this.waiting = resolve));
      await within(arrived, this.what);
      this.waiting = null;
    }
    return this.values.shift();
  }

  /** The first value that fits, now or later; the others are dropped. */
  async first(fits) {
    for (;;) {
      const value = await this.next();
      if (fits(value)) return value;
    }
  }
}

function within(promise, what) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${WAIT_MILLISECONDS} ms`)), WAIT_MILLISECONDS);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

function once(target, type, what) {
  return within(new Promise((resolve) => target.addEventListener(type, resolve, { once: true })), what);
}

class Channel {
  constructor(channel, log) {
    this.channel = channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LOW_WATER;
    this.messages = new Inbox(`message on ${channel.label}`);
    channel.addEventListener("message", ({ data }) => this.messages.put(data));
    channel.addEventListener("error", ({ error }) => log(`${channel.label}: error ${error.message}`));
    for (const type of ["open", "closing", "close"]) {
      channel.addEventListener(type, () => log(`${channel.label}: ${type}`));
    }
    this.closed = new Promise((resolve) => channel.addEventListener("close", resolve));
  }

  async opened() {
    if (this.channel.readyState === "connecting") await once(this.channel, "open", `open of ${this.channel.label}`);
    if (this.channel.readyState !== "open") throw new Error(`${this.channel.label} is ${this.channel.readyState}`);
    return this;
  }

  send(data) {
    this.channel.send(data);
  }

  /** Sends a message and compares what comes back, byte for byte and in kind. */
  async echo(kind, size) {
    const sent = kind === "text" ? pattern(size) : new TextEncoder().encode(pattern(size));
    this.send(sent);
    const back = await this.messages.next();
    const same = kind === "text"
      ? back === sent
      : back instanceof ArrayBuffer && back.byteLength === size && sent.every((byte, index) => byte === new Uint8Array(back)[index]);
    if (!same) throw new Error(`${kind} of ${size} bytes came back as ${typeof back} of ${back.length ?? back.byteLength}`);
  }

  async room() {
    if (this.channel.bufferedAmount > HIGH_WATER) {
      await once(this.channel, "bufferedamountlow", `room in ${this.channel.label}`);
    }
  }

  /** Sends a flood, and returns what the peer has counted. */
  async flood(bytes, messageSize) {
    this.send(`flood-begin ${bytes}`);
    for (let sent = 0, counter = 0; sent < bytes; counter += 1) {
      const message = new Uint8Array(Math.min(messageSize, bytes - sent));
      new DataView(message.buffer).setUint32(0, counter);
      await this.room();
      this.send(message);
      sent += message.byteLength;
    }
    this.send("flood-end");
    const [word, received, milliseconds, inOrder] = (await this.messages.next()).split(" ");
    if (word !== "flood-ack") throw new Error(`expected flood-ack, got ${word}`);
    return { received: Number(received), milliseconds: Number(milliseconds), inOrder: inOrder === "1" };
  }

  /** Asks the peer for a flood, and returns what has arrived here. */
  async takeFlood(bytes, messageSize) {
    this.send(`please-flood ${bytes} ${messageSize}`);
    return this.receiveFlood();
  }

  /** Counts a flood that the peer sends, and returns what has arrived here. */
  async receiveFlood() {
    const began = performance.now();
    const announced = await this.messages.next();
    let received = 0;
    let inOrder = true;
    let counter = 0;
    for (;;) {
      const message = await this.messages.next();
      if (message === "flood-end") break;
      inOrder &&= message instanceof ArrayBuffer && new DataView(message).getUint32(0) === counter;
      received += message.byteLength;
      counter += 1;
    }
    const milliseconds = Math.round(performance.now() - began);
    this.send(`flood-ack ${received} ${milliseconds} ${inOrder ? 1 : 0}`);
    return { announced, received, inOrder, milliseconds };
  }
}

/** Text of `size` bytes in UTF-8 in which no long stretch repeats. */
function pattern(size) {
  let text = "";
  for (let index = 0; text.length < size; index += 1) text += `${index.toString(36)}.`;
  return text.slice(0, size);
}

/** The connection to the peer. */
class Interop {
  constructor() {
    this.log = [];
    this.localCandidates = [];
    this.channels = new Map();
    this.reports = new Inbox("report of the peer");
    this.remoteChannels = new Inbox("channel of the peer");
  }

  /**
   * `offer` is "browser" or "peer"; `label` that of the first channel; without `trickle`, all candidates are inside the description; `media`
   * asks for the microphone, whose permission makes Chromium tell its addresses; `configuration` is an RTCConfiguration.
   */
  async connect({ offer, label = "chat", trickle = true, media = false, configuration = {} }) {
    this.trickle = trickle;
    if (media) await navigator.mediaDevices.getUserMedia({ audio: true });
    this.began = performance.now();
    const note = (text) => this.log.push(`${Math.round(performance.now() - this.began)} ms ${text}`);
    this.note = note;
    this.socket = new WebSocket(`ws://${location.host}/signal?offer=${offer}`);
    this.pc = new RTCPeerConnection(configuration);
    const pc = this.pc;
    this.states = new Inbox("change of the connection's state");
    pc.addEventListener("connectionstatechange", () => this.states.put(pc.connectionState));
    for (const [event, state] of [["connectionstatechange", "connectionState"], ["iceconnectionstatechange", "iceConnectionState"], ["icegatheringstatechange", "iceGatheringState"], ["signalingstatechange", "signalingState"]]) {
      pc.addEventListener(event, () => note(`${state} ${pc[state]}`));
    }
    pc.addEventListener("icecandidateerror", ({ url, errorCode, errorText }) => note(`candidate error ${url} ${errorCode} ${errorText}`));
    pc.addEventListener("icecandidate", ({ candidate }) => this.candidate(candidate));
    pc.addEventListener("datachannel", ({ channel }) => this.remoteChannels.put(new Channel(channel, note)));
    await once(this.socket, "open", "signalling connection");
    let tasks = Promise.resolve();
    this.socket.addEventListener("message", ({ data }) => {
      tasks = tasks.then(() => this.handle(JSON.parse(data))).catch((error) => note(`signalling: ${error.message}`));
    });
    this.socket.addEventListener("close", ({ code }) => note(`signalling closed with ${code}`));
    if (offer === "browser") {
      const first = this.create(label);
      await this.describe();
      await first.opened();
    } else {
      const first = await this.remoteChannels.next();
      this.channels.set(first.channel.label, first);
      await first.opened();
      // Chromium 156 sometimes loses what is sent in the first moment of a channel that the other side made, between two of its own too
      // (6 of 250 connections); once its threads have talked to each other, as for this, it loses nothing (0 of 6,000).
      await pc.getStats();
    }
    await this.connected();
  }

  async connected() {
    const { pc } = this;
    if (pc.connectionState !== "connected") {
      const connected = new Promise((resolve) => {
        pc.addEventListener("connectionstatechange", () => pc.connectionState === "connected" && resolve());
      });
      await within(connected, "connection");
    }
  }

  /** Makes and sends the description that is due: at once, or with all candidates. */
  async describe() {
    const { pc } = this;
    await pc.setLocalDescription();
    if (!this.trickle && pc.iceGatheringState !== "complete") {
      const complete = new Promise((resolve) => {
        pc.addEventListener("icegatheringstatechange", () => pc.iceGatheringState === "complete" && resolve());
      });
      await within(complete, "end of gathering");
    }
    this.signal(pc.localDescription.toJSON());
    if (!this.trickle) this.signal({ type: "end-of-candidates" });
  }

  candidate(candidate) {
    if (candidate?.candidate) this.localCandidates.push(candidate.candidate);
    if (!this.trickle) return;
    if (candidate === null) {
      this.signal({ type: "end-of-candidates" });
    } else if (candidate.candidate !== "") {
      this.signal({ type: "candidate", ...candidate.toJSON() });
    }
  }

  /** The states of the connection from now on, up to this one. */
  async statesUntil(last) {
    const states = [];
    while (states.at(-1) !== last) states.push(await this.states.next());
    return states.slice(states.indexOf("connected") + 1);
  }

  signal(message) {
    this.socket.send(JSON.stringify(message));
  }

  async handle(message) {
    this.note(`from the peer: ${JSON.stringify(message)}`);
    switch (message.type) {
      case "offer":
        await this.pc.setRemoteDescription(message);
        await this.describe();
        break;
      case "answer":
        await this.pc.setRemoteDescription(message);
        break;
      case "candidate":
        await this.pc.addIceCandidate(message);
        break;
      case "end-of-candidates":
        await this.pc.addIceCandidate();
        break;
      default:
        this.reports.put(message);
    }
  }

  create(label, options) {
    const channel = new Channel(this.pc.createDataChannel(label, options), this.note);
    this.channels.set(label, channel);
    return channel;
  }

  /** A channel that is open: the one with this label, or a new one. */
  open(label, options) {
    return (this.channels.get(label) ?? this.create(label, options)).opened();
  }

  /** Waits until the peer reports this state of a channel. */
  peerChannel(label, state) {
    return this.reports.first((report) => report.type === "channel" && report.label === label && report.state === state);
  }

  async selectedPair() {
    const stats = await this.pc.getStats();
    const transport = [...stats.values()].find(({ type }) => type === "transport");
    const pair = stats.get(transport.selectedCandidatePairId);
    const end = ({ candidateType, protocol, address, port, relayProtocol }) => ({ candidateType, protocol, address, port, relayProtocol });
    return { local: end(stats.get(pair.localCandidateId)), remote: end(stats.get(pair.remoteCandidateId)) };
  }
}

window.interop = new Interop();
window.Interop = Interop;
window.within = within;
window.once = once;
