/** Records from the microphone and has it transcribed while it runs. */

import { openLive } from "./api.js";

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./types.js").Summary} Summary */
/**
 * @typedef {object} Listener
 * @property {(peak: number) => void} level of a block of sound, 0 to 1
 * @property {(timeS: number, notes: Note[], sounding: Note[], peaks: Int8Array) => void} update `peaks` are of the
 *   sound up to then: lowest and highest value of every block
 * @property {(summary: Summary) => void} done
 * @property {(error: string) => void} failed
 */

// What browsers do to voices would spoil music.
const CONSTRAINTS = { audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } };
const MOST_WAITING_S = 20; // sound that the server has not taken yet
const REFUSALS = new Map([
  [
    "NotAllowedError",
    "The browser may not use the microphone. Allow it for this page, in the address bar, and try again.",
  ],
  ["NotFoundError", "There is no microphone. Connect one and try again."],
  ["NotReadableError", "Another program holds the microphone. Close it and try again."],
]);

export class Recorder {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    /** @type {AudioContext|null} */
    this._context = null;
    /** @type {MediaStream|null} */
    this._stream = null;
    /** @type {WebSocket|null} */
    this._socket = null;
    /** @type {AudioWorkletNode|null} */
    this._collector = null;
    /** @type {number[]} */
    this._peaks = [];
    this._recordedS = 0;
  }

  /** @param {string} model @param {string} name of the recording */
  async start(model, name) {
    if (!navigator.mediaDevices) {
      throw new Error(
        "Browsers lend the microphone to pages of this machine or with https only. Open the page at 127.0.0.1.",
      );
    }
    try {
      this._stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
    } catch (error) {
      const { name, message } = /** @type {DOMException} */ (error);
      throw new Error(REFUSALS.get(name) ?? `The microphone cannot be used: ${message}`);
    }
    try {
      this._context = new AudioContext();
      await this._context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
      this._socket = this._open(this._context.sampleRate, model, name);
      this._collector = new AudioWorkletNode(this._context, "collector", { numberOfOutputs: 0 });
      this._collector.port.onmessage = ({ data }) => this._send(data);
      this._context.createMediaStreamSource(this._stream).connect(this._collector);
    } catch (error) {
      this._release();
      throw error;
    }
  }

  /** End the recording; "done" comes with its last notes. */
  stop() {
    this._collector?.port.postMessage("end");
    for (const track of this._stream?.getTracks() ?? []) track.stop();
  }

  /** @param {number} rate @param {string} model @param {string} name */
  _open(rate, model, name) {
    const socket = openLive(rate, model, name);
    let finished = false;
    let reason = "The connection to the server broke; the recording ends here.";
    const fail = (/** @type {string} */ error) => {
      if (finished) return;
      finished = true;
      this._release();
      this.listener.failed(error);
    };
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.error) {
        reason = message.error; // notes may follow: of what came before
        this.stop();
      }
      if (message.notes) this._update(message);
      if (message.done) {
        finished = true;
        this._release();
        this.listener.done(message.done);
      }
    };
    socket.onclose = () => fail(reason);
    return socket;
  }

  /** @param {{time_s: number, notes: Note[], sounding: Note[]}} message */
  _update({ time_s, notes, sounding }) {
    const blocks = Math.round((this._peaks.length / 2) * Math.min(1, time_s / Math.max(this._recordedS, 1e-3)));
    this.listener.update(time_s, notes, sounding, Int8Array.from(this._peaks.slice(0, 2 * blocks)));
  }

  /** @param {Float32Array|null} samples null after the last */
  _send(samples) {
    const socket = this._socket;
    if (!socket || !this._context) return;
    if (samples === null) {
      this._whenOpen(() => socket.send(JSON.stringify({ end: true })));
      return;
    }
    const low = samples.reduce((lowest, value) => Math.min(lowest, value), 1);
    const high = samples.reduce((highest, value) => Math.max(highest, value), -1);
    this._peaks.push(Math.round(127 * Math.max(low, -1)), Math.round(127 * Math.min(high, 1)));
    this._recordedS += samples.length / this._context.sampleRate;
    this.listener.level(Math.max(-low, high, 0));
    this._whenOpen(() => socket.send(samples));
    if (socket.bufferedAmount > MOST_WAITING_S * 4 * this._context.sampleRate) {
      this.stop();
      this._release();
      this.listener.failed("The transcription does not keep up with the sound; record to a file and drop it here.");
    }
  }

  /** Do something now, or in its turn when the socket is open. @param {() => void} action */
  _whenOpen(action) {
    if (this._socket?.readyState === WebSocket.CONNECTING)
      this._socket.addEventListener("open", action, { once: true });
    else if (this._socket?.readyState === WebSocket.OPEN) action();
  }

  _release() {
    for (const track of this._stream?.getTracks() ?? []) track.stop();
    void this._context?.close();
    const socket = this._socket;
    this._context = this._stream = this._socket = this._collector = null;
    if (socket) socket.onclose = null;
    socket?.close();
  }
}
