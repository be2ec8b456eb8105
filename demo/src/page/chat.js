// The chat on the data channel "chat": what is written comes back.

import { append, element, made, showProblem } from "./view.js";

const MAX_ENTRIES = 500;
/** The most texts that wait for their echo. */
const MAX_AWAITED = 500;

export class Chat {
  constructor() {
    this.channel = null;
    this.awaited = [];
    element("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
  }

  use(channel) {
    this.channel = channel;
    this.awaited = [];
    channel.binaryType = "arraybuffer";
    channel.addEventListener("message", ({ data }) => this.receive(channel, data));
    channel.addEventListener("close", () => channel === this.channel && this.enable(false));
  }

  enable(enabled) {
    const text = element("text");
    text.disabled = !enabled;
    element("send").disabled = !enabled;
    text.placeholder = enabled ? "Write something" : "Not connected";
    // Whoever is elsewhere on the page stays there.
    if (enabled && document.activeElement === document.body) text.focus({ preventScroll: true });
  }

  note(text) {
    this.say("note", text);
  }

  submit() {
    const text = element("text");
    if (text.value === "") return;
    try {
      this.channel.send(text.value);
    } catch (error) {
      showProblem({ what: `Not sent: ${error.message}`, advice: "The text is still in the field: try again, or press Connect again." });
      return;
    }
    this.awaited.push({ text: text.value, at: performance.now() });
    if (this.awaited.length > MAX_AWAITED) this.awaited.shift();
    this.say("browser", text.value, "you");
    text.value = "";
  }

  receive(channel, data) {
    if (channel !== this.channel) return;
    const sentAt = this.echoed(data);
    const took = sentAt === null ? "" : `, ${(performance.now() - sentAt).toFixed(1)} ms`;
    this.say("peer", typeof data === "string" ? data : `${data.byteLength} bytes`, `Rust peer${took}`);
  }

  /** When what came back was sent; null if it is no echo. Texts that the peer takes as commands have none, so those before it wait in vain. */
  echoed(data) {
    const index = this.awaited.findIndex(({ text }) => text === data);
    if (index < 0) return null;
    const { at } = this.awaited[index];
    this.awaited.splice(0, index + 1);
    return at;
  }

  say(side, text, signature) {
    const entry = made("li", text, side);
    if (signature) entry.append(made("small", signature));
    append(element("messages"), entry, MAX_ENTRIES);
  }
}
