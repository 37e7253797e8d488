/**
 * The notes of a recording and what the user did to them, with undo.
 *
 * Notes found by the network and edits are kept apart: when a slider moves and other notes are found, the edits are
 * applied to those as well. Nothing here touches the page.
 */

import { byOnset, SHORTEST_NOTE_S } from "./music.js";

/** @typedef {import("./types.js").Note} Note */
/**
 * @typedef {object} Edits
 * @property {readonly Note[]} kept notes that the user drew or changed
 * @property {readonly Note[]} dropped notes of the network that the user deleted or changed, as they were
 */

// Two found notes of one pitch are the same note if their onsets are this close, as in note scores of mir_eval.
const SAME_ONSET_S = 0.05;
const NO_EDITS = Object.freeze({ kept: [], dropped: [] });

/** Fires "change" whenever the notes change. */
export class Editor extends EventTarget {
  /** @param {Note[]} [found] */
  constructor(found = []) {
    super();
    /** @type {Note[]} */
    this.notes = [];
    /** @type {Note[]} */
    this._found = [];
    /** @type {Edits[]} */
    this._history = [NO_EDITS];
    this._now = 0;
    this._saved = 0;
    this._drawn = 0;
    this.setFound(found);
  }

  /** Number of edits that undo can take back. */
  get edits() {
    return this._now;
  }

  get canRedo() {
    return this._now < this._history.length - 1;
  }

  /** Whether there are edits that no download has. */
  get unsaved() {
    return this._now > 0 && this._now !== this._saved;
  }

  markSaved() {
    this._saved = this._now;
  }

  /** @param {string|null} id @returns {Note|undefined} */
  get(id) {
    return this.notes.find((note) => note.id === id);
  }

  /** Replace the notes of the network; the edits stay. @param {Note[]} notes */
  setFound(notes) {
    this._found = [];
    this.addFound(notes);
  }

  /** Add notes of the network, as they come. @param {Note[]} notes */
  addFound(notes) {
    for (const note of notes) this._found.push({ ...note, id: `${note.midi_note}@${note.onset_s.toFixed(4)}` });
    this._update();
  }

  /** Add a note of the user. @param {Note} note @returns {string} its id */
  add(note) {
    const added = this._own(note);
    this._do({ ...this._edits, kept: [...this._edits.kept, added] });
    return /** @type {string} */ (added.id);
  }

  /** Change a note. @param {string} id @param {Partial<Note>} changes @returns {string} its id from now on */
  change(id, changes) {
    const old = this.get(id);
    if (!old) return id;
    const { kept, dropped } = this._edits;
    const changed = this._own({ ...old, ...changes }, kept.includes(old) ? id : undefined);
    if (kept.includes(old)) this._do({ dropped, kept: kept.map((note) => (note === old ? changed : note)) });
    else this._do({ dropped: [...dropped, old], kept: [...kept, changed] });
    return /** @type {string} */ (changed.id);
  }

  /** Delete a note. @param {string} id */
  remove(id) {
    const old = this.get(id);
    if (!old) return;
    const { kept, dropped } = this._edits;
    if (kept.includes(old)) this._do({ dropped, kept: kept.filter((note) => note !== old) });
    else this._do({ dropped: [...dropped, old], kept });
  }

  undo() {
    if (this._now > 0) this._now -= 1;
    this._update();
  }

  redo() {
    if (this.canRedo) this._now += 1;
    this._update();
  }

  get _edits() {
    return this._history[this._now];
  }

  /** Return a valid note of the user. @param {Note} note @param {string} [id] @returns {Note} */
  _own(note, id) {
    const onset_s = Math.max(0, note.onset_s);
    return {
      onset_s,
      offset_s: Math.max(note.offset_s, onset_s + SHORTEST_NOTE_S),
      midi_note: Math.min(127, Math.max(0, Math.round(note.midi_note))),
      velocity: Math.min(127, Math.max(1, Math.round(note.velocity))),
      confidence: 1,
      id: id ?? `own${++this._drawn}`,
    };
  }

  /** @param {Edits} edits */
  _do(edits) {
    this._history.splice(this._now + 1, Infinity, edits);
    this._now += 1;
    if (this._saved >= this._now) this._saved = -1; // what was saved cannot be reached any more
    this._update();
  }

  _update() {
    this.notes = applyEdits(this._found, this._edits);
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * Return the notes of the network without those that were dropped, or that a note of the user covers, and the user's.
 * @param {readonly Note[]} found
 * @param {Edits} edits
 * @returns {Note[]} sorted by onset, then pitch
 */
export function applyEdits(found, { kept, dropped }) {
  const hidden = groupByPitch(dropped);
  const own = groupByPitch(kept);
  const stays = (/** @type {Note} */ note) =>
    !hidden.get(note.midi_note)?.some((other) => Math.abs(other.onset_s - note.onset_s) <= SAME_ONSET_S) &&
    !own.get(note.midi_note)?.some((other) => covers(other, note));
  return [...found.filter(stays), ...kept].sort(byOnset);
}

/** Tell whether two notes of one pitch share more than half of the shorter. @param {Note} a @param {Note} b */
function covers(a, b) {
  const shared = Math.min(a.offset_s, b.offset_s) - Math.max(a.onset_s, b.onset_s);
  return shared > 0.5 * Math.min(a.offset_s - a.onset_s, b.offset_s - b.onset_s);
}

/** @param {readonly Note[]} notes @returns {Map<number, Note[]>} */
function groupByPitch(notes) {
  const groups = new Map();
  for (const note of notes) groups.set(note.midi_note, [...(groups.get(note.midi_note) ?? []), note]);
  return groups;
}
