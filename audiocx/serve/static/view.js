/** Which part of the piano roll is on screen: times and pitches to pixels and back. */

import { HIGHEST_KEY, LOWEST_KEY } from "./music.js";

/** @typedef {import("./types.js").Note} Note */

export const KEYS_PX = 46; // width of the piano keys, left of the roll and empty beside the waveform
const NARROWEST_PX_PER_S = 0.5;
const WIDEST_PX_PER_S = 2000;
const PX_PER_PITCH = [4, 40];
const FEWEST_ROWS = 24; // that a fit shows
const FOLLOW_FROM = 0.85; // the page turns when the playhead has gone this far,
const FOLLOW_TO = 0.1; // and it is here then
const AFTER_END_S = 1;

/** Fires "change" whenever the visible part changes. */
export class View extends EventTarget {
  constructor() {
    super();
    this.startS = 0;
    this.pxPerS = 100;
    this.top = HIGHEST_KEY + 1; // the pitch at the upper edge; a pitch fills the row from itself to the next
    this.pxPerPitch = 10;
    this.width = 0;
    this.height = 0;
    this.durationS = 0;
    this.lowest = LOWEST_KEY;
    this.highest = HIGHEST_KEY;
    this.moved = false; // whether the user chose what is visible
    this._range = [48, 84]; // lowest and highest pitch to show until then
  }

  /** Width of the roll itself, in pixels. */
  get plotWidth() {
    return Math.max(1, this.width - KEYS_PX);
  }

  get endS() {
    return this.startS + this.plotWidth / this.pxPerS;
  }

  get bottom() {
    return this.top - this.height / this.pxPerPitch;
  }

  /** @param {number} timeS */
  x(timeS) {
    return KEYS_PX + (timeS - this.startS) * this.pxPerS;
  }

  /** @param {number} x */
  time(x) {
    return this.startS + (x - KEYS_PX) / this.pxPerS;
  }

  /** Upper edge of a pitch's row. @param {number} midiNote */
  y(midiNote) {
    return (this.top - midiNote - 1) * this.pxPerPitch;
  }

  /** @param {number} y */
  pitch(y) {
    return Math.ceil(this.top - y / this.pxPerPitch) - 1;
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    const fitted = this.pxPerS <= this._fittingPxPerS() * 1.01;
    this.width = width;
    this.height = height;
    if (!this.moved) this._fitPitchRange();
    if (fitted) this.fitTime();
    else this._changed();
  }

  /** @param {number} durationS */
  setDuration(durationS) {
    this.durationS = durationS;
    this._changed();
  }

  /** Zoom the time axis around a point. @param {number} factor @param {number} [x] */
  zoomTime(factor, x = KEYS_PX + this.plotWidth / 2) {
    this.moved = true;
    const timeS = this.time(x);
    this.pxPerS = clamp(this.pxPerS * factor, Math.min(this._fittingPxPerS(), 50), WIDEST_PX_PER_S);
    this.startS = timeS - (x - KEYS_PX) / this.pxPerS;
    this._changed();
  }

  /** Zoom the pitch axis around a point. @param {number} factor @param {number} [y] */
  zoomPitch(factor, y = this.height / 2) {
    this.moved = true;
    const pitch = this.top - y / this.pxPerPitch;
    this.pxPerPitch = clamp(this.pxPerPitch * factor, PX_PER_PITCH[0], PX_PER_PITCH[1]);
    this.top = pitch + y / this.pxPerPitch;
    this._changed();
  }

  /** Move what is visible by pixels. @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.moved = true;
    this.startS += dx / this.pxPerS;
    this.top -= dy / this.pxPerPitch;
    this._changed();
  }

  /** @param {number} startS */
  scrollTo(startS) {
    this.startS = startS;
    this._changed();
  }

  /** Show the beginning, or the whole length. @param {number} [mostS] */
  fitTime(mostS = Infinity) {
    this.pxPerS = Math.min(Math.max(this._fittingPxPerS(), this.plotWidth / mostS), WIDEST_PX_PER_S);
    this.startS = 0;
    this._changed();
  }

  /** Show the pitches of the notes, at a size that fills the height. @param {Note[]} notes */
  fitPitches(notes) {
    let low = 128;
    let high = 0;
    for (const { midi_note } of notes) {
      low = Math.min(low, midi_note);
      high = Math.max(high, midi_note);
    }
    if (low <= high) this._range = [low, high];
    this.lowest = Math.min(LOWEST_KEY, low);
    this.highest = Math.max(HIGHEST_KEY, high);
    this._fitPitchRange();
    this._changed();
  }

  _fitPitchRange() {
    const [low, high] = this._range;
    const rows = Math.max(FEWEST_ROWS, high - low + 5);
    this.pxPerPitch = clamp(this.height / rows, PX_PER_PITCH[0], PX_PER_PITCH[1] / 2);
    this.top = (low + high + 1) / 2 + this.height / this.pxPerPitch / 2;
  }

  /** Scroll just so far that a note is visible. @param {Note} note */
  reveal(note) {
    if (note.onset_s < this.startS || note.onset_s > this.endS)
      this.startS = note.onset_s - 0.2 * (this.endS - this.startS);
    const hidden = Math.max(note.midi_note + 2 - this.top, 0) || Math.min(note.midi_note - 1 - this.bottom, 0);
    this.moved ||= hidden !== 0;
    this.top += hidden;
    this._changed();
  }

  /** Turn the page when the playhead leaves it. @param {number} timeS */
  follow(timeS) {
    const seenS = this.endS - this.startS;
    if (timeS < this.startS || timeS > this.startS + FOLLOW_FROM * seenS) {
      const startS = this._clampedStart(timeS - FOLLOW_TO * seenS);
      if (startS !== this.startS) this.scrollTo(startS);
    }
  }

  _fittingPxPerS() {
    return Math.max(this.plotWidth / Math.max(1, this.durationS), NARROWEST_PX_PER_S);
  }

  /** @param {number} startS */
  _clampedStart(startS) {
    const seenS = this.plotWidth / this.pxPerS;
    const spareS = seenS < this.durationS ? Math.min(AFTER_END_S, 0.1 * seenS) : 0;
    return clamp(startS, 0, Math.max(0, this.durationS + spareS - seenS));
  }

  _changed() {
    this.startS = this._clampedStart(this.startS);
    const rows = this.height / this.pxPerPitch;
    const highest = this.highest + 1;
    this.top =
      rows >= highest - this.lowest ? (highest + this.lowest + rows) / 2 : clamp(this.top, this.lowest + rows, highest);
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {number} value @param {number} low @param {number} high */
export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
