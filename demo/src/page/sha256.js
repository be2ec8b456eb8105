// SHA-256 (FIPS 180-4), piece by piece. crypto.subtle wants a message as a whole, which a large file should not be in memory, and is missing where the page comes over plain
// HTTP from another machine.

const BLOCK = 64;

/** The first 32 bits of the fractional parts of a root of each of the first primes (FIPS 180-4 §4.2.2, §5.3.3). */
function fractions(count, root) {
  const primes = [];
  for (let candidate = 2; primes.length < count; candidate += 1) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate);
  }
  return Uint32Array.from(primes, (prime) => {
    const value = root(prime);
    return (value - Math.floor(value)) * 2 ** 32;
  });
}

const CONSTANTS = fractions(64, Math.cbrt);
const INITIAL = fractions(8, Math.sqrt);

export class Sha256 {
  constructor() {
    this.state = INITIAL.slice();
    this.schedule = new Uint32Array(64);
    this.rest = new Uint8Array(BLOCK);
    this.restLength = 0;
    this.length = 0;
  }

  /** Takes in bytes (a Uint8Array). */
  update(bytes) {
    this.length += bytes.length;
    let offset = 0;
    if (this.restLength > 0) {
      offset = Math.min(BLOCK - this.restLength, bytes.length);
      this.rest.set(bytes.subarray(0, offset), this.restLength);
      this.restLength += offset;
      if (this.restLength < BLOCK) return;
      this.compress(this.rest, 0);
    }
    for (; offset + BLOCK <= bytes.length; offset += BLOCK) this.compress(bytes, offset);
    this.rest.set(bytes.subarray(offset));
    this.restLength = bytes.length - offset;
  }

  /** The hash of all that was taken in, as hexadecimal digits. Nothing may follow. */
  digest() {
    // §5.1.1: a one, zeros, and the length in bits, up to a whole block.
    const padded = this.restLength + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    const end = new Uint8Array(padded - this.restLength);
    end[0] = 0x80;
    const view = new DataView(end.buffer);
    view.setUint32(end.length - 8, Math.floor(this.length / 2 ** 29));
    view.setUint32(end.length - 4, (this.length * 8) >>> 0);
    this.update(end);
    return Array.from(this.state, (word) => word.toString(16).padStart(8, "0")).join("");
  }

  /** §6.2.2 */
  compress(bytes, offset) {
    const { schedule, state } = this;
    for (let t = 0, at = offset; t < 16; t += 1, at += 4) {
      schedule[t] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
    }
    for (let t = 16; t < 64; t += 1) {
      const x = schedule[t - 15];
      const y = schedule[t - 2];
      const small0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const small1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      schedule[t] = (schedule[t - 16] + small0 + schedule[t - 7] + small1) | 0;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let t = 0; t < 64; t += 1) {
      const big1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const choice = (e & f) ^ (~e & g);
      const first = (h + big1 + choice + CONSTANTS[t] + schedule[t]) | 0;
      const big0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const majority = (a & b) ^ (a & c) ^ (b & c);
      h = g;
      g = f;
      f = e;
      e = (d + first) | 0;
      d = c;
      c = b;
      b = a;
      a = (first + big0 + majority) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, index) => (state[index] += word));
  }
}
