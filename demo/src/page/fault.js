// Failures to look at: ?fault=candidates or ?fault=fingerprint in the address makes the browser's signalling faulty, so that the page tells what it tells of real ones.

export const FAULTS = ["candidates", "fingerprint"];

/** A signalling message as it arrives where such a fault is; null if it gets lost. */
export function spoil(fault, message) {
  const isDescription = message.type === "offer" || message.type === "answer";
  if (fault === "candidates") {
    if (message.type === "candidate") return null;
    if (isDescription) return { ...message, sdp: message.sdp.replace(/^a=candidate:.*\r?\n/gm, "") };
  }
  if (fault === "fingerprint" && isDescription) {
    const sdp = message.sdp.replace(/^(a=fingerprint:.*)(.)$/gm, (_, start, digit) => start + (digit === "0" ? "1" : "0"));
    return { ...message, sdp };
  }
  return message;
}
