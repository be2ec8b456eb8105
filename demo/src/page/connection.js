// One attempt to connect: an RTCPeerConnection, the signalling over a WebSocket, and what becomes of them.

import { chatClosed, connectionFailed, negotiationFailed, noWebRtc, notConnectedYet, refused, signallingLost } from "./diagnosis.js";
import { spoil } from "./fault.js";
import { readStatistics } from "./statistics.js";

/** How long a connection may take before the page tells what is missing. It goes on trying. */
const PATIENCE_MILLISECONDS = 15_000;
/** How long the peer may take to tell its side of the story. */
const REPORT_MILLISECONDS = 2_000;
/** How long the program may take to answer before it counts as gone. */
const ANSWER_MILLISECONDS = 5_000;

/**
 * Tells `observer` what happens: `state(side, name, value)`, `note(text)`, `chat(channel)`, `connected(milliseconds)`, `interrupted()`, `resumed()`, `warned(problem)`, and
 * last of all `over(problem)`, with null if it was closed on purpose.
 */
export class Connection {
  constructor({ peerOffers, fault, observer }) {
    this.peerOffers = peerOffers;
    this.fault = fault;
    this.observer = observer;
    this.started = performance.now();
    this.over = false;
    this.everConnected = false;
    this.interrupted = false;
    /** What is known if it comes to explaining a failure. */
    this.candidates = { browser: [], peer: [] };
    this.peerStates = {};
    this.peerErrors = [];
    this.report = null;
    this.asking = null;
    this.reportArrived = () => {};
  }

  start() {
    if (!window.RTCPeerConnection) return this.end(noWebRtc());
    this.openPeerConnection();
    this.openSignalling();
    this.patience = setTimeout(() => this.explain(notConnectedYet), PATIENCE_MILLISECONDS);
  }

  get milliseconds() {
    return Math.round(performance.now() - this.started);
  }

  /** The largest message that the peer takes, in bytes. */
  get maxMessageSize() {
    return this.pc.sctp?.maxMessageSize ?? 16_384;
  }

  createChannel(label) {
    return this.pc.createDataChannel(label);
  }

  /** What the browser knows of the path: nothing where it refuses to tell, which must not keep a failure from being explained. */
  async statistics() {
    try {
      return await readStatistics(this.pc);
    } catch {
      return { selected: null, checks: [], transport: null };
    }
  }

  /** Asks the peer how it sees the path; what it last said is in `report`. Whoever asks before the answer is there waits for the same one. */
  async askForReport() {
    if (this.asking === null) {
      if (this.socket.readyState !== WebSocket.OPEN) return;
      const arrived = new Promise((resolve) => {
        this.reportArrived = resolve;
        setTimeout(resolve, REPORT_MILLISECONDS);
      });
      this.asking = arrived.finally(() => (this.asking = null));
      this.signal({ type: "report" });
    }
    await this.asking;
  }

  /** Ends the attempt on purpose. */
  close() {
    this.end(null);
  }

  openPeerConnection() {
    const pc = new RTCPeerConnection();
    this.pc = pc;
    const states = [["signaling", "signalingState"], ["ice-gathering", "iceGatheringState"], ["ice-connection", "iceConnectionState"], ["connection", "connectionState"]];
    for (const [name, property] of states) {
      this.observer.state("browser", name, pc[property]);
      pc.addEventListener(`${property.toLowerCase()}change`, () => this.browserState(name, pc[property]));
    }
    pc.addEventListener("connectionstatechange", () => this.connectionChanged());
    pc.onicecandidate = ({ candidate }) => {
      if (candidate === null) return this.signal({ type: "end-of-candidates" });
      if (candidate.candidate === "") return;
      this.candidates.browser.push(candidate);
      this.signal({ type: "candidate", ...candidate.toJSON() });
    };
    pc.ondatachannel = ({ channel }) => channel.label === "chat" && this.useChat(channel);
    if (!this.peerOffers) {
      pc.onnegotiationneeded = () => this.enqueue(() => this.describe());
      this.useChat(pc.createDataChannel("chat"));
    }
  }

  openSignalling() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/signal?offer=${this.peerOffers ? "peer" : "browser"}`);
    this.socket = socket;
    let opened = false;
    // Nothing is negotiated before the signalling is open, and one thing at a time: a candidate must not overtake its description.
    this.tasks = new Promise((resolve) => {
      socket.onopen = () => {
        opened = true;
        resolve();
      };
    });
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    socket.onclose = async ({ code }) => {
      if (this.over) return;
      const wasConnected = this.everConnected;
      // Without signalling the peer is closed: there is nothing to wait for.
      const answers = await programAnswers();
      this.end(signallingLost({ opened, code, answers, wasConnected }));
    };
  }

  enqueue(task) {
    this.tasks = this.tasks.then(async () => {
      if (this.over) return;
      try {
        await task();
      } catch (error) {
        this.end(negotiationFailed(error));
      }
    });
  }

  async describe() {
    await this.pc.setLocalDescription();
    this.signal(this.pc.localDescription.toJSON());
  }

  signal(message) {
    const sent = spoil(this.fault, message);
    if (sent !== null && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(sent));
  }

  receive(message) {
    if (this.over) return;
    switch (message.type) {
      case "hello":
        this.observer.note(`signalling is open, this is peer ${message.peer}`);
        break;
      case "state":
        this.peerState(message.name, message.value);
        break;
      case "channel":
        if (message.label === "chat") this.observer.state("peer", "channel", message.state);
        this.observer.note(`peer: channel “${message.label}” ${message.state}`);
        break;
      case "report":
        this.report = message;
        this.reportArrived();
        break;
      case "error":
        this.peerError(message);
        break;
      default: {
        const arrived = spoil(this.fault, message);
        if (arrived !== null) this.enqueue(() => this.negotiate(arrived));
      }
    }
  }

  async negotiate(message) {
    switch (message.type) {
      case "offer":
        this.noteCandidates(message.sdp);
        await this.pc.setRemoteDescription(message);
        await this.describe();
        break;
      case "answer":
        this.noteCandidates(message.sdp);
        await this.pc.setRemoteDescription(message);
        break;
      case "candidate":
        await this.addCandidate(message);
        break;
      case "end-of-candidates":
        await this.pc.addIceCandidate();
        break;
    }
  }

  /** A candidate that the browser refuses ends nothing: another one may lead to a path. */
  async addCandidate(message) {
    try {
      this.candidates.peer.push(new RTCIceCandidate(message));
      await this.pc.addIceCandidate(message);
    } catch (error) {
      if (!this.over) this.observer.note(`browser: refused “${message.candidate}”: ${error.message}`);
    }
  }

  /** Candidates may also come inside a description. */
  noteCandidates(sdp) {
    for (const [, candidate] of sdp.matchAll(/^a=(candidate:.*)$/gm)) {
      this.candidates.peer.push(new RTCIceCandidate({ candidate, sdpMid: "0" }));
    }
  }

  browserState(name, value) {
    if (this.over) return;
    this.observer.state("browser", name, value);
    this.observer.note(`browser: ${name.replace("-", " ")} ${value}`);
  }

  peerState(name, value) {
    this.peerStates[name] = value;
    this.observer.state("peer", name, value);
    this.observer.note(`peer: ${name.replace("-", " ")} ${value}`);
    // Browsers may go on for ever where there is nothing to check.
    if (name === "connection" && value === "failed") this.explain(connectionFailed);
  }

  peerError({ where, message }) {
    this.observer.note(`peer: ${where}: ${message}`);
    if (where === "connect") return this.end(refused(message));
    this.peerErrors.push(`${where}: ${message}`);
    if (where !== "transport") {
      this.observer.warned({ what: `The peer reports (${where}): ${message}.`, advice: "If nothing goes on from here, press Connect again." });
    }
  }

  useChat(channel) {
    this.browserState("channel", channel.readyState);
    const opened = () => {
      // A channel of the peer is open when it is announced, and says so once more afterwards.
      if (this.everConnected || this.over) return;
      this.everConnected = true;
      clearTimeout(this.patience);
      this.browserState("channel", "open");
      this.observer.connected(this.milliseconds);
    };
    channel.addEventListener("open", opened);
    channel.addEventListener("closing", () => this.browserState("channel", "closing"));
    channel.addEventListener("close", () => {
      this.browserState("channel", "closed");
      // Where the connection ends, that is what there is to tell.
      if (!this.over && this.pc.connectionState === "connected") this.observer.warned(chatClosed(this.peerErrors));
    });
    this.observer.chat(channel);
    if (channel.readyState === "open") opened();
  }

  connectionChanged() {
    const state = this.pc.connectionState;
    if (state === "failed") {
      this.explain(connectionFailed);
    } else if (state === "disconnected") {
      this.interrupted = true;
      this.observer.interrupted();
    } else if (state === "connected" && this.interrupted) {
      this.interrupted = false;
      this.observer.resumed();
    }
  }

  /** Gathers what both sides know, and lets `diagnose` put it into words. */
  async explain(diagnose) {
    if (this.over || this.explaining === connectionFailed) return;
    this.explaining = diagnose;
    const { pc } = this;
    const states = { ice: pc.iceConnectionState, gathering: pc.iceGatheringState, dtls: pc.sctp?.transport?.state, connection: pc.connectionState };
    // What the peer said earlier is no evidence of what has happened now.
    this.report = null;
    const [{ checks }] = await Promise.all([this.statistics(), this.askForReport()]);
    const { candidates, peerStates, peerErrors, report, everConnected } = this;
    const problem = diagnose({ states, checks, candidates, peerStates, peerErrors, report, wasConnected: everConnected });
    if (this.over || this.explaining !== diagnose) return;
    if (diagnose === connectionFailed) this.end(problem);
    else if (!everConnected) this.observer.warned(problem);
  }

  end(problem) {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.patience);
    this.pc?.close();
    this.socket?.close();
    this.observer.over(problem);
  }
}

/** Whether the program that serves this page still does. */
async function programAnswers() {
  try {
    return (await fetch("icon.svg", { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MILLISECONDS) })).ok;
  } catch {
    return false;
  }
}
