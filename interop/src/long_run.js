// Floods of any length, in the page: what is sent and what arrives is summed up as it passes, and nothing is kept. The protocol is that of docs/stdio.md.

const HIGH_WATER = 4 << 20;
const LOW_WATER = 1 << 20;
/** What messages are filled with, each from another place on. */
const POOL_BYTES = 1 << 20;
/** The most that crypto.getRandomValues gives at once. */
const MOST_RANDOM_BYTES = 65_536;

/** CRC-32C (RFC 9260 appendix A), sixteen bytes at a time. */
class Crc32c {
  static TABLES = (() => {
    const tables = new Int32Array(16 * 256);
    for (let byte = 0; byte < 256; byte += 1) {
      let crc = byte;
      for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
      tables[byte] = crc;
    }
    for (let at = 256; at < tables.length; at += 1) tables[at] = (tables[at - 256] >>> 8) ^ tables[tables[at - 256] & 255];
    return tables;
  })();

  state = -1;

  /** Takes in bytes that begin at a multiple of four in their buffer. */
  update(bytes) {
    const T = Crc32c.TABLES;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, (bytes.length >> 4) << 2);
    let crc = this.state;
    for (let at = 0; at < words.length; at += 4) {
      const [a, b, c, d] = [words[at] ^ crc, words[at + 1], words[at + 2], words[at + 3]];
      crc = T[3840 + (a & 255)] ^ T[3584 + ((a >>> 8) & 255)] ^ T[3328 + ((a >>> 16) & 255)] ^ T[3072 + (a >>> 24)]
        ^ T[2816 + (b & 255)] ^ T[2560 + ((b >>> 8) & 255)] ^ T[2304 + ((b >>> 16) & 255)] ^ T[2048 + (b >>> 24)]
        ^ T[1792 + (c & 255)] ^ T[1536 + ((c >>> 8) & 255)] ^ T[1280 + ((c >>> 16) & 255)] ^ T[1024 + (c >>> 24)]
        ^ T[768 + (d & 255)] ^ T[512 + ((d >>> 8) & 255)] ^ T[256 + ((d >>> 16) & 255)] ^ T[d >>> 24];
    }
    for (let at = words.length * 4; at < bytes.length; at += 1) crc = (crc >>> 8) ^ T[(crc ^ bytes[at]) & 255];
    this.state = crc;
  }

  get hexadecimal() {
    return (~this.state >>> 0).toString(16).padStart(8, "0");
  }
}

/** A channel with one flood at a time; `done` tells how far it has come. */
class LongRun {
  constructor(channel) {
    this.channel = channel;
    this.done = 0;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LOW_WATER;
    this.failed = new Promise((_, reject) => {
      channel.addEventListener("close", () => reject(new Error("the channel was closed")));
    });
    this.failed.catch(() => {});
  }

  event(type) {
    const came = new Promise((resolve) => this.channel.addEventListener(type, resolve, { once: true }));
    return Promise.race([came, this.failed]);
  }

  /** Sends a flood, and returns what the peer has acknowledged. */
  async send(bytes, messageSize) {
    const { channel } = this;
    const pool = new Uint8Array(POOL_BYTES);
    for (let at = 0; at < pool.length; at += MOST_RANDOM_BYTES) crypto.getRandomValues(pool.subarray(at, at + MOST_RANDOM_BYTES));
    const crc = new Crc32c();
    const message = new Uint8Array(messageSize);
    const acknowledged = this.event("message");
    const began = performance.now();
    channel.send(`flood-begin ${bytes}`);
    this.done = 0;
    for (let counter = 0; this.done < bytes; counter += 1) {
      const size = Math.min(messageSize, bytes - this.done);
      const place = (counter * 4099) % (POOL_BYTES - size);
      message.set(pool.subarray(place, place + size));
      new DataView(message.buffer).setUint32(0, counter);
      const part = message.subarray(0, size);
      crc.update(part);
      if (channel.bufferedAmount > HIGH_WATER) await this.event("bufferedamountlow");
      channel.send(part);
      this.done += size;
    }
    channel.send("flood-end");
    const [word, received, , inOrder] = (await acknowledged).data.split(" ");
    if (word !== "flood-ack") throw new Error(`expected flood-ack, got ${word}`);
    return { seconds: (performance.now() - began) / 1e3, received: Number(received), inOrder: inOrder === "1", crc32c: crc.hexadecimal };
  }

  /** Takes in a flood, and acknowledges it. */
  async receive() {
    const { channel } = this;
    const crc = new Crc32c();
    let [began, counter, inOrder] = [0, 0, true];
    this.done = 0;
    const ended = new Promise((resolve) => {
      channel.onmessage = ({ data }) => {
        if (data === "flood-end") return resolve();
        if (typeof data === "string") return (began = performance.now());
        inOrder &&= new DataView(data).getUint32(0) === counter;
        counter += 1;
        crc.update(new Uint8Array(data));
        this.done += data.byteLength;
      };
    });
    await Promise.race([ended, this.failed]);
    channel.onmessage = null;
    const seconds = (performance.now() - began) / 1e3;
    channel.send(`flood-ack ${this.done} ${Math.round(seconds * 1e3)} ${inOrder ? 1 : 0}`);
    return { seconds, received: this.done, inOrder, crc32c: crc.hexadecimal };
  }
}

/** Two ends of a channel of the browser with itself, to compare with. */
async function withItself() {
  const [one, other] = [new RTCPeerConnection(), new RTCPeerConnection()];
  one.onicecandidate = ({ candidate }) => other.addIceCandidate(candidate);
  other.onicecandidate = ({ candidate }) => one.addIceCandidate(candidate);
  const sender = new LongRun(one.createDataChannel("sink"));
  const announced = new Promise((resolve) => (other.ondatachannel = ({ channel }) => resolve(new LongRun(channel))));
  await one.setLocalDescription();
  await other.setRemoteDescription(one.localDescription);
  await other.setLocalDescription();
  await one.setRemoteDescription(other.localDescription);
  const receiver = await announced;
  if (sender.channel.readyState !== "open") await sender.event("open");
  return [sender, receiver];
}

window.LongRun = LongRun;
window.withItself = withItself;
