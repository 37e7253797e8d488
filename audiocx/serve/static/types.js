/**
 * Types of the page, for editors and `tsc --checkJs`; nothing runs here.
 *
 * A note has the names that the server's JSON has.
 * @typedef {object} Note
 * @property {number} onset_s
 * @property {number} offset_s
 * @property {number} midi_note 60 is middle C
 * @property {number} velocity 1 to 127
 * @property {number} confidence 0 to 1; 1 for notes of the user
 * @property {string} [id] given by the editor
 *
 * @typedef {object} Settings
 * @property {number} [onset_threshold]
 * @property {number|null} [frame_threshold] null where the network has none
 * @property {number} [min_note_s]
 *
 * @typedef {object} Summary A recording, as the server describes it.
 * @property {string} id
 * @property {string} name
 * @property {string} model
 * @property {"uploading"|"waiting"|"running"|"done"|"failed"|"live"} state
 * @property {string|null} error
 * @property {number} duration_s
 * @property {number} tuning_cents
 * @property {string[]} remarks
 * @property {number} progress 0 to 1
 * @property {Settings} settings
 * @property {Note[]} [notes]
 * @property {boolean} [here] whether the page alone has it, not the server
 *
 * @typedef {object} Palette Colours of the canvases.
 * @property {string} paper
 * @property {string} blackRow
 * @property {string} line
 * @property {string} strongLine
 * @property {string} text
 * @property {string} accent
 * @property {string} wave
 * @property {string} whiteKey
 * @property {string} blackKey
 * @property {string[]} velocity colour of every MIDI velocity, 0 to 127
 */
export {};
