// What every part of the page needs to show something.

export const element = (id) => document.getElementById(id);

/** Adds an entry at the end of a list, and forgets the first ones beyond `most`, of those that may be forgotten. */
export function append(list, entry, most, mayForget = () => true) {
  list.append(entry);
  const excess = Math.max(0, list.childElementCount - most);
  for (const old of [...list.children].filter(mayForget).slice(0, excess)) old.remove();
  list.scrollTop = list.scrollHeight;
}

/** An element with text in it. */
export function made(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/** One state of one side, in the table. */
export function showState(side, name, value) {
  const pill = made("span", value === "none" ? "–" : value, "state");
  pill.dataset.state = value;
  element(`${side}-${name}`).replaceChildren(pill);
}

export function summarize(state, text) {
  element("summary").dataset.state = state;
  element("summary").textContent = text;
}

/** What is wrong, what to do, and what is known about it. */
export function showProblem({ what, advice, details = [] }) {
  element("problem-what").textContent = what;
  element("problem-advice").textContent = advice;
  element("problem-details").replaceChildren(...details.map((detail) => made("li", detail)));
  element("problem-more").hidden = details.length === 0;
  element("problem").hidden = false;
}

export function hideProblem() {
  element("problem").hidden = true;
}

const UNITS = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]];

export function bytesInWords(bytes) {
  // 999,950 bytes would round to 1000.0 kB.
  const [size, unit] = UNITS.find(([size]) => bytes >= size * 0.99995) ?? [1, bytes === 1 ? "byte" : "bytes"];
  const number = bytes / size;
  return `${size === 1 ? number : number.toFixed(number < 10 ? 2 : 1)} ${unit}`;
}

/** A rate; none where the clock is too coarse to tell one. */
export function rateInWords(bytesPerSecond) {
  if (!Number.isFinite(bytesPerSecond)) return "–";
  const megabytes = bytesPerSecond / 1e6;
  return `${megabytes.toFixed(megabytes < 10 ? 2 : 1)} MB/s`;
}

export function millisecondsInWords(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  // Some browsers count whole milliseconds.
  return seconds === 0 ? "< 1 ms" : `${(seconds * 1e3).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
}
