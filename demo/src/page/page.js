// The page: its parts, and the connection that they share.

import { Chat } from "./chat.js";
import { Connection } from "./connection.js";
import { FAULTS } from "./fault.js";
import { Files } from "./file.js";
import { Floods } from "./flood.js";
import { Graph } from "./graph.js";
import { encryptionInWords, endInWords, extensionsInWords, setUpInWords } from "./statistics.js";
import { append, bytesInWords, element, hideProblem, made, millisecondsInWords, showProblem, showState, summarize } from "./view.js";

const MAX_EVENTS = 300;
const SAMPLE_MILLISECONDS = 500;
/** Every so many samples the peer is asked how it sees the path. */
const SAMPLES_PER_REPORT = 4;
const STATES = ["signaling", "ice-gathering", "ice-connection", "connection", "channel"];
const PAIR_ROWS = ["type", "address", "protocol", "rtt", "encryption", "message-size"];
const SCTP_ROWS = ["sctp-set-up", "sctp-extensions"];

const chat = new Chat();
const files = new Files();
const floods = new Floods();
const graph = new Graph();
const query = new URLSearchParams(location.search);
const offers = [...document.querySelectorAll("input[name=offer]")];
let connection = null;
let samples = 0;

function connect() {
  connection?.close();
  const peerOffers = offers.some(({ value, checked }) => checked && value === "peer");
  for (const name of STATES) {
    showState("browser", name, "none");
    showState("peer", name, "none");
  }
  clearPair();
  hideProblem();
  element("events").replaceChildren();
  element("close").disabled = false;
  summarize("connecting", "Connecting …");
  const fault = FAULTS.find((fault) => query.get("fault") === fault) ?? null;
  connection = new Connection({ peerOffers, fault, observer: new Observer() });
  connection.start();
}

/** Shows what happens on a connection, for as long as it is the latest one. */
class Observer {
  state(side, name, value) {
    showState(side, name, value);
  }

  note(text) {
    const entry = made("li", "");
    entry.append(made("time", `${connection.milliseconds} ms`), made("span", text));
    append(element("events"), entry, MAX_EVENTS);
  }

  chat(channel) {
    chat.use(channel);
  }

  connected(milliseconds) {
    summarize("connected", `Connected in ${milliseconds} ms`);
    hideProblem();
    chat.note(`Connected. The ${connection.peerOffers ? "Rust peer" : "browser"} made the offer. What you write comes back.`);
    chat.enable(true);
    files.use(connection);
    floods.use(connection);
    sample();
  }

  interrupted() {
    summarize("disconnected", "Connection lost, waiting for it to come back");
  }

  resumed() {
    summarize("connected", "Connected again");
  }

  warned(problem) {
    showProblem(problem);
  }

  over(problem) {
    chat.enable(false);
    files.use(null);
    floods.use(null);
    // The focus would be lost with the button.
    if (document.activeElement === element("close")) element("again").focus();
    element("close").disabled = true;
    if (problem) {
      // The states stay as they were: they tell how far it came.
      showProblem(problem);
      summarize("failed", "Not connected");
      return;
    }
    for (const name of ["signaling", "ice-connection", "connection", "channel"]) {
      showState("browser", name, "closed");
      showState("peer", name, "closed");
    }
    hideProblem();
    summarize("closed", "Closed");
  }
}

/** Reads what the connection has carried and over which pair. */
async function sample() {
  const current = connection;
  if (!current?.pc || current.over) return graph.count(null);
  samples += 1;
  if (samples % SAMPLES_PER_REPORT === 1) current.askForReport();
  const { selected, transport } = await current.statistics();
  if (current !== connection || current.over || !selected) return graph.count(null);
  graph.count({ sent: selected.bytesSent, received: selected.bytesReceived });
  showPair(selected, current.report?.pair ?? null);
  showAgreement(current, transport);
}

/** The pair as the browser has it, and what only the peer knows: the address that the browser hides, and its own round trips. */
function showPair({ local, remote, roundTripTime }, seenByPeer) {
  const seen = seenByPeer && endInWords(seenByPeer.remote);
  const own = local.address === null && seen ? seen : endInWords(local);
  const rows = {
    type: [local.type, remote.type],
    address: [seen && seen !== own ? `${own}, which the peer sees as ${seen}` : own, endInWords(remote)],
    protocol: [local.protocol.toUpperCase(), remote.protocol.toUpperCase()],
    rtt: [millisecondsInWords(roundTripTime), millisecondsInWords(seenByPeer?.rtt)],
  };
  showRows(rows);
}

/** What the two sides have agreed on for DTLS and SCTP. Browsers tell little of it. */
function showAgreement({ pc, report }, transport) {
  const limit = (bytes) => (bytes ? bytesInWords(bytes) : "–");
  showRows({
    encryption: [encryptionInWords(transport ?? undefined), encryptionInWords(report?.transport)],
    // Each side knows what it may send: what the other one takes.
    "message-size": [limit(report?.maxMessageSize), limit(pc.sctp?.maxMessageSize)],
  });
  if (!report?.sctp) return;
  element("sctp-set-up").textContent = setUpInWords(report.sctp);
  element("sctp-extensions").textContent = extensionsInWords(report.sctp);
}

function showRows(rows) {
  for (const [name, [browser, peer]] of Object.entries(rows)) {
    element(`browser-${name}`).textContent = browser;
    element(`peer-${name}`).textContent = peer;
  }
}

function clearPair() {
  for (const name of PAIR_ROWS) {
    element(`browser-${name}`).textContent = "–";
    element(`peer-${name}`).textContent = "–";
  }
  for (const name of SCTP_ROWS) element(name).textContent = "–";
}

for (const offer of offers) {
  offer.checked = offer.value === (query.get("offer") === "peer" ? "peer" : "browser");
  offer.addEventListener("change", () => {
    query.set("offer", offer.value);
    history.replaceState(null, "", `?${query}`);
  });
}
element("again").addEventListener("click", connect);
element("close").addEventListener("click", () => connection.close());
setInterval(() => {
  if (!document.hidden) sample();
}, SAMPLE_MILLISECONDS);
connect();
