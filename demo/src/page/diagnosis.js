// Why there is no connection, in words that a person can act on: what has happened, what to do, and what is known.

import { endInWords } from "./statistics.js";

const MAX_DETAILS_OF_A_KIND = 12;
/** The close code with which the program takes its leave of a WebSocket (RFC 6455 §7.4.1). */
const GOING_AWAY = 1001;

export const noWebRtc = () => ({
  what: "This browser has no WebRTC.",
  advice: "Use a current Chromium or Firefox. In Firefox, media.peerconnection.enabled must be true in about:config; an extension may have switched it off.",
});

export const refused = (message) => ({
  what: `The server refused: ${message}.`,
  advice: "Close another window that is connected, then press Connect again.",
});

export const negotiationFailed = (error) => ({
  what: `The negotiation failed: ${error.message}`,
  advice: "Press Connect again. If it happens each time, the events below tell how far it came.",
});

export const chatClosed = (peerErrors) => ({
  what: "The peer has closed the chat channel.",
  advice: "Press Connect again.",
  details: peerErrors.map((error) => `The peer says: ${error}.`),
});

/** `answers`: whether the program still serves this page. */
export function signallingLost({ opened, code, answers, wasConnected }) {
  const details = [`The WebSocket ${opened ? "was open and has" : "has never been open, and has"} ended with code ${code}${CLOSE_CODES[code] ? `: ${CLOSE_CODES[code]}` : ""}.`];
  if (wasConnected) details.push("The data channels went with it: the peer is closed when its signalling ends.");
  if (!answers) {
    return {
      what: "The signalling is lost: the program no longer answers.",
      advice: "It has been stopped, or this machine has lost its network. Start it with cargo run --release, then press Connect again.",
      details: [...details, `Nothing answers at ${location.origin}.`],
    };
  }
  details.push(`${location.origin} still serves this page.`);
  if (code === GOING_AWAY) {
    return {
      what: "The signalling is lost: the program has ended it.",
      advice: "It is ending or was started anew, or this page fell too far behind in reading what the peer reports. Press Connect again.",
      details,
    };
  }
  return {
    what: "The signalling is lost, but the program is still running.",
    advice: opened
      ? "Something between here and there has cut the WebSocket (a proxy, a VPN, a change of network). Press Connect again."
      : "WebSockets do not get through: a proxy or an extension may block them. Open the page without it, then press Connect again.",
    details,
  };
}

const CLOSE_CODES = {
  [GOING_AWAY]: "the program has given up the peer",
  1006: "it broke off, without a goodbye",
  1013: "there was no peer to give",
};

/** The connection has failed for good. */
export function connectionFailed(evidence) {
  const { wasConnected, states } = evidence;
  const details = detailsOf(evidence);
  // What once worked has agreed on DTLS: the peer complains of the transport when it gets lost later, too.
  if (!wasConnected && failedInDtls(evidence)) {
    return {
      what: "The encryption failed: a path was found, but DTLS was not agreed on over it.",
      advice: "The certificate of one side does not match the fingerprint in its description: something has changed the signalling on its way, or the page and the program do not belong together. Reload the page, then press Connect again.",
      details,
    };
  }
  if (wasConnected) {
    return {
      what: "The connection was lost: the other side no longer answers.",
      advice: "The network has changed, a machine has gone to sleep, or a firewall has closed the path. Press Connect again.",
      details,
    };
  }
  return { ...missingPath(evidence), details: [`ICE in the browser: ${states.ice}, gathering ${states.gathering}.`, ...details] };
}

/** It takes long, and may still come about. */
export function notConnectedYet(evidence) {
  const { what, advice } = failedInDtls(evidence) || isPathFound(evidence)
    ? { what: "a path was found, but the channel does not open over it.", advice: "The machine may be very busy, or large packets get lost on the way (an MTU below 1,280). Wait, or press Connect again." }
    : missingPath(evidence);
  return { what: `Still not connected: ${what.charAt(0).toLowerCase()}${what.slice(1)}`, advice, details: detailsOf(evidence) };
}

function isPathFound({ states, report }) {
  return ["connected", "completed"].includes(states.ice) || Boolean(report?.pair);
}

function failedInDtls({ states, peerErrors }) {
  return states.dtls === "failed" || peerErrors.some((error) => error.startsWith("transport"));
}

/** What is wrong where ICE found no path, the most basic thing first. */
function missingPath({ candidates, checks, report }) {
  const sum = (name, entries) => entries.reduce((total, entry) => total + (entry[name] ?? 0), 0);
  const peerChecks = report?.pairs ?? [];
  if (candidates.browser.length === 0) {
    return {
      what: "This browser has no candidate: it names no address to be reached at.",
      advice: "It has no network, or a policy or an extension against WebRTC leaks keeps its addresses back. Switch that off for this page, then press Connect again.",
    };
  }
  if (candidates.peer.length === 0) {
    return {
      what: "No candidate of the peer has reached this browser, so there is nothing to check.",
      advice: "Candidates got lost on their way through the signalling, or the machine that runs the program has no address that it may use. Press Connect again; look at what the peer says below.",
    };
  }
  const sent = sum("requestsSent", checks);
  const answered = sum("responsesReceived", checks);
  const heard = sum("requestsReceived", peerChecks);
  const advice = "A firewall or VPN may block UDP between them. On the machine that runs the program, open the page at 127.0.0.1; from another one, start it with --bind 0.0.0.0 and allow UDP.";
  if (answered > 0) {
    return { what: `No path is good enough: ${answered} of ${sent} checks were answered, and none was agreed on.`, advice };
  }
  const direction = heard > 0 ? "the browser's checks reach the peer, but nothing comes back" : "no check of either side was answered";
  return { what: `No path between the browser and the peer: ${direction}.`, advice };
}

/** What both sides know, line by line. */
function detailsOf({ candidates, checks, peerErrors, peerStates, report, states }) {
  const few = (lines) => (lines.length <= MAX_DETAILS_OF_A_KIND ? lines : [...lines.slice(0, MAX_DETAILS_OF_A_KIND), `… and ${lines.length - MAX_DETAILS_OF_A_KIND} more`]);
  const list = (entries) => (entries.length === 0 ? "none" : few(entries.map(candidateInWords)).join(", "));
  const lines = [`Candidates of the browser: ${list(candidates.browser)}.`, `Candidates of the peer, as they arrived here: ${list(candidates.peer)}.`];
  lines.push(...few(checks.map((check) => `The browser's checks ${checkInWords(check)}`)));
  if (checks.length === 0) lines.push("The browser has checked nothing.");
  if (states.dtls) lines.push(`DTLS in the browser: ${states.dtls}.`);
  lines.push(...peerErrors.map((error) => `The peer says: ${error}.`));
  if (!report) return [...lines, `The peer did not tell its side${peerStates.connection ? `; its connection is ${peerStates.connection}` : ""}.`];
  lines.push(`The peer says of ICE: ${report.verdict}.`);
  lines.push(...few(report.pairs.map((pair) => `The peer's checks ${checkInWords(pair)}`)));
  lines.push(...few(report.servers.filter(({ ok }) => !ok).map(({ url, message }) => `The peer gathered nothing from ${url ?? "an interface"}: ${message}.`)));
  return lines;
}

function candidateInWords({ type, address, port, protocol }) {
  return `${type ?? "candidate"} ${endInWords({ address, port })}${protocol && protocol !== "udp" ? ` (${protocol})` : ""}`;
}

function checkInWords({ local, remote, state, reason, requestsSent, responsesReceived }) {
  return `${endInWords(local)} → ${endInWords(remote)}: ${requestsSent} sent, ${responsesReceived} answered (${reason ?? state}).`;
}
