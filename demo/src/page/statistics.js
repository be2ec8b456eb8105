// What the browser's getStats says of the path and of DTLS, and both in words. Browsers differ in which entries they have.

/** The selected pair with its candidates, null before there is one; all pairs that were checked; the entry of the transport, null where there is none. */
export async function readStatistics(pc) {
  const stats = await pc.getStats();
  const entries = [...stats.values()];
  const transport = entries.find(({ type }) => type === "transport");
  const pairs = entries.filter(({ type }) => type === "candidate-pair");
  // Firefox marks the pair itself.
  const selected = stats.get(transport?.selectedCandidatePairId) ?? pairs.find(({ selected }) => selected);
  return { selected: selected ? inWords(stats, selected) : null, checks: pairs.map((pair) => inWords(stats, pair)), transport: transport ?? null };
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

/** The version bytes of the record layer, as `tlsVersion` has them. */
const DTLS_VERSIONS = { FEFD: "DTLS 1.2", FEFC: "DTLS 1.3" };

/** What one side says of DTLS: its version, and how it encrypts. */
export function encryptionInWords({ tlsVersion, dtlsCipher } = {}) {
  if (!tlsVersion) return "–";
  const version = DTLS_VERSIONS[tlsVersion.toUpperCase()] ?? `version ${tlsVersion}`;
  return dtlsCipher ? `${version}, ${dtlsCipher}` : version;
}

const EXTENSIONS = { partialReliability: "partial reliability", streamResets: "stream resets", interleaving: "interleaving", zeroChecksum: "zero checksum" };

/** The extensions that both sides have, then those that one of them lacks. */
export function extensionsInWords(sctp) {
  const names = (has) => Object.entries(EXTENSIONS).filter(([name]) => sctp[name] === has).map(([, words]) => words);
  const [used, lacking] = [names(true), names(false)];
  return [used.join(", "), ...(lacking.length > 0 ? [`no ${lacking.join(", no ")}`] : [])].filter(Boolean).join("; ");
}

/** How the association came about, and how many streams it has each way. */
export function setUpInWords({ setUp, outboundStreams, inboundStreams }) {
  const how = setUp === "descriptions" ? "in the descriptions (a=sctp-init)" : "by its own handshake";
  const streams = outboundStreams === inboundStreams ? `${inboundStreams} streams each way` : `${inboundStreams} streams to the peer, ${outboundStreams} from it`;
  return `${how}, ${streams}`;
}
