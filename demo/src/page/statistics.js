// What the browser's getStats says of the path. Browsers differ in which entries they have.

/** The selected pair with its candidates, null before there is one; all pairs that were checked. */
export async function readStatistics(pc) {
  const stats = await pc.getStats();
  const entries = [...stats.values()];
  const transport = entries.find(({ type }) => type === "transport");
  const pairs = entries.filter(({ type }) => type === "candidate-pair");
  // Firefox marks the pair itself.
  const selected = stats.get(transport?.selectedCandidatePairId) ?? pairs.find(({ selected }) => selected);
  return { selected: selected ? inWords(stats, selected) : null, checks: pairs.map((pair) => inWords(stats, pair)) };
}

function inWords(stats, pair) {
  return {
    local: candidate(stats.get(pair.localCandidateId)),
    remote: candidate(stats.get(pair.remoteCandidateId)),
    state: pair.state,
    roundTripTime: pair.currentRoundTripTime,
    bytesSent: pair.bytesSent ?? 0,
    bytesReceived: pair.bytesReceived ?? 0,
    requestsSent: pair.requestsSent ?? 0,
    responsesReceived: pair.responsesReceived ?? 0,
    requestsReceived: pair.requestsReceived ?? 0,
  };
}

/** A candidate; its address is missing where the browser hides it. */
function candidate(entry = {}) {
  const { candidateType, protocol, port } = entry;
  return { type: candidateType ?? "unknown", protocol: protocol ?? "udp", address: entry.address || entry.ip || null, port: port ?? 0 };
}

/** Address and port, an IPv6 address in brackets; some browsers put them on themselves. */
export function endInWords({ address, port }) {
  const host = address ?? "hidden";
  return `${/^[^[].*:/.test(host) ? `[${host}]` : host}:${port}`;
}
