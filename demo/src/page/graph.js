// A minute of throughput, both ways, as two lines.

import { element, rateInWords } from "./view.js";

const SAMPLES = 120;
const HEIGHT = 40;
/** The smallest top of the scale, so that chatter does not look like a flood: 1 MB/s. */
const SMALLEST_TOP = 1e6;
/** Samples closer together than this tell nothing: the browser's own figures are not that fresh. */
const SMALLEST_SECONDS = 0.1;

export class Graph {
  constructor() {
    this.up = [];
    this.down = [];
    this.last = null;
    this.draw();
  }

  /** The bytes that have gone and come by now; `null` while there is no connection. */
  count(bytes) {
    const now = performance.now();
    const { last } = this;
    const seconds = last ? (now - last.now) / 1e3 : Infinity;
    if (bytes && seconds < SMALLEST_SECONDS) return;
    this.last = bytes && { ...bytes, now };
    // Another pair counts from zero.
    const rate = (name) => (last && bytes ? Math.max(0, bytes[name] - last[name]) / seconds : 0);
    this.add(rate("sent"), rate("received"));
  }

  add(up, down) {
    for (const [line, value] of [[this.up, up], [this.down, down]]) {
      line.push(value);
      if (line.length > SAMPLES) line.shift();
    }
    element("rate-up").textContent = rateInWords(up);
    element("rate-down").textContent = rateInWords(down);
    this.draw();
  }

  draw() {
    const top = roundedUp(Math.max(SMALLEST_TOP, ...this.up, ...this.down));
    for (const [id, line] of [["graph-up", this.up], ["graph-down", this.down]]) {
      const points = line.map((value, index) => `${SAMPLES - line.length + 1 + index},${(HEIGHT * (1 - value / top)).toFixed(2)}`);
      element(id).setAttribute("points", points.join(" "));
    }
    element("graph-top").textContent = `${top / 1e6} MB/s`;
  }
}

/** The next of 1, 2, 5, 10, 20, 50, … */
function roundedUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= value) ?? 10 * power;
}
