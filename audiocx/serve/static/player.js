/** Plays a recording and its notes together, in step at any speed. */

import { firstFrom } from "./music.js";
import { Synth } from "./synth.js";

/** @typedef {import("./types.js").Note} Note */

const AHEAD_S = 0.4; // notes are handed to WebAudio so long before they sound: timers may be late
const TICK_MS = 60;
const OUT_OF_STEP_S = 0.06; // from this on the clock jumped; less is jitter of the media element's clock
const CORRECTION = 0.2; // share of the jitter that is corrected at once
// Slowed down, the sound is ahead of the media element's clock by so much of the recording (measured in Chromium 156).
const STRETCH_LEAD_S = 0.03;
const HEARD_S = 0.6; // length of a note that is clicked

/**
 * The clock is that of the recording's media element; without a recording it is that of WebAudio.
 *
 * Fires "state" when it begins or stops to play or moves while it is paused, and "failed" when the recording cannot be
 * played.
 */
export class Player extends EventTarget {
  /** @param {HTMLAudioElement} audio */
  constructor(audio) {
    super();
    this.audio = audio;
    audio.preservesPitch = true;
    this.playing = false;
    this.durationS = 0;
    this.speed = 1;
    this.balance = 0.5; // 0 is the recording alone, 1 the notes alone
    /** @type {Note[]} */
    this._notes = [];
    this._hasAudio = false;
    this._stoppedS = 0;
    this._anchor = { timeS: 0, contextS: 0 };
    this._scheduledS = 0; // notes that begin before are handed over
    /** @type {number|undefined} */
    this._timer = undefined;
    audio.addEventListener("ended", () => this._ended());
    audio.addEventListener("seeked", () => this._restart());
    audio.addEventListener("playing", () => this._restart());
    audio.addEventListener("waiting", () => this._synth?.stop());
    audio.addEventListener("error", () => {
      if (this._hasAudio) this._fail();
    });
  }

  /** Change the recording. @param {string|null} url null for notes alone @param {number} durationS */
  load(url, durationS) {
    this.pause();
    this._hasAudio = url !== null;
    if (url !== null) this.audio.src = url;
    else this.audio.removeAttribute("src");
    this._stoppedS = 0;
    this.durationS = durationS;
    this.dispatchEvent(new Event("state"));
  }

  /** @param {Note[]} notes sorted by onset */
  setNotes(notes) {
    this._notes = notes;
    if (this.playing) this._restart(true);
  }

  get timeS() {
    if (this._hasAudio) return this.audio.seeking || !this.playing ? this._stoppedS : this.audio.currentTime;
    return this.playing ? this._clock() : this._stoppedS;
  }

  async play() {
    if (this.playing || !this.durationS) return;
    const { context } = this._graph();
    await context.resume();
    if (this._stoppedS >= this.durationS - 0.01) this._stoppedS = 0;
    this.playing = true;
    this._anchor = { timeS: this._stoppedS, contextS: context.currentTime };
    this._scheduledS = this._stoppedS;
    if (this._hasAudio) {
      this.audio.playbackRate = this.speed;
      if (Math.abs(this.audio.currentTime - this._stoppedS) > 0.001) this.audio.currentTime = this._stoppedS;
      try {
        await this.audio.play();
      } catch (error) {
        if (/** @type {Error} */ (error).name !== "AbortError") this._fail(); // AbortError: paused meanwhile
        return;
      }
    }
    if (!this.playing) return;
    clearInterval(this._timer);
    this._timer = setInterval(() => this._tick(), TICK_MS);
    this._tick();
    this.dispatchEvent(new Event("state"));
  }

  pause() {
    if (!this.playing) return;
    this._stoppedS = Math.min(this.timeS, this.durationS);
    this.playing = false;
    clearInterval(this._timer);
    this.audio.pause();
    this._synth?.stop();
    this.dispatchEvent(new Event("state"));
  }

  toggle() {
    if (this.playing) this.pause();
    else void this.play();
  }

  /** @param {number} timeS */
  seek(timeS) {
    this._stoppedS = Math.min(Math.max(0, timeS), this.durationS);
    this._synth?.stop();
    if (this._hasAudio) this.audio.currentTime = this._stoppedS;
    this._anchor = { timeS: this._stoppedS, contextS: this._context?.currentTime ?? 0 };
    this._scheduledS = this._stoppedS;
    this.dispatchEvent(new Event("state"));
  }

  /** @param {number} speed 0.5 to 1, without a change of pitch */
  setSpeed(speed) {
    if (this.playing) this._anchor = { timeS: this.timeS, contextS: this._graph().context.currentTime };
    this.speed = speed;
    this.audio.defaultPlaybackRate = speed; // which holds for recordings loaded later
    this.audio.playbackRate = speed;
    if (this.playing) this._restart(true);
  }

  /** @param {number} balance */
  setBalance(balance) {
    this.balance = balance;
    if (!this._context) return;
    const now = this._context.currentTime;
    this._recordingGain?.gain.setTargetAtTime(Math.min(1, 2 - 2 * balance), now, 0.02);
    this._notesGain?.gain.setTargetAtTime(Math.min(1, 2 * balance), now, 0.02);
  }

  /** Play one note now. @param {number} midiNote @param {number} velocity */
  async hear(midiNote, velocity) {
    const { context } = this._graph();
    await context.resume();
    this._single?.stop();
    this._single?.play(midiNote, velocity, context.currentTime + 0.005, HEARD_S);
  }

  /** Return the audio graph, which browsers allow only after the user did something. */
  _graph() {
    if (this._context) return { context: this._context };
    const context = new AudioContext();
    this._context = context;
    const limiter = new DynamicsCompressorNode(context, {
      threshold: -6,
      knee: 6,
      ratio: 12,
      attack: 0.003,
      release: 0.2,
    });
    limiter.connect(context.destination);
    this._recordingGain = new GainNode(context);
    this._notesGain = new GainNode(context);
    this._recordingGain.connect(limiter);
    this._notesGain.connect(limiter);
    // Both sounds go the same way, so that neither is later than the other.
    context.createMediaElementSource(this.audio).connect(this._recordingGain);
    this._synth = new Synth(context, this._notesGain);
    this._single = new Synth(context, limiter);
    this.setBalance(this.balance);
    return { context };
  }

  /** Return the time in the recording, by WebAudio's clock. */
  _clock() {
    const contextS = this._context?.currentTime ?? 0;
    return this._anchor.timeS + (contextS - this._anchor.contextS) * this.speed;
  }

  /** Return the time in the recording that sounds now. */
  _heardS() {
    return this.audio.currentTime + (this.speed < 1 ? STRETCH_LEAD_S : 0);
  }

  /** Hand over the notes that begin soon. */
  _tick() {
    if (!this.playing || !this._context) return;
    if (this._hasAudio) this._correctClock();
    const nowS = this._clock();
    if (!this._hasAudio && nowS >= this.durationS) {
      this._ended();
      return;
    }
    const untilS = nowS + AHEAD_S * this.speed;
    for (let i = firstFrom(this._notes, this._scheduledS); i < this._notes.length; i++) {
      const note = this._notes[i];
      if (note.onset_s >= untilS) break;
      const beginsS = this._anchor.contextS + (note.onset_s - this._anchor.timeS) / this.speed;
      const durationS = (note.offset_s - note.onset_s) / this.speed;
      this._synth?.play(note.midi_note, note.velocity, Math.max(beginsS, this._context.currentTime), durationS);
    }
    this._scheduledS = Math.max(this._scheduledS, untilS);
  }

  _correctClock() {
    if (this.audio.seeking || this.audio.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) return;
    const errorS = this._heardS() - this._clock();
    if (Math.abs(errorS) > OUT_OF_STEP_S) this._restart();
    else this._anchor.timeS += CORRECTION * errorS;
  }

  /** Schedule anew from now on. @param {boolean} [keepSounding] let the notes that have begun sound on */
  _restart(keepSounding = false) {
    if (!this.playing || !this._context) return;
    const contextS = this._context.currentTime;
    this._synth?.stop(keepSounding ? contextS : undefined);
    const timeS = this._hasAudio && !keepSounding ? this._heardS() : this._clock();
    this._anchor = { timeS, contextS };
    this._scheduledS = timeS;
    this._tick();
  }

  _ended() {
    this.pause();
    this._stoppedS = this.durationS;
    this.dispatchEvent(new Event("state"));
  }

  _fail() {
    this.pause();
    this.dispatchEvent(new Event("failed"));
  }
}
