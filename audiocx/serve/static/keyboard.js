/** Keys of the page; its help dialog lists them. */

/** @typedef {import("./stage.js").Stage} Stage */

const NUDGE_S = 0.01;
const SEEK_S = 1;

/** @param {Stage} stage @param {() => boolean} enabled whether a recording is open */
export function listenToKeys(stage, enabled) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || !enabled()) return;
    const action = event.ctrlKey || event.metaKey ? withControl(stage, event) : plain(stage, event);
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** @param {Stage} stage @param {KeyboardEvent} event @returns {(() => void)|undefined} */
function withControl(stage, event) {
  if (isWithin(event, "dialog, select, input:not([type=range], [type=checkbox])")) return undefined;
  const key = event.key.toLowerCase();
  if (key === "z") return event.shiftKey ? () => stage.redo() : () => stage.undo();
  return key === "y" ? () => stage.redo() : undefined;
}

/** @param {Stage} stage @param {KeyboardEvent} event @returns {(() => void)|undefined} */
function plain(stage, event) {
  if (isWithin(event, "dialog, select, input:not([type=range])")) return undefined;
  if (event.key === " ") return isWithin(event, "button, summary") ? undefined : () => stage.player.toggle();
  if (isWithin(event, "input, [role=region]")) return undefined;
  const { shiftKey } = event;
  /** @type {Record<string, () => void>} */
  const actions = {
    "+": () => stage.zoom(1),
    "=": () => stage.zoom(1),
    "-": () => stage.zoom(-1),
    0: () => stage.view.fitTime(),
    ",": () => stage.player.seek(stage.player.timeS - SEEK_S),
    ".": () => stage.player.seek(stage.player.timeS + SEEK_S),
    Home: () => stage.player.seek(0),
    End: () => stage.player.seek(stage.player.durationS),
    ArrowLeft: () => (shiftKey ? stage.shiftSelected(-NUDGE_S, -NUDGE_S) : stage.selectNext(-1)),
    ArrowRight: () => (shiftKey ? stage.shiftSelected(NUDGE_S, NUDGE_S) : stage.selectNext(1)),
    Delete: () => stage.removeSelected(),
    Backspace: () => stage.removeSelected(),
    "[": () => stage.shiftSelected(0, -NUDGE_S),
    "]": () => stage.shiftSelected(0, NUDGE_S),
    n: () => stage.addAtPlayhead(),
    d: () => stage.toggleDrawing(),
    Escape: () => stage.gestures.abandon() || stage.select(null),
  };
  if (stage.selected !== null) {
    // else these scroll the page and press buttons
    actions.ArrowUp = () => stage.transposeSelected(shiftKey ? 12 : 1);
    actions.ArrowDown = () => stage.transposeSelected(shiftKey ? -12 : -1);
    if (!isWithin(event, "button, summary, a")) actions.Enter = () => stage.hearSelected();
  }
  return actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
}

/** @param {KeyboardEvent} event @param {string} selector */
function isWithin(event, selector) {
  return event.target instanceof Element && event.target.closest(selector) !== null;
}
