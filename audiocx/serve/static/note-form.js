/** The selected note in numbers: to read, and to change without a mouse. */

import { any, button, element, input } from "./dom.js";
import { noteName } from "./music.js";

/** @typedef {import("./types.js").Note} Note */

export class NoteForm {
  /** @param {{change: (changes: Partial<Note>) => void, hear: () => void, remove: () => void}} actions */
  constructor(actions) {
    const pitch = element("note-pitch", HTMLSelectElement);
    for (let midiNote = 127; midiNote >= 0; midiNote--) pitch.add(new Option(noteName(midiNote), String(midiNote)));
    pitch.addEventListener("change", () => actions.change({ midi_note: Number(pitch.value) }));
    this._onNumber("note-onset", (onset_s) => actions.change({ onset_s }));
    this._onNumber("note-offset", (offset_s) => actions.change({ offset_s }));
    this._onNumber("note-velocity", (velocity) => actions.change({ velocity }));
    button("note-hear").addEventListener("click", actions.hear);
    button("note-delete").addEventListener("click", actions.remove);
    any("note").addEventListener("submit", (event) => event.preventDefault());
  }

  /** @param {string} id @param {(value: number) => void} changed */
  _onNumber(id, changed) {
    input(id).addEventListener("change", () => {
      if (Number.isFinite(input(id).valueAsNumber)) changed(input(id).valueAsNumber);
    });
  }

  /** @param {Note|undefined} note */
  show(note) {
    any("note").hidden = !note;
    if (!note) return;
    element("note-pitch", HTMLSelectElement).value = String(note.midi_note);
    input("note-onset").value = note.onset_s.toFixed(3);
    input("note-offset").value = note.offset_s.toFixed(3);
    input("note-velocity").value = String(note.velocity);
  }
}
