/** Files of the notes as they are on screen, and the engraved score. */

import { exportNotes } from "./api.js";
import { any, button, dialog, saveFile, say } from "./dom.js";
import { formatTime } from "./music.js";

/** @typedef {import("./types.js").Note} Note */
const MANY_NOTES = 500; // which take more than a moment to engrave

/** @typedef {{name: string, duration_s: number, tuning_cents: number, notes: Note[]}} Transcription */

/**
 * @param {() => Transcription|null} current
 * @param {{saved: () => void, failed: (error: unknown) => void}} listener
 */
export function listenToDownloads(current, listener) {
  for (const element of document.querySelectorAll("button[data-format]")) {
    const pressed = /** @type {HTMLButtonElement} */ (element);
    pressed.addEventListener("click", async () => {
      const transcription = current();
      if (!transcription) return;
      pressed.disabled = true;
      try {
        const { content, name } = await exportNotes(/** @type {string} */ (pressed.dataset.format), transcription);
        saveFile(content, name);
        say(`Saved ${name}`);
        listener.saved();
      } catch (error) {
        dialog("score").close();
        listener.failed(error);
      } finally {
        pressed.disabled = false;
      }
    });
  }
  button("score-open").addEventListener("click", () => {
    const transcription = current();
    if (transcription) void showScore(transcription, listener.failed);
  });
  dialog("score").addEventListener("close", clearScore);
}

/** @param {Transcription} transcription @param {(error: unknown) => void} failed */
async function showScore(transcription, failed) {
  clearScore();
  const closed = new AbortController();
  dialog("score").addEventListener("close", () => closed.abort(), { once: true });
  const count = transcription.notes.length;
  any("score-state").textContent =
    `Engraving ${count} notes …` + (count > MANY_NOTES ? " Long pieces take a while; close this to give up." : "");
  const began = performance.now();
  const timer = setInterval(() => {
    any("score-time").textContent = formatTime((performance.now() - began) / 1000, 0);
  }, 1000);
  dialog("score").showModal();
  try {
    const { content } = await exportNotes("svg", transcription, closed.signal);
    const pages = splitPages(await content.text());
    any("score-pages").append(...pages);
    any("score-state").textContent = pages.length === 1 ? "One page" : `${pages.length} pages`;
  } catch (error) {
    if (closed.signal.aborted) return;
    dialog("score").close();
    failed(error);
  } finally {
    clearInterval(timer);
    any("score-time").textContent = "";
  }
}

/** Return the pages of a picture, which holds one under the other. @param {string} svg */
function splitPages(svg) {
  const whole = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  const nested = [...whole.children].filter((child) => child.tagName === "svg" && child.hasAttribute("y"));
  const pages = nested.length ? nested : [whole];
  return pages.map((page, index) => {
    page.removeAttribute("y");
    const image = new Image();
    image.alt = `Page ${index + 1} of ${pages.length}`;
    image.src = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(page)], { type: "image/svg+xml" }));
    return image;
  });
}

function clearScore() {
  for (const page of any("score-pages").querySelectorAll("img")) URL.revokeObjectURL(page.src);
  any("score-pages").replaceChildren();
}
