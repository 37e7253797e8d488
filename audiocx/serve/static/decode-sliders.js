/** The sliders of thresholds and shortest note: find other notes in what the network gave, without running it again. */

import { decode } from "./api.js";
import { any, input } from "./dom.js";

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./types.js").Settings} Settings */

const WAIT_MS = 120; // after the last movement
const NAMES = /** @type {const} */ (["onset_threshold", "frame_threshold", "min_note_s"]);

export class DecodeSliders {
  /**
   * @param {{decoded: (id: string, notes: Note[], settings: Settings) => void, failed: (error: unknown) => void}} listener
   */
  constructor(listener) {
    this._listener = listener;
    /** @type {string|null} */
    this._id = null;
    /** @type {number|undefined} */
    this._timer = undefined;
    this._request = new AbortController();
    for (const name of NAMES) {
      input(name).addEventListener("input", () => {
        this._label(name);
        clearTimeout(this._timer);
        this._timer = setTimeout(() => void this._decode(), WAIT_MS);
      });
    }
  }

  /** Show the settings of a recording. @param {string} id @param {Settings} settings */
  show(id, settings) {
    if (id === this._id) return; // the user may be moving them
    this.hide();
    this._id = id;
    const known = NAMES.filter((name) => settings[name] != null); // not every network has both thresholds
    for (const name of NAMES) {
      const row = /** @type {HTMLElement} */ (input(name).parentElement);
      row.hidden = !known.includes(name);
      if (!row.hidden) input(name).value = String(settings[name]);
      this._label(name);
    }
    any("decode").hidden = known.length === 0;
  }

  hide() {
    clearTimeout(this._timer);
    this._request.abort();
    this._id = null;
    any("decode").hidden = true;
  }

  async _decode() {
    const id = this._id;
    if (id === null) return;
    this._request.abort();
    this._request = new AbortController();
    /** @type {Settings} */
    const settings = {};
    for (const name of NAMES) {
      if (!(/** @type {HTMLElement} */ (input(name).parentElement).hidden)) settings[name] = input(name).valueAsNumber;
    }
    try {
      const answer = await decode(id, settings, this._request.signal);
      this._listener.decoded(id, answer.notes, answer.settings);
    } catch (error) {
      this._listener.failed(error);
    }
  }

  /** @param {(typeof NAMES)[number]} name */
  _label(name) {
    const slider = input(name);
    const text =
      name === "min_note_s" ? `${Math.round(1000 * slider.valueAsNumber)} ms` : slider.valueAsNumber.toFixed(2);
    const output = /** @type {HTMLElement} */ (slider.parentElement?.querySelector("output"));
    output.textContent = text;
    slider.setAttribute("aria-valuetext", text);
  }
}
