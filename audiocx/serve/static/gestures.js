/** Mouse, pen, fingers and wheel on the piano roll: scroll, zoom, select, drag and draw notes. */

import { SHORTEST_NOTE_S } from "./music.js";
import { KEYS_PX } from "./view.js";

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./roll.js").Roll} Roll */
/** @typedef {import("./roll.js").Part} Part */
/**
 * @typedef {object} Actions What the gestures ask for.
 * @property {(note: Note|null) => void} select
 * @property {(midiNote: number, velocity: number) => void} hear
 * @property {(timeS: number) => void} seek
 * @property {(id: string, changes: Partial<Note>) => void} [change] absent where notes are only looked at
 * @property {(note: Note) => void} [add]
 */
/** @typedef {{kind: "keys"|"pan"|"draw"|Part, x: number, y: number, note: Note|null, moved: boolean}} Drag */

const STARTS_MOVING_PX = 4;
const HANDLE_PX = { mouse: 6, pen: 8, touch: 14 };
const WHEEL_ZOOM = 0.0022; // of the logarithm, for one pixel
const LINE_PX = 16;
const DEFAULT_VELOCITY = 80; // audiocx.notes.DEFAULT_VELOCITY

export class Gestures {
  /** @param {Roll} roll @param {Actions} actions */
  constructor(roll, actions) {
    this.roll = roll;
    this.view = roll.view;
    this.actions = actions;
    this.drawing = false; // whether dragging over an empty place draws a note
    /** @type {Map<number, PointerEvent>} */
    this._pointers = new Map();
    /** @type {Drag|null} */
    this._drag = null;
    const { canvas } = roll;
    canvas.addEventListener("pointerdown", (event) => this._down(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    canvas.addEventListener("pointerup", (event) => this._up(event));
    canvas.addEventListener("pointercancel", (event) => this._cancel(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** Whether a finger or a button is down. */
  get busy() {
    return this._pointers.size > 0;
  }

  /** Give up a drag, as Escape does. Return whether there was one. */
  abandon() {
    const had = this.roll.draft !== null;
    this._drag = null;
    this.roll.setDraft(null);
    return had;
  }

  /** @param {PointerEvent} event */
  _down(event) {
    if (event.button > 0) return;
    this.roll.canvas.setPointerCapture(event.pointerId);
    this._pointers.set(event.pointerId, event);
    if (this._pointers.size > 1) {
      this.abandon(); // the second finger of a pinch
      return;
    }
    const { offsetX: x, offsetY: y } = event;
    const drag = {
      kind: /** @type {Drag["kind"]} */ ("pan"),
      x,
      y,
      note: /** @type {Note|null} */ (null),
      moved: false,
    };
    this._drag = drag;
    if (x < KEYS_PX) {
      drag.kind = "keys";
      this.actions.hear(this.view.pitch(y), DEFAULT_VELOCITY);
      return;
    }
    const hit = this.roll.hit(x, y, this._handlePx(event));
    if (hit) {
      // A finger scrolls over the notes; it moves a note that was selected before.
      const movable = this.actions.change && (event.pointerType !== "touch" || hit.note.id === this.roll.selected);
      if (movable) drag.kind = hit.part;
      drag.note = hit.note;
      if (event.pointerType !== "touch") this._select(hit.note);
    } else if (this.drawing && this.actions.add) {
      drag.kind = "draw";
    }
  }

  /** @param {PointerEvent} event */
  _move(event) {
    const before = this._pointers.get(event.pointerId);
    if (!before) {
      this._showCursor(event);
      return;
    }
    if (this._pointers.size === 2) this._pinch(before, event);
    this._pointers.set(event.pointerId, event);
    const drag = this._drag;
    if (!drag) return;
    const { offsetX: x, offsetY: y } = event;
    drag.moved ||= Math.hypot(x - drag.x, y - drag.y) >= STARTS_MOVING_PX;
    if (!drag.moved) return;
    if (drag.kind === "keys") {
      if (this.view.pitch(y) !== this.view.pitch(before.offsetY))
        this.actions.hear(this.view.pitch(y), DEFAULT_VELOCITY);
    } else if (drag.kind === "pan") {
      this.view.pan(before.offsetX - x, before.offsetY - y);
    } else {
      const draft = this._draft(drag, x, y);
      const pitch = this.roll.draft?.midi_note ?? drag.note?.midi_note;
      if (pitch !== draft.midi_note) this.actions.hear(draft.midi_note, draft.velocity);
      this.roll.setDraft(draft);
    }
  }

  /**
   * Return the note that a drag to this point makes.
   * @param {Drag} drag
   * @param {number} x
   * @param {number} y
   * @returns {Note}
   */
  _draft(drag, x, y) {
    if (!drag.note) {
      const times = [this.view.time(drag.x), this.view.time(x)].map((timeS) => Math.max(0, timeS));
      const onset_s = Math.min(...times);
      const offset_s = Math.max(...times, onset_s + SHORTEST_NOTE_S);
      return { onset_s, offset_s, midi_note: this.view.pitch(drag.y), velocity: DEFAULT_VELOCITY, confidence: 1 };
    }
    const { note } = drag;
    const byS = (x - drag.x) / this.view.pxPerS;
    if (drag.kind === "start")
      return { ...note, onset_s: Math.max(0, Math.min(note.onset_s + byS, note.offset_s - SHORTEST_NOTE_S)) };
    if (drag.kind === "end")
      return { ...note, offset_s: Math.max(note.offset_s + byS, note.onset_s + SHORTEST_NOTE_S) };
    const movedS = Math.max(byS, -note.onset_s);
    const midi_note = Math.min(127, Math.max(0, note.midi_note + this.view.pitch(y) - this.view.pitch(drag.y)));
    return { ...note, onset_s: note.onset_s + movedS, offset_s: note.offset_s + movedS, midi_note };
  }

  /** @param {PointerEvent} event */
  _up(event) {
    this._pointers.delete(event.pointerId);
    const drag = this._drag;
    const draft = this.roll.draft;
    this._drag = null;
    this.roll.setDraft(null);
    if (!drag || drag.kind === "keys") return;
    if (draft && drag.note?.id) {
      const { onset_s, offset_s, midi_note } = draft;
      this.actions.change?.(drag.note.id, { onset_s, offset_s, midi_note });
    } else if (draft) {
      this.actions.add?.(draft);
    } else if (!drag.moved) {
      if (drag.note) {
        if (event.pointerType === "touch") this._select(drag.note);
      } else {
        this.actions.select(null);
        this.actions.seek(Math.max(0, this.view.time(drag.x)));
      }
    }
  }

  /** @param {PointerEvent} event */
  _cancel(event) {
    this._pointers.delete(event.pointerId);
    this.abandon();
  }

  /** @param {Note} note */
  _select(note) {
    this.actions.select(note);
    this.actions.hear(note.midi_note, note.velocity);
  }

  /** @param {PointerEvent} before @param {PointerEvent} now */
  _pinch(before, now) {
    const other = [...this._pointers.values()].find((pointer) => pointer.pointerId !== now.pointerId);
    if (!other) return;
    const apart = (/** @type {PointerEvent} */ p) => [
      Math.abs(p.offsetX - other.offsetX),
      Math.abs(p.offsetY - other.offsetY),
    ];
    const [wasX, wasY] = apart(before);
    const [isX, isY] = apart(now);
    const x = (now.offsetX + other.offsetX) / 2;
    const y = (now.offsetY + other.offsetY) / 2;
    this.view.pan((before.offsetX - now.offsetX) / 2, (before.offsetY - now.offsetY) / 2);
    if (wasX >= wasY) this.view.zoomTime(Math.max(isX, 1) / Math.max(wasX, 1), x);
    else this.view.zoomPitch(Math.max(isY, 1) / Math.max(wasY, 1), y);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const unit =
      event.deltaMode === WheelEvent.DOM_DELTA_LINE
        ? LINE_PX
        : event.deltaMode === WheelEvent.DOM_DELTA_PAGE
          ? this.view.height
          : 1;
    const dx = event.deltaX * unit;
    const dy = event.deltaY * unit;
    // The pinch of a touchpad comes as a wheel with Ctrl. It moves less than a wheel.
    if (event.ctrlKey || event.metaKey)
      this.view.zoomTime(Math.exp(-dy * WHEEL_ZOOM * (Math.abs(dy) < 50 ? 4 : 1)), event.offsetX);
    else if (event.altKey) this.view.zoomPitch(Math.exp(-dy * WHEEL_ZOOM), event.offsetY);
    else if (event.shiftKey) this.view.pan(dx || dy, 0);
    else this.view.pan(dx, dy);
  }

  /** @param {PointerEvent} event */
  _showCursor(event) {
    const hit = event.offsetX < KEYS_PX ? null : this.roll.hit(event.offsetX, event.offsetY, this._handlePx(event));
    let cursor = event.offsetX < KEYS_PX ? "pointer" : this.drawing ? "crosshair" : "default";
    if (hit) cursor = !this.actions.change ? "pointer" : hit.part === "body" ? "move" : "ew-resize";
    this.roll.canvas.style.cursor = cursor;
  }

  /** @param {PointerEvent} event */
  _handlePx(event) {
    return HANDLE_PX[/** @type {keyof typeof HANDLE_PX} */ (event.pointerType)] ?? HANDLE_PX.mouse;
  }
}
