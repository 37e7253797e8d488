/** Names of pitches, times in words. */

/** @typedef {import("./types.js").Note} Note */

export const LOWEST_KEY = 21;
export const HIGHEST_KEY = 108;
export const SHORTEST_NOTE_S = 0.01;

const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

/** @param {number} midiNote */
export function isBlackKey(midiNote) {
  return NAMES[midiNote % 12].length > 1;
}

/** Return the name of a pitch; middle C is C4. @param {number} midiNote */
export function noteName(midiNote) {
  return `${NAMES[midiNote % 12]}${Math.floor(midiNote / 12) - 1}`;
}

/** @param {number} midiNote */
export function frequencyHz(midiNote) {
  return 440 * 2 ** ((midiNote - 69) / 12);
}

/** Return a time as 3:07.5. @param {number} timeS @param {number} [decimals] */
export function formatTime(timeS, decimals = 1) {
  const unit = 10 ** decimals;
  const rounded = Math.round(Math.max(0, timeS) * unit) / unit;
  const minutes = Math.floor(rounded / 60);
  const seconds = (rounded - 60 * minutes).toFixed(decimals);
  return `${minutes}:${seconds.padStart(decimals ? decimals + 3 : 2, "0")}`;
}

/** Return a sentence that a screen reader can speak. @param {Note} note */
export function describeNote(note) {
  const name = noteName(note.midi_note).replace("♯", " sharp ");
  const length = (note.offset_s - note.onset_s).toFixed(2);
  return `${name}, at ${note.onset_s.toFixed(2)} seconds, ${length} seconds long, velocity ${note.velocity}`;
}

/** Return the index of the first of the notes, sorted by onset, that begins at or after a time.
 * @param {Note[]} notes @param {number} timeS */
export function firstFrom(notes, timeS) {
  let low = 0;
  let high = notes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (notes[middle].onset_s < timeS) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Order of notes: by onset, then pitch. @param {Note} a @param {Note} b */
export function byOnset(a, b) {
  return a.onset_s - b.onset_s || a.midi_note - b.midi_note;
}
