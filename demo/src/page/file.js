// A file that goes to the peer and comes back, on a channel of its own: the peer echoes message by message.

import { Pipe } from "./pipe.js";
import { Sha256 } from "./sha256.js";
import { append, bytesInWords, element, made, rateInWords } from "./view.js";

/** Bytes that are read from the disk at once. */
const BLOCK = 1 << 20;
/** The most bytes of a message. */
const MAX_CHUNK = 65_536;
/** The most bytes on their way: the peer keeps what it cannot send back yet, and not without end. */
const MAX_OUTSTANDING = 8 << 20;
/** How often progress is shown. */
const SHOW_MILLISECONDS = 100;
/** In a list longer than this, finished entries make room for a new one. */
const MAX_ENTRIES = 20;
/** An entry that waits has no state yet. */
const FINISHED = "[data-state]:not([data-state=running])";

/** Sends a file, takes it back, and returns both hashes and the seconds it took. `progress(sent, returned)` is told often. */
export async function thereAndBack(pipe, file, maxMessageSize, progress) {
  const hashes = { sent: new Sha256(), returned: new Sha256() };
  let [sent, returned, messagesSent, messagesReturned] = [0, 0, 0, 0];
  // What has come back has left the buffer, though the browser may not count it yet.
  const show = () => progress(Math.max(returned, pipe.left(sent)), returned);
  pipe.onmessage = (data) => {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
    returned += bytes.length;
    messagesReturned += 1;
    hashes.returned.update(bytes);
    show();
  };
  await pipe.opened();
  const began = performance.now();
  const send = async (bytes) => {
    await pipe.room(() => sent - returned <= MAX_OUTSTANDING);
    pipe.send(bytes);
    hashes.sent.update(bytes);
    sent += bytes.length;
    messagesSent += 1;
    show();
  };
  const chunk = Math.min(MAX_CHUNK, maxMessageSize);
  for (let offset = 0; offset < file.size; offset += BLOCK) {
    const block = new Uint8Array(await file.slice(offset, offset + BLOCK).arrayBuffer());
    for (let start = 0; start < block.length; start += chunk) await send(block.subarray(start, start + chunk));
  }
  // An empty file is one empty message.
  if (messagesSent === 0) await send(new Uint8Array());
  await pipe.until(() => messagesReturned >= messagesSent);
  return { sent: hashes.sent.digest(), returned: hashes.returned.digest(), seconds: (performance.now() - began) / 1e3 };
}

/** The part of the page where files are dropped. */
export class Files {
  constructor() {
    this.connection = null;
    this.pipe = null;
    this.waiting = Promise.resolve();
    const input = element("file");
    input.addEventListener("change", () => {
      this.take([...input.files]);
      // The same file may be chosen again.
      input.value = "";
    });
    this.acceptDrops(element("drop"));
  }

  /** The connection to use from now on; null: there is none. */
  use(connection) {
    this.connection = connection;
    // A connection that is closed does not tell its channels in every browser (w3c/webrtc-pc#3085).
    if (connection === null) this.pipe?.close("the connection was closed");
    element("file").disabled = connection === null;
    element("drop").classList.toggle("disabled", connection === null);
  }

  acceptDrops(zone) {
    // A file that misses the zone would replace the page.
    for (const type of ["dragover", "drop"]) {
      window.addEventListener(type, (event) => event.preventDefault());
    }
    const over = (isOver) => zone.classList.toggle("over", isOver && this.connection !== null);
    zone.addEventListener("dragenter", () => over(true));
    zone.addEventListener("dragover", () => over(true));
    zone.addEventListener("dragleave", () => over(false));
    zone.addEventListener("drop", (event) => {
      over(false);
      if (this.connection !== null) this.take([...event.dataTransfer.files]);
    });
  }

  /** Files go one after the other. */
  take(files) {
    for (const file of files) {
      const entry = new Entry(file);
      this.waiting = this.waiting.then(() => this.transfer(file, entry));
    }
  }

  async transfer(file, entry) {
    const { connection } = this;
    if (connection === null) return entry.failed("there is no connection");
    try {
      const pipe = new Pipe(connection.createChannel(`file ${file.name}`.slice(0, 200)));
      this.pipe = pipe;
      entry.begin(() => pipe.close("cancelled"));
      const { sent, returned, seconds } = await thereAndBack(pipe, file, connection.maxMessageSize, (sent, returned) => entry.progress(sent, returned));
      entry.succeeded(sent, returned, seconds);
    } catch (error) {
      entry.failed(error.message);
    } finally {
      this.pipe?.close();
      this.pipe = null;
    }
  }
}

/** A file in the list. */
class Entry {
  constructor(file) {
    this.file = file;
    this.shown = 0;
    this.item = made("li", "", "transfer");
    const title = made("div", "", "title");
    this.cancel = made("button", "Cancel");
    this.cancel.type = "button";
    this.cancel.hidden = true;
    this.cancel.setAttribute("aria-label", `Cancel ${file.name}`);
    title.append(made("strong", file.name), made("span", bytesInWords(file.size)), this.cancel);
    this.bars = { sent: this.bar("To the peer", "up"), returned: this.bar("And back", "down") };
    this.outcome = made("p", "Waiting …", "outcome");
    this.item.append(title, this.bars.sent.row, this.bars.returned.row, this.outcome);
    append(element("transfers"), this.item, MAX_ENTRIES, (item) => item.matches(FINISHED));
  }

  bar(label, className) {
    const row = made("label", label, `bar ${className}`);
    const progress = made("progress", "");
    progress.max = Math.max(1, this.file.size);
    progress.value = 0;
    const percent = made("span", "0 %");
    row.append(progress, percent);
    return { row, progress, percent };
  }

  begin(cancel) {
    this.item.dataset.state = "running";
    this.outcome.textContent = "";
    this.cancel.hidden = false;
    this.cancel.addEventListener("click", cancel);
  }

  progress(sent, returned) {
    const now = performance.now();
    if (now - this.shown < SHOW_MILLISECONDS) return;
    this.shown = now;
    this.set("sent", sent / this.file.size);
    this.set("returned", returned / this.file.size);
  }

  set(name, share) {
    const { progress, percent } = this.bars[name];
    const whole = Number.isFinite(share) ? share : 0;
    progress.value = whole * progress.max;
    percent.textContent = `${Math.floor(whole * 100)} %`;
  }

  succeeded(sent, returned, seconds) {
    for (const name of ["sent", "returned"]) this.set(name, 1);
    const same = sent === returned;
    const rate = this.file.size >= 1e5 ? `, ${rateInWords(this.file.size / seconds)} each way` : "";
    this.end(same ? "identical" : "different", same ? `Came back identical in ${seconds.toFixed(2)} s${rate}` : "What came back is different");
    const hashes = made("dl", "", "hashes");
    hashes.append(made("dt", "SHA-256 sent"), made("dd", sent), made("dt", "SHA-256 returned"), made("dd", returned));
    this.item.append(hashes);
  }

  failed(why) {
    this.end("failed", `Not transferred: ${why}`);
  }

  end(state, text) {
    // The focus would be lost with the button, and nothing that is disabled can have it.
    if (document.activeElement === this.cancel) element(element("file").disabled ? "again" : "file").focus();
    this.cancel.remove();
    this.item.dataset.state = state;
    this.outcome.textContent = text;
    element("file-status").textContent = `${this.file.name}: ${text}`;
  }
}
