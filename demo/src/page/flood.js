// Floods: as much data as the connection takes, each way. A flood is the text "flood-begin N", binary messages that begin with a counter, and the text "flood-end"; the receiver
// answers "flood-ack BYTES MILLISECONDS INORDER", and the sender's clock stops there.

import { Pipe } from "./pipe.js";
import { bytesInWords, element, rateInWords } from "./view.js";

const MESSAGE = 16_384;
const SHOW_MILLISECONDS = 200;

/** Floods the peer, which only counts on a channel whose label begins with "sink". */
async function floodUp(pipe, bytes, progress) {
  let acknowledgement = null;
  pipe.onmessage = (data) => (acknowledgement = String(data).split(" "));
  await pipe.opened();
  const began = performance.now();
  pipe.send(`flood-begin ${bytes}`);
  const message = new Uint8Array(MESSAGE);
  const view = new DataView(message.buffer);
  for (let sent = 0, counter = 0; sent < bytes; counter += 1) {
    await pipe.room();
    view.setUint32(0, counter);
    const size = Math.min(MESSAGE, bytes - sent);
    pipe.send(message.subarray(0, size));
    sent += size;
    progress(pipe.left(sent), began);
  }
  pipe.send("flood-end");
  await pipe.until(() => acknowledgement !== null);
  const [, received, , inOrder] = acknowledgement;
  return { received: Number(received), inOrder: inOrder === "1", seconds: (performance.now() - began) / 1e3 };
}

/** Asks the peer for a flood, which it sends on a channel whose label begins with "flood". */
async function floodDown(pipe, bytes, progress) {
  let [received, counter, inOrder, began, ended] = [0, 0, true, null, null];
  let refusal = null;
  pipe.onmessage = (data) => {
    // The first message starts the clock: the peer's begin, or whatever it sends without one.
    began ??= performance.now();
    if (data instanceof ArrayBuffer) {
      inOrder &&= data.byteLength >= 4 && new DataView(data).getUint32(0) === counter;
      received += data.byteLength;
      counter += 1;
      progress(received, began);
    } else if (data === "flood-end") {
      ended = performance.now();
    } else if (!data.startsWith("flood-begin ")) {
      refusal = data;
    }
  };
  await pipe.opened();
  pipe.send(`please-flood ${bytes} ${MESSAGE}`);
  await pipe.until(() => ended !== null || refusal !== null);
  if (refusal !== null) throw new Error(`the peer says: ${refusal}`);
  const seconds = (ended - began) / 1e3;
  pipe.send(`flood-ack ${received} ${Math.round(seconds * 1e3)} ${inOrder ? 1 : 0}`);
  return { received, inOrder, seconds };
}

const WAYS = {
  up: { label: "sink", words: "To the peer", flood: floodUp },
  down: { label: "flood", words: "From the peer", flood: floodDown },
};

/** The part of the page that floods. */
export class Floods {
  constructor() {
    this.connection = null;
    this.pipe = null;
    element("flood").addEventListener("click", () => this.run(["up", "down"]));
    element("flood-up").addEventListener("click", () => this.run(["up"]));
    element("flood-down").addEventListener("click", () => this.run(["down"]));
    element("flood-stop").addEventListener("click", () => this.stop());
  }

  /** The connection to use from now on; null: there is none. */
  use(connection) {
    this.connection = connection;
    // A connection that is closed does not tell its channels in every browser (w3c/webrtc-pc#3085).
    if (connection === null) this.pipe?.close("the connection was closed");
    this.enable();
  }

  enable() {
    const idle = this.connection !== null && this.pipe === null;
    for (const id of ["flood", "flood-up", "flood-down", "amount"]) element(id).disabled = !idle;
    element("flood-stop").disabled = this.pipe === null;
  }

  stop() {
    this.pipe?.close("stopped");
  }

  /** One way after the other: together they would share the connection, and the figure would be of neither. */
  async run(ways) {
    const { connection } = this;
    const bytes = Number(element("amount").value);
    const button = document.activeElement;
    for (const way of Object.keys(WAYS)) element(`flood-${way}-result`).textContent = "";
    element("flood-status").textContent = "";
    for (const way of ways) {
      if (connection !== this.connection || connection === null) break;
      if (!(await this.flood(way, connection, bytes))) break;
    }
    // A button that is disabled loses the focus; it gets it back.
    if (document.activeElement === document.body || document.activeElement === element("flood-stop")) button?.focus({ preventScroll: true });
  }

  async flood(way, connection, bytes) {
    const { label, words, flood } = WAYS[way];
    const result = element(`flood-${way}-result`);
    let shown = 0;
    const progress = (done, began) => {
      const now = performance.now();
      if (now - shown < SHOW_MILLISECONDS) return;
      shown = now;
      const rate = now > began ? `, ${rateInWords((done / (now - began)) * 1e3)}` : "";
      result.textContent = `${words}: ${bytesInWords(done)} of ${bytesInWords(bytes)}${rate} …`;
    };
    delete result.dataset.state;
    try {
      this.pipe = new Pipe(connection.createChannel(label));
      this.enable();
      const { received, inOrder, seconds } = await flood(this.pipe, bytes, progress);
      const whole = received === bytes && inOrder;
      result.dataset.state = whole ? "done" : "failed";
      const fault = whole ? "" : `, but ${received === bytes ? "out of order" : `${bytesInWords(bytes)} were sent`}`;
      result.textContent = `${words}: ${rateInWords(received / seconds)} (${bytesInWords(received)} in ${seconds.toFixed(2)} s${fault})`;
      return whole;
    } catch (error) {
      result.dataset.state = "failed";
      result.textContent = `${words}: ${error.message}`;
      return false;
    } finally {
      // Only how it ended is read out: figures that change all the time would drown everything else.
      element("flood-status").textContent = result.textContent;
      this.pipe?.close();
      this.pipe = null;
      this.enable();
    }
  }
}
