/** The piano roll: keys, grid and the visible notes on a canvas. */

import { firstFrom, isBlackKey, noteName } from "./music.js";
import { palette } from "./palette.js";
import { Surface } from "./surface.js";
import { KEYS_PX } from "./view.js";

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./types.js").Palette} Palette */
/** @typedef {import("./view.js").View} View */
/** @typedef {CanvasRenderingContext2D} Context */
/** @typedef {"body"|"start"|"end"} Part */

const NARROWEST_NOTE_PX = 2;
const GRID_STEPS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300];
const GRID_PX = 70; // least distance of labelled lines
const NAMED_KEYS_PX = 12; // rows from this height on have the names of all white keys

export class Roll {
  /** @param {HTMLCanvasElement} canvas @param {View} view */
  constructor(canvas, view) {
    this.canvas = canvas;
    this.view = view;
    /** @type {Note[]} sorted by onset */
    this.notes = [];
    /** @type {Note[]} notes of a live recording that sound still */
    this.sounding = [];
    /** @type {string|null} */
    this.selected = null;
    /** @type {Note|null} the note that is being dragged or drawn, in place of the one with its id */
    this.draft = null;
    this._longestS = 0;
    this.surface = new Surface(
      canvas,
      (context, width, height) => this._paint(context, width, height),
      (width, height) => view.resize(width, height),
    );
    view.addEventListener("change", () => this.surface.request());
  }

  /** @param {Note[]} notes sorted by onset @param {Note[]} [sounding] */
  setNotes(notes, sounding = []) {
    this.notes = notes;
    this.sounding = sounding;
    this._longestS = notes.reduce((longest, note) => Math.max(longest, note.offset_s - note.onset_s), 0);
    this.surface.request();
  }

  /** @param {string|null} id */
  select(id) {
    this.selected = id;
    this.surface.request();
  }

  /** @param {Note|null} note */
  setDraft(note) {
    this.draft = note;
    this.surface.request();
  }

  /**
   * Return the uppermost note at a point, and the part of it.
   * @param {number} x @param {number} y @param {number} handlePx width of the ends
   * @returns {{note: Note, part: Part}|null}
   */
  hit(x, y, handlePx) {
    const timeS = this.view.time(x);
    const reachS = handlePx / this.view.pxPerS;
    const pitch = this.view.pitch(y);
    let found = null;
    for (const note of this._between(timeS - reachS, timeS + reachS)) {
      if (note.midi_note !== pitch) continue;
      const isSelected = note.id === this.selected;
      const slackS = isSelected ? reachS : NARROWEST_NOTE_PX / this.view.pxPerS;
      if (timeS < note.onset_s - slackS || timeS > note.offset_s + slackS) continue;
      if (isSelected) return { note, part: this._part(note, timeS, reachS) };
      found = note;
    }
    return found && { note: found, part: this._part(found, timeS, reachS) };
  }

  /** @param {Note} note @param {number} timeS @param {number} reachS @returns {Part} */
  _part(note, timeS, reachS) {
    const endsS = Math.min(reachS, (note.offset_s - note.onset_s) / 4); // half of a short note is its body
    if (timeS < note.onset_s + endsS) return "start";
    return timeS > note.offset_s - endsS ? "end" : "body";
  }

  /** Yield the notes that sound between two times. @param {number} startS @param {number} endS */
  *_between(startS, endS) {
    for (let i = firstFrom(this.notes, startS - this._longestS); i < this.notes.length; i++) {
      const note = this.notes[i];
      if (note.onset_s > endS) return;
      if (note.offset_s >= startS) yield note;
    }
  }

  /** @param {Context} context @param {number} width @param {number} height */
  _paint(context, width, height) {
    const colours = palette();
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, width, height);
    this._paintRows(context, width, colours);
    paintTimeLines(context, this.view, height, colours);
    this._paintNotes(context, this._between(this.view.startS, this.view.endS), colours);
    context.globalAlpha = 0.6;
    this._paintNotes(context, this.sounding, colours);
    context.globalAlpha = 1;
    const marked = this.draft ?? this.notes.find((note) => note.id === this.selected);
    if (marked) {
      this._paintNotes(context, [marked], colours);
      this._frame(context, marked, colours);
    }
    this._paintKeys(context, height, colours, marked?.midi_note);
  }

  /**
   * Paint notes, those of one colour together, which is faster.
   * @param {Context} context
   * @param {Iterable<Note>} notes
   * @param {Palette} colours
   */
  _paintNotes(context, notes, colours) {
    const { view } = this;
    /** @type {Note[][]} */
    const byVelocity = Array.from({ length: 128 }, () => []);
    for (const note of notes) byVelocity[note.velocity].push(note);
    const gap = view.pxPerPitch > 6 ? 1 : 0;
    const height = view.pxPerPitch - gap;
    for (let velocity = 0; velocity < 128; velocity++) {
      context.fillStyle = colours.velocity[velocity];
      for (const note of byVelocity[velocity]) {
        if (this.draft && note !== this.draft && note.id === this.draft.id) continue; // the draft is in its place
        const left = Math.max(view.x(note.onset_s), KEYS_PX - 4);
        const right = Math.min(view.x(note.offset_s), view.width + 4);
        context.fillRect(left, view.y(note.midi_note) + gap, Math.max(right - left - gap, NARROWEST_NOTE_PX), height);
      }
    }
  }

  /** @param {Context} context @param {Note} note @param {Palette} colours */
  _frame(context, note, colours) {
    const { view } = this;
    const left = view.x(note.onset_s);
    const width = Math.max(view.x(note.offset_s) - left, NARROWEST_NOTE_PX);
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    context.strokeRect(left - 1, view.y(note.midi_note) - 1, width + 2, view.pxPerPitch + 2);
  }

  /** @param {Context} context @param {number} width @param {Palette} colours */
  _paintRows(context, width, colours) {
    const { view } = this;
    for (let pitch = Math.floor(view.bottom); pitch <= view.top; pitch++) {
      const y = view.y(pitch);
      if (isBlackKey(((pitch % 12) + 12) % 12)) {
        context.fillStyle = colours.blackRow;
        context.fillRect(KEYS_PX, y, width, view.pxPerPitch);
      }
      if (pitch % 12 === 0) {
        context.fillStyle = colours.strongLine; // below every C
        context.fillRect(KEYS_PX, y + view.pxPerPitch - 0.5, width, 0.5);
      }
    }
  }

  /** @param {Context} context @param {number} height @param {Palette} colours @param {number} [marked] */
  _paintKeys(context, height, colours, marked) {
    const { view } = this;
    context.fillStyle = colours.whiteKey;
    context.fillRect(0, 0, KEYS_PX, height);
    context.font = `${Math.min(11, Math.max(8, view.pxPerPitch))}px system-ui, sans-serif`;
    context.textAlign = "right";
    context.textBaseline = "middle";
    for (let pitch = Math.max(0, Math.floor(view.bottom)); pitch <= Math.min(127, view.top); pitch++) {
      const y = view.y(pitch);
      const black = isBlackKey(pitch);
      context.fillStyle = pitch === marked ? colours.accent : colours.blackKey;
      if (black || pitch === marked) context.fillRect(0, y, black ? KEYS_PX * 0.6 : KEYS_PX, view.pxPerPitch);
      if (pitch % 12 === 0 || pitch % 12 === 5) {
        context.fillStyle = colours.strongLine; // between B and C, and between E and F
        context.fillRect(0, y + view.pxPerPitch - 0.5, KEYS_PX, 1);
      }
      if (pitch % 12 === 0 || (!black && view.pxPerPitch >= NAMED_KEYS_PX)) {
        context.fillStyle = pitch === marked ? colours.whiteKey : "#3a3e4a";
        context.fillText(noteName(pitch), KEYS_PX - 4, y + view.pxPerPitch / 2 + 0.5);
      }
    }
    context.fillStyle = colours.strongLine;
    context.fillRect(KEYS_PX - 1, 0, 1, height);
  }
}

/** Return the seconds between labelled lines at a view's zoom. @param {View} view */
export function gridStepS(view) {
  return GRID_STEPS_S.find((step) => step * view.pxPerS >= GRID_PX) ?? 600;
}

/** @param {Context} context @param {View} view @param {number} height @param {Palette} colours */
export function paintTimeLines(context, view, height, colours) {
  const step = gridStepS(view);
  context.fillStyle = colours.line;
  for (let i = Math.ceil(view.startS / step); i * step <= view.endS; i++) {
    context.fillRect(Math.round(view.x(i * step)), 0, 1, height);
  }
}
