// The chat on the data channel "chat": what is written comes back.

import { append, element, made, showProblem } from "./view.js";

const MAX_ENTRIES = 500;

export class Chat {
  constructor() {
    this.channel = null;
    this.sentAt = [];
    element("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
  }

  use(channel) {
    this.channel = channel;
    this.sentAt = [];
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
    this.sentAt.push(performance.now());
    this.say("browser", text.value, "you");
    text.value = "";
  }

  receive(channel, data) {
    if (channel !== this.channel) return;
    const sentAt = this.sentAt.shift();
    const took = sentAt === undefined ? "" : `, ${(performance.now() - sentAt).toFixed(1)} ms`;
    this.say("peer", typeof data === "string" ? data : `${data.byteLength} bytes`, `Rust peer${took}`);
  }

  say(side, text, signature) {
    const entry = made("li", text, side);
    if (signature) entry.append(made("small", signature));
    append(element("messages"), entry, MAX_ENTRIES);
  }
}
