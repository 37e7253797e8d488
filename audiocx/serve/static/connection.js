/** Notices that the server is gone, says so, and tries until it is back. */

import { listModels, ServerGone } from "./api.js";
import { any, button, hideError, showError } from "./dom.js";

const RETRY_MS = 3000;

export class Connection {
  /** @param {() => void} back called when the server answers again */
  constructor(back) {
    this._back = back;
    /** @type {number|undefined} */
    this._timer = undefined;
    button("retry").addEventListener("click", () => void this._try());
    button("error-close").addEventListener("click", hideError);
  }

  /** Show an error, or that the server is gone. @param {unknown} error */
  report(error) {
    if (error instanceof ServerGone) this.lost();
    else if (/** @type {Error} */ (error).name !== "AbortError") showError(/** @type {Error} */ (error).message);
  }

  /** Say that the server is gone, and wait for it. */
  lost() {
    if (this._timer !== undefined) return;
    any("gone-text").textContent = new ServerGone().message;
    any("gone").hidden = false;
    this._timer = setInterval(() => void this._try(), RETRY_MS);
  }

  async _try() {
    try {
      await listModels();
    } catch {
      return;
    }
    clearInterval(this._timer);
    this._timer = undefined;
    any("gone").hidden = true;
    this._back();
  }
}
