// The browser's half: signalling over a WebSocket, an RTCPeerConnection, and a chat on the data channel "chat".

const MAX_CHAT_ENTRIES = 500;
const MAX_EVENT_ENTRIES = 300;
const STATE_NAMES = ["signaling", "ice-gathering", "ice-connection", "connection", "channel"];

const element = (id) => document.getElementById(id);
const peerOffers = new URLSearchParams(location.search).get("offer") === "peer";

/** One attempt to connect; a new one takes its place when the user asks for it. */
class Connection {
  constructor() {
    this.started = performance.now();
    this.sentAt = [];
    this.over = false;
    this.opened = false;
    this.interrupted = false;
    for (const name of STATE_NAMES) {
      showState("browser", name, "none");
      showState("peer", name, "none");
    }
    element("path").textContent = "";
    hideProblem();
    summarize("connecting", "Connecting …");
    if (!window.RTCPeerConnection) {
      this.fail("This browser has no WebRTC.", "Use a current Chromium or Firefox. In Firefox, media.peerconnection.enabled must be true in about:config.");
      return;
    }
    this.openPeerConnection();
    this.openSignalling();
  }

  openPeerConnection() {
    const pc = new RTCPeerConnection();
    this.pc = pc;
    pc.onsignalingstatechange = () => this.browserState("signaling", pc.signalingState);
    pc.onicegatheringstatechange = () => this.browserState("ice-gathering", pc.iceGatheringState);
    pc.oniceconnectionstatechange = () => this.browserState("ice-connection", pc.iceConnectionState);
    pc.onconnectionstatechange = () => {
      this.browserState("connection", pc.connectionState);
      this.connectionChanged();
    };
    pc.onicecandidate = ({ candidate }) => {
      if (candidate === null) {
        this.signal({ type: "end-of-candidates" });
      } else if (candidate.candidate !== "") {
        this.signal({ type: "candidate", ...candidate.toJSON() });
      }
    };
    pc.ondatachannel = ({ channel }) => this.useChannel(channel);
    showState("browser", "signaling", pc.signalingState);
    showState("browser", "ice-gathering", pc.iceGatheringState);
    showState("browser", "ice-connection", pc.iceConnectionState);
    showState("browser", "connection", pc.connectionState);
    if (!peerOffers) {
      pc.onnegotiationneeded = () => this.enqueue(() => this.describe());
      this.useChannel(pc.createDataChannel("chat"));
    }
  }

  openSignalling() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/signal?offer=${peerOffers ? "peer" : "browser"}`);
    this.socket = socket;
    const opened = new Promise((resolve) => (socket.onopen = resolve));
    // Nothing is negotiated before the signalling is open, and one thing at a time: a candidate must not overtake its description.
    this.tasks = opened;
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    socket.onclose = () => {
      if (this.over) return;
      this.fail("The signalling connection is closed.", "Is the program still running? Start it with cargo run --release, then press Connect again.");
    };
  }

  enqueue(task) {
    this.tasks = this.tasks.then(async () => {
      if (this.over) return;
      try {
        await task();
      } catch (error) {
        this.fail(`Negotiation failed: ${error.message}`, "Press Connect again. If it happens each time, the events below tell how far it came.");
      }
    });
  }

  async describe() {
    await this.pc.setLocalDescription();
    this.signal(this.pc.localDescription.toJSON());
  }

  receive(message) {
    if (this.over) return;
    switch (message.type) {
      case "hello":
        log(this, `signalling is open, this is peer ${message.peer}`);
        break;
      case "state":
        showState("peer", message.name, message.value);
        log(this, `peer: ${message.name.replace("-", " ")} ${message.value}`);
        break;
      case "channel":
        if (message.label === "chat") showState("peer", "channel", message.state);
        log(this, `peer: channel “${message.label}” ${message.state}`);
        break;
      case "error":
        this.peerError(message);
        break;
      default:
        this.enqueue(() => this.negotiate(message));
    }
  }

  async negotiate(message) {
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
    }
  }

  peerError({ where, message }) {
    if (where === "connect") {
      this.fail(`The server refused: ${message}.`, "Close another window that is connected, then press Connect again.");
    } else {
      showProblem(`The peer reports (${where}): ${message}.`, "If nothing goes on from here, press Connect again.");
    }
  }

  signal(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  useChannel(channel) {
    if (channel.label !== "chat") return;
    this.channel = channel;
    channel.binaryType = "arraybuffer";
    this.browserState("channel", channel.readyState);
    channel.onopen = () => this.channelOpen();
    channel.onclosing = () => this.browserState("channel", "closing");
    channel.onclose = () => {
      this.browserState("channel", "closed");
      enableComposer(false);
      if (!this.over) summarize("closed", "The channel is closed");
    };
    channel.onerror = ({ error }) => {
      if (!this.over) showProblem(`The channel failed: ${error.message}`, "Press Connect again.");
    };
    channel.onmessage = ({ data }) => this.received(data);
    if (channel.readyState === "open") this.channelOpen();
  }

  channelOpen() {
    // A channel of the peer is open when it is announced, and says so once more afterwards.
    if (this.opened) return;
    this.opened = true;
    this.browserState("channel", "open");
    const milliseconds = Math.round(performance.now() - this.started);
    summarize("connected", `Connected in ${milliseconds} ms`);
    hideProblem();
    say("note", `Connected. The ${peerOffers ? "Rust peer" : "browser"} made the offer. What you write comes back.`);
    enableComposer(true);
    this.showPath();
  }

  send(text) {
    this.channel.send(text);
    this.sentAt.push(performance.now());
    say("browser", text, "you");
  }

  received(data) {
    const sentAt = this.sentAt.shift();
    const took = sentAt === undefined ? "" : `, ${(performance.now() - sentAt).toFixed(1)} ms`;
    say("peer", typeof data === "string" ? data : `${data.byteLength} bytes`, `Rust peer${took}`);
  }

  browserState(name, value) {
    if (this.over) return;
    showState("browser", name, value);
    log(this, `browser: ${name.replace("-", " ")} ${value}`);
  }

  connectionChanged() {
    const state = this.pc.connectionState;
    if (state === "failed") {
      this.fail("No path between the browser and the peer.", "A firewall or VPN may block UDP between them. On the machine that runs the program, open the page at 127.0.0.1; from another, start it with --bind 0.0.0.0 and allow UDP.");
    } else if (state === "disconnected") {
      this.interrupted = true;
      summarize("disconnected", "Connection lost, waiting for it to come back");
    } else if (state === "connected" && this.interrupted) {
      this.interrupted = false;
      summarize("connected", "Connected again");
      this.showPath();
    }
  }

  async showPath() {
    const stats = await this.pc.getStats();
    const transport = [...stats.values()].find(({ type }) => type === "transport");
    const pair = stats.get(transport?.selectedCandidatePairId);
    if (!pair) return;
    const end = (id) => {
      const { candidateType, address, port } = stats.get(id) ?? {};
      return `${address || "hidden"}:${port} (${candidateType})`;
    };
    element("path").textContent = `UDP ${end(pair.localCandidateId)} ↔ ${end(pair.remoteCandidateId)}`;
  }

  fail(what, advice) {
    this.close();
    summarize("failed", "Not connected");
    showProblem(what, advice);
  }

  close() {
    this.over = true;
    this.channel?.close();
    this.pc?.close();
    this.socket?.close();
    enableComposer(false);
    for (const name of ["signaling", "ice-connection", "connection", "channel"]) {
      showState("browser", name, "closed");
      showState("peer", name, "closed");
    }
    summarize("closed", "Closed");
  }
}

function showState(side, name, value) {
  const cell = element(`${side}-${name}`);
  if (!cell) return;
  const pill = document.createElement("span");
  pill.className = "state";
  pill.dataset.state = value;
  pill.textContent = value === "none" ? "–" : value;
  cell.replaceChildren(pill);
}

function summarize(state, text) {
  element("summary").dataset.state = state;
  element("summary").textContent = text;
  element("close").disabled = state === "closed" || state === "failed";
}

function showProblem(what, advice) {
  element("problem-what").textContent = what;
  element("problem-advice").textContent = advice;
  element("problem").hidden = false;
}

function hideProblem() {
  element("problem").hidden = true;
}

function enableComposer(enabled) {
  const text = element("text");
  text.disabled = !enabled;
  element("send").disabled = !enabled;
  text.placeholder = enabled ? "Write something" : "Not connected";
  if (enabled) text.focus();
}

function log(connection, text) {
  const entry = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = `${Math.round(performance.now() - connection.started)} ms`;
  const words = document.createElement("span");
  words.textContent = text;
  entry.append(time, words);
  append(element("events"), entry, MAX_EVENT_ENTRIES);
}

function say(side, text, signature) {
  const entry = document.createElement("li");
  entry.className = side;
  entry.textContent = text;
  if (signature) {
    const small = document.createElement("small");
    small.textContent = signature;
    entry.append(small);
  }
  append(element("messages"), entry, MAX_CHAT_ENTRIES);
}

function append(list, entry, most) {
  list.append(entry);
  while (list.childElementCount > most) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

if (peerOffers) {
  element("other").href = "?offer=browser";
  element("other").textContent = "Let the browser offer";
}

let connection = new Connection();

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text");
  if (text.value === "") return;
  try {
    connection.send(text.value);
    text.value = "";
  } catch (error) {
    showProblem(`Not sent: ${error.message}`, "The text is still in the field: try again, or press Connect again.");
  }
});

element("again").addEventListener("click", () => {
  connection.close();
  element("events").replaceChildren();
  connection = new Connection();
});

element("close").addEventListener("click", () => connection.close());
