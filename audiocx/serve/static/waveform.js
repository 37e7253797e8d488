/** The waveform with the time axis, aligned with the piano roll below it. */

import { formatTime } from "./music.js";
import { palette } from "./palette.js";
import { gridStepS, paintTimeLines } from "./roll.js";
import { Surface } from "./surface.js";
import { KEYS_PX } from "./view.js";

/** @typedef {import("./view.js").View} View */

const AXIS_PX = 18;
const FULL_SCALE = 127;

export class Waveform {
  /** @param {HTMLCanvasElement} canvas @param {View} view */
  constructor(canvas, view) {
    this.view = view;
    /** @type {Int8Array} lowest and highest value of every piece of the whole length, in turn */
    this.peaks = new Int8Array();
    this._perS = 1; // pieces a second
    this._loudest = 1;
    this.surface = new Surface(canvas, (context, width, height) => this._paint(context, width, height));
    view.addEventListener("change", () => this.surface.request());
  }

  /** @param {Int8Array} peaks @param {number} durationS of all of them */
  setPeaks(peaks, durationS) {
    this.peaks = peaks;
    this._perS = peaks.length / 2 / Math.max(durationS, 1e-3);
    this._loudest = peaks.reduce((loudest, value) => Math.max(loudest, Math.abs(value)), FULL_SCALE / 20);
    this.surface.request();
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height */
  _paint(context, width, height) {
    const { view } = this;
    const colours = palette();
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    paintTimeLines(context, view, height, colours);
    this._paintPeaks(context, width, height, colours.wave);
    const step = gridStepS(view);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "top";
    context.textAlign = "left";
    context.fillStyle = colours.text;
    for (let i = Math.ceil(view.startS / step); i * step <= view.endS; i++) {
      context.fillText(formatTime(i * step, step < 0.1 ? 2 : step < 1 ? 1 : 0), view.x(i * step) + 3, 3);
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height @param {string} colour */
  _paintPeaks(context, width, height, colour) {
    const { view, peaks } = this;
    const pieces = peaks.length / 2;
    if (!pieces) return;
    const perS = this._perS;
    const middle = (AXIS_PX + height) / 2;
    const scale = (height - AXIS_PX - 4) / 2 / this._loudest;
    context.fillStyle = colour;
    const last = Math.min(width, view.x(pieces / perS));
    for (let x = KEYS_PX; x < last; x++) {
      const first = Math.max(0, Math.floor(view.time(x) * perS));
      const end = Math.min(pieces, Math.max(first + 1, Math.floor(view.time(x + 1) * perS)));
      let low = FULL_SCALE;
      let high = -FULL_SCALE;
      for (let i = first; i < end; i++) {
        low = Math.min(low, peaks[2 * i]);
        high = Math.max(high, peaks[2 * i + 1]);
      }
      if (low <= high) context.fillRect(x, middle - high * scale - 0.5, 1, (high - low) * scale + 1);
    }
  }
}
