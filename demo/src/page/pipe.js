// A data channel for one task: it waits for room and for answers, and every wait ends with an error when the channel does.

const HIGH_WATER = 1 << 20;
const LOW_WATER = 1 << 18;

export class Pipe {
  constructor(channel) {
    this.channel = channel;
    this.failure = null;
    this.check = () => {};
    this.onmessage = () => {};
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = LOW_WATER;
    channel.onopen = () => this.check();
    channel.onbufferedamountlow = () => this.check();
    channel.onmessage = ({ data }) => {
      this.onmessage(data);
      this.check();
    };
    channel.onerror = ({ error }) => this.end(`the channel failed: ${error?.message ?? "no reason given"}`);
    channel.onclose = () => this.end("the channel was closed");
  }

  /** Waits until `ready()` is true; it is asked whenever something has happened on the channel. One wait at a time. */
  until(ready) {
    return new Promise((resolve, reject) => {
      this.check = () => {
        if (this.failure) reject(this.failure);
        else if (ready()) resolve();
        else return;
        this.check = () => {};
      };
      this.check();
    });
  }

  opened() {
    return this.until(() => this.channel.readyState === "open");
  }

  /** Waits until little enough is buffered to send more, and `also()` is true. */
  room(also = () => true) {
    // A full channel is filled again only when it is nearly empty: waking up for each message would be slow.
    let limit = HIGH_WATER;
    return this.until(() => {
      if (this.channel.bufferedAmount <= limit && also()) return true;
      limit = LOW_WATER;
      return false;
    });
  }

  send(data) {
    this.channel.send(data);
  }

  /** Bytes of `sent` that have left the buffer. */
  left(sent) {
    return Math.max(0, sent - this.channel.bufferedAmount);
  }

  /** Closes the channel; `why` is what its waits end with. */
  close(why = "the channel was closed") {
    this.channel.close();
    this.end(why);
  }

  end(why) {
    this.failure ??= new Error(why);
    this.check();
  }
}
