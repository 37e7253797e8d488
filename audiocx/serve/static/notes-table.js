/** The notes as a table, a page of rows at a time: what the piano roll shows, without looking at it. */

import { firstFrom, noteName } from "./music.js";

/** @typedef {import("./types.js").Note} Note */

const ROWS = 100;

export class NotesTable {
  /**
   * @param {HTMLDetailsElement} details with a table and buttons to turn pages
   * @param {{select: (id: string) => void, remove: (id: string) => void}} actions
   */
  constructor(details, actions) {
    this.details = details;
    /** @type {Note[]} */
    this.notes = [];
    /** @type {string|null} */
    this._selected = null;
    this._first = 0;
    this._body = /** @type {HTMLTableSectionElement} */ (details.querySelector("tbody"));
    this._range = /** @type {HTMLElement} */ (details.querySelector(".range"));
    this._previous = /** @type {HTMLButtonElement} */ (details.querySelector(".previous"));
    this._next = /** @type {HTMLButtonElement} */ (details.querySelector(".next"));
    this._previous.addEventListener("click", () => this._turn(-ROWS));
    this._next.addEventListener("click", () => this._turn(ROWS));
    details.addEventListener("toggle", () => this._fill());
    this._body.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest("button");
      const id = button?.closest("tr")?.dataset.id;
      if (!button || !id) return;
      const index = [...this._body.rows].findIndex((row) => row.dataset.id === id);
      if (button.value === "remove") actions.remove(id);
      else actions.select(id);
      const row = this._body.rows[Math.min(index, this._body.rows.length - 1)]; // focus stays in the table
      /** @type {HTMLElement|undefined} */ (row?.querySelector(`button[value=${button.value}]`) ?? undefined)?.focus();
    });
  }

  /** @param {Note[]} notes */
  setNotes(notes) {
    this.notes = notes;
    this._fill();
  }

  /** Mark a note and turn to its page. @param {Note|undefined} note */
  select(note) {
    this._selected = note?.id ?? null;
    if (note) this._first = Math.floor(this.notes.indexOf(note) / ROWS) * ROWS;
    this._fill();
  }

  /** Turn to the page of a time. @param {number} timeS */
  showTime(timeS) {
    this._first = Math.floor(firstFrom(this.notes, timeS) / ROWS) * ROWS;
    this._fill();
  }

  /** @param {number} by */
  _turn(by) {
    this._first += by;
    this._fill();
  }

  _fill() {
    if (!this.details.open) return;
    this._first = Math.max(0, Math.min(this._first, Math.floor((this.notes.length - 1) / ROWS) * ROWS));
    const shown = this.notes.slice(this._first, this._first + ROWS);
    this._body.replaceChildren(...shown.map((note) => this._row(note)));
    this._range.textContent = shown.length
      ? `Notes ${this._first + 1} to ${this._first + shown.length} of ${this.notes.length}`
      : "No notes";
    this._previous.disabled = this._first === 0;
    this._next.disabled = this._first + ROWS >= this.notes.length;
  }

  /** @param {Note} note */
  _row(note) {
    const row = document.createElement("tr");
    row.dataset.id = note.id;
    row.setAttribute("aria-selected", String(note.id === this._selected));
    const name = noteName(note.midi_note);
    const onset = note.onset_s.toFixed(2);
    const select = button(name, "select", `Select ${name} at ${onset} seconds`);
    const remove = button("Delete", "remove", `Delete ${name} at ${onset} seconds`);
    const cells = [
      select,
      onset,
      (note.offset_s - note.onset_s).toFixed(2),
      String(note.velocity),
      note.confidence.toFixed(2),
      remove,
    ];
    for (const content of cells) row.insertCell().append(content);
    return row;
  }
}

/** @param {string} text @param {string} value @param {string} label */
function button(text, value, label) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.value = value;
  element.setAttribute("aria-label", label);
  return element;
}
