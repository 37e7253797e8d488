/** All notes of the recording in a narrow strip, with a frame around what the piano roll shows; scrolls it. */

import { palette } from "./palette.js";
import { Surface } from "./surface.js";

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./view.js").View} View */

export class Overview {
  /** @param {HTMLCanvasElement} canvas @param {View} view */
  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = view;
    /** @type {Note[]} */
    this.notes = [];
    this._picture = document.createElement("canvas"); // of the notes, which scrolling does not change
    this._stale = true;
    this._state = ""; // what the picture was drawn for
    this.surface = new Surface(
      canvas,
      (context, width, height) => this._paint(context, width, height),
      () => (this._stale = true),
    );
    view.addEventListener("change", () => this.surface.request());
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this._scroll(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this._scroll(event);
    });
  }

  /** @param {Note[]} notes */
  setNotes(notes) {
    this.notes = notes;
    this._stale = true;
    this.surface.request();
  }

  /** @param {PointerEvent} event */
  _scroll(event) {
    const { view } = this;
    const timeS = (event.offsetX / this.surface.width) * view.durationS;
    view.scrollTo(timeS - (view.endS - view.startS) / 2);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height */
  _paint(context, width, height) {
    const { view } = this;
    const colours = palette();
    const state = `${view.durationS} ${colours.paper}`;
    if (this._stale || state !== this._state) this._draw(width, height);
    this._state = state;
    this._stale = false;
    context.drawImage(this._picture, 0, 0, width, height);
    const duration = Math.max(view.durationS, 1e-3);
    const left = (view.startS / duration) * width;
    const right = Math.min(1, view.endS / duration) * width;
    context.globalAlpha = 0.55;
    context.fillStyle = colours.line;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = colours.text;
    context.lineWidth = 1.5;
    context.strokeRect(left + 1, 1, Math.max(right - left - 2, 4), height - 2);
  }

  /** @param {number} width @param {number} height */
  _draw(width, height) {
    const colours = palette();
    const { lowest, highest, durationS } = this.view;
    this._picture.width = this.canvas.width;
    this._picture.height = this.canvas.height;
    const context = /** @type {CanvasRenderingContext2D} */ (this._picture.getContext("2d", { alpha: false }));
    context.scale(this.canvas.width / width, this.canvas.height / height);
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    const pxPerS = width / Math.max(durationS, 1e-3);
    const row = (height - 6) / (highest - lowest + 1);
    for (const note of this.notes) {
      context.fillStyle = colours.velocity[note.velocity];
      const length = Math.max(1, (note.offset_s - note.onset_s) * pxPerS);
      context.fillRect(note.onset_s * pxPerS, 3 + (highest - note.midi_note) * row, length, Math.max(1, row));
    }
  }
}
