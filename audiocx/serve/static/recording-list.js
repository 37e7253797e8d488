/** The list of recordings: name, state and progress of each; choose one, remove one. */

import { formatTime } from "./music.js";

/** @typedef {import("./types.js").Summary} Summary */

export class RecordingList {
  /**
   * @param {HTMLElement} list
   * @param {{choose: (id: string) => void, remove: (id: string) => void}} actions
   */
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    /** @type {Map<string, HTMLElement>} */
    this._rows = new Map();
  }

  /**
   * Show the recordings, reusing their rows: focus stays where it is.
   * @param {Summary[]} summaries
   * @param {string|null} current
   */
  show(summaries, current) {
    const ids = new Set(summaries.map(({ id }) => id));
    for (const [id, row] of this._rows) {
      if (ids.has(id)) continue;
      row.remove();
      this._rows.delete(id);
    }
    for (const summary of summaries) {
      const row = this._rows.get(summary.id) ?? this._create(summary);
      this._fill(row, summary, summary.id === current);
    }
  }

  /** @param {Summary} summary */
  _create({ id }) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("recording-row"));
    const row = /** @type {HTMLElement} */ (
      /** @type {Element} */ (template.content.firstElementChild).cloneNode(true)
    );
    part(row, ".choose").addEventListener("click", () => this.actions.choose(id));
    part(row, ".remove").addEventListener("click", () => this.actions.remove(id));
    this._rows.set(id, row);
    this.list.append(row);
    return row;
  }

  /** @param {HTMLElement} row @param {Summary} summary @param {boolean} current */
  _fill(row, summary, current) {
    const busy = summary.state === "running" || summary.state === "waiting" || summary.state === "uploading";
    row.dataset.state = summary.state;
    part(row, ".name").textContent = summary.name;
    part(row, ".name").title = summary.name;
    part(row, ".state").textContent = describeState(summary);
    part(row, ".choose").setAttribute("aria-current", String(current));
    part(row, ".remove").setAttribute("aria-label", `Remove ${summary.name}`);
    part(row, ".remove").hidden = summary.here === true && summary.state !== "failed";
    const progress = /** @type {HTMLProgressElement} */ (part(row, "progress"));
    progress.hidden = !busy;
    progress.setAttribute("aria-label", `Progress of ${summary.name}`);
    if (summary.state === "running") progress.value = summary.progress;
    else progress.removeAttribute("value");
  }
}

/** @param {Summary} summary */
export function describeState({ name, state, error, progress, duration_s, model }) {
  if (state === "failed") return error?.replace(`${name}: `, "") ?? "failed"; // the name is above it
  if (state === "running") return `transcribing, ${Math.round(100 * progress)} %`;
  if (state === "live") return "recording";
  if (state === "done") return `${formatTime(duration_s, 0)}, by ${model}`;
  return state;
}

/** @param {HTMLElement} row @param {string} selector @returns {HTMLElement} */
function part(row, selector) {
  return /** @type {HTMLElement} */ (row.querySelector(selector));
}
