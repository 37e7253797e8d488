/** The page: recordings that come in, the one that is open, and the microphone. */

import * as api from "./api.js";
import { Connection } from "./connection.js";
import { DecodeSliders } from "./decode-sliders.js";
import { any, button, dialog, element, hideError, input, named, say, showError } from "./dom.js";
import { listenToDownloads } from "./downloads.js";
import { Editor } from "./editor.js";
import { listenToKeys } from "./keyboard.js";
import { RecordingList } from "./recording-list.js";
import { Recorder } from "./recorder.js";
import { Stage } from "./stage.js";
import { startTheme } from "./theme.js";

/** @typedef {import("./types.js").Summary} Summary */
/**
 * @typedef {object} Recording
 * @property {Summary} summary
 * @property {Editor} editor
 * @property {boolean} loaded whether the notes of a finished recording are here
 * @property {(() => void)|null} stop ends following it
 */

const WAVEFORM_POINTS_PER_S = 100;
const MOST_WAVEFORM_POINTS = 100_000;
const POLL_MS = 1000;
const QUIETEST_DB = 60; // below full scale, where the level meter begins

/** @type {Map<string, Recording>} */
const recordings = new Map();
/** @type {string|null} */
let current = null;
/** @type {Recorder|null} */
let recorder = null;
/** @type {number|undefined} */
let polling;
let countHere = 0; // recordings that only this page has had

startTheme();
const connection = new Connection(() => void refresh());
export const stage = new Stage(showError);
const list = new RecordingList(any("recordings"), { choose: (id) => void open(id), remove: (id) => void remove(id) });
const sliders = new DecodeSliders({
  decoded(id, notes, settings) {
    const recording = recordings.get(id);
    if (!recording) return;
    recording.summary.settings = settings;
    recording.editor.setFound(notes);
    const { edits } = recording.editor;
    say(`${recording.editor.notes.length} notes.` + (edits ? " Your edits are kept." : ""));
  },
  failed: (error) => connection.report(error),
});

listenToKeys(stage, () => current !== null && !document.querySelector("dialog[open]"));
listenToDownloads(currentTranscription, {
  saved: () => currentRecording()?.editor.markSaved(),
  failed: (error) => connection.report(error),
});
listenToFiles();
button("record").addEventListener("click", () => void (recorder ? stopRecording() : startRecording()));
button("again").addEventListener("click", () => void transcribeAgain());
element("model", HTMLSelectElement).addEventListener("change", showAgain);
button("help-open").addEventListener("click", () => dialog("help").showModal());
document.addEventListener("keydown", (event) => {
  if (event.key === "?" && !(event.target instanceof HTMLInputElement)) dialog("help").showModal();
});
// Another tab may have added recordings.
document.addEventListener("visibilitychange", () => (document.hidden ? followOpen() : void refresh()));
window.addEventListener("beforeunload", (event) => {
  if (recorder || [...recordings.values()].some(({ editor }) => editor.unsaved)) event.preventDefault();
});
void start();

async function start() {
  await refresh();
  const first = [...recordings.values()].find(({ summary }) => summary.state !== "failed");
  if (first && current === null) await open(first.summary.id);
}

/** Get the networks and the state of the recordings from the server. */
async function refresh() {
  try {
    const select = element("model", HTMLSelectElement);
    if (!select.length) {
      const { models, default: chosen } = await api.listModels();
      for (const { name, description } of models) {
        const option = new Option(name, name, name === chosen, name === chosen);
        option.title = description;
        select.add(option);
      }
    }
    const summaries = await api.listRecordings();
    const ids = new Set(summaries.map(({ id }) => id));
    for (const { summary, editor } of recordings.values())
      if (!summary.here && !ids.has(summary.id)) lose(summary, editor);
    for (const summary of summaries) update(summary);
  } catch (error) {
    connection.report(error);
  }
  showOpen();
}

/** Take what the server says of a recording. @param {Summary} summary */
function update(summary) {
  const recording = recordings.get(summary.id);
  if (!recording) {
    take(summary);
  } else if (isUnfinished(recording) && !recording.stop) {
    const before = recording.summary.state;
    Object.assign(recording.summary, summary);
    if (summary.state !== before) ended(recording);
  }
}

/**
 * Keep what the user has of a recording that the server does not have any more.
 * @param {Summary} summary
 * @param {Editor} editor
 */
function lose(summary, editor) {
  if (editor.notes.length === 0) {
    forget(summary.id);
    return;
  }
  Object.assign(summary, {
    state: "failed",
    here: true,
    error: "The server has lost the recording. Its notes can still be downloaded.",
  });
  if (current === summary.id) stage.setSound(null, summary.duration_s);
}

/** Add a recording of the server to the list. @param {Summary} summary @param {Editor} [editor] */
function take(summary, editor = new Editor(summary.notes)) {
  recordings.set(summary.id, { summary, editor, loaded: summary.notes !== undefined, stop: null });
}

/**
 * Follow the open recording by its events, and the others by asking now and then: browsers hold few connections to a
 * server, in all tabs together.
 */
function followOpen() {
  clearTimeout(polling);
  for (const recording of recordings.values()) {
    const wanted = isUnfinished(recording) && recording.summary.id === current && !document.hidden;
    if (wanted) recording.stop ??= follow(recording);
    else if (recording.stop) {
      recording.stop();
      recording.stop = null;
    }
  }
  if ([...recordings.values()].some((recording) => isUnfinished(recording) && !recording.stop)) {
    polling = setTimeout(() => void refresh(), POLL_MS);
  }
}

/** @param {Recording} recording */
function isUnfinished({ summary: { state, here } }) {
  return !here && (state === "waiting" || state === "running");
}

/** @param {Recording} recording */
function follow(recording) {
  const { summary, editor } = recording;
  return api.followRecording(summary.id, {
    restarted: () => editor.setFound([]),
    gone: () => void refresh(),
    notes: (notes) => editor.addFound(notes),
    progress(share, durationS) {
      const isRead = durationS > 0 && summary.duration_s === 0;
      Object.assign(summary, { state: "running", progress: share, duration_s: durationS });
      if (isRead && current === summary.id) void showSound(summary);
      showList();
    },
    done(finished) {
      Object.assign(summary, finished, { state: "done" });
      editor.setFound(finished.notes ?? []);
      recording.loaded = true;
      ended(recording);
      showOpen();
    },
    failed(error) {
      Object.assign(summary, { state: "failed", error });
      ended(recording);
      showOpen();
    },
  });
}

/** Say that a recording is done, or failed. @param {Recording} recording */
function ended(recording) {
  const { summary } = recording;
  if (summary.state === "failed") showError(named(summary.name, summary.error ?? "failed"));
  if (summary.state !== "done") return;
  say(`${summary.name} is transcribed`);
  if (current !== summary.id) return;
  stage.showRemarks(summary);
  if (!recording.loaded) void open(summary.id); // it ended while the tab was hidden
}

/** Open a recording. @param {string} id */
async function open(id) {
  const recording = recordings.get(id);
  if (!recording) return;
  current = id;
  try {
    if (recording.summary.state === "done" && !recording.loaded) {
      const { notes = [], ...summary } = await api.getRecording(id);
      Object.assign(recording.summary, summary);
      recording.editor.setFound(notes);
      recording.loaded = true;
    }
    if (current !== id) return; // another was opened meanwhile
    any("drop").hidden = true;
    stage.open(recording.summary, recording.editor);
    showOpen();
    await showSound(recording.summary);
  } catch (error) {
    connection.report(error);
  }
}

/** Load sound and waveform of the open recording, once the server has read it. @param {Summary} summary */
async function showSound({ id, here, duration_s }) {
  if (duration_s === 0) return;
  stage.setSound(here ? null : api.audioUrl(id), duration_s);
  if (here) return;
  try {
    const points = Math.ceil(duration_s * WAVEFORM_POINTS_PER_S);
    const peaks = await api.getWaveform(id, Math.min(points, MOST_WAVEFORM_POINTS));
    if (current === id) stage.waveform.setPeaks(peaks, duration_s);
  } catch (error) {
    connection.report(error);
  }
}

/** @param {string} id */
async function remove(id) {
  const recording = recordings.get(id);
  if (!recording) return;
  const { name, here } = recording.summary;
  if (recording.editor.unsaved && !window.confirm(`Remove ${name}? Its edits have not been downloaded.`)) return;
  try {
    if (!here) await api.deleteRecording(id);
    forget(id);
    say(`Removed ${name}`);
    button("choose").focus();
  } catch (error) {
    connection.report(error);
  }
}

/** @param {string} id */
function forget(id) {
  recordings.get(id)?.stop?.();
  recordings.delete(id);
  if (current === id) {
    current = null;
    stage.close();
  }
  showOpen();
}

function listenToFiles() {
  button("choose").addEventListener("click", () => input("files").click());
  input("files").addEventListener("change", () => {
    void uploadAll([...(input("files").files ?? [])]);
    input("files").value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    void uploadAll([...(event.dataTransfer?.files ?? [])]);
  });
}

/** Send files one after the other. @param {File[]} files */
async function uploadAll(files) {
  if (files.length) hideError();
  const model = element("model", HTMLSelectElement).value;
  const queued = files.map((file) => ({ file, id: addHere(file.name, model, "uploading") }));
  for (const { file, id } of queued) {
    try {
      const answer = await api.upload(file, model);
      recordings.delete(id);
      take({ ...blank(answer.id, file.name, model, "waiting"), ...answer });
      showOpen();
      if (file === files[0] && !recorder) await open(answer.id);
    } catch (error) {
      const failed = recordings.get(id);
      if (failed) Object.assign(failed.summary, { state: "failed", error: /** @type {Error} */ (error).message });
      connection.report(
        error instanceof api.ServerGone ? error : new Error(named(file.name, /** @type {Error} */ (error).message)),
      );
    }
    showList();
  }
}

/**
 * Add a recording that the server does not know.
 * @param {string} name
 * @param {string} model
 * @param {Summary["state"]} state
 */
function addHere(name, model, state) {
  const id = `here-${++countHere}`;
  recordings.set(id, {
    summary: { ...blank(id, name, model, state), here: true },
    editor: new Editor(),
    loaded: true,
    stop: null,
  });
  showList();
  return id;
}

/** @param {string} id @param {string} name @param {string} model @param {Summary["state"]} state @returns {Summary} */
function blank(id, name, model, state) {
  return {
    id,
    name,
    model,
    state,
    error: null,
    duration_s: 0,
    tuning_cents: 0,
    remarks: [],
    progress: 0,
    settings: {},
  };
}

/** Transcribe the open recording by the network that is chosen now. */
async function transcribeAgain() {
  const recording = currentRecording();
  if (!recording) return;
  try {
    const sound = await (await fetch(api.audioUrl(recording.summary.id))).blob();
    await uploadAll([new File([sound], recording.summary.name)]);
  } catch (error) {
    connection.report(error);
  }
}

async function startRecording() {
  const model = element("model", HTMLSelectElement).value;
  const name = `Recording ${new Date().toLocaleTimeString()}`;
  hideError();
  stage.player.pause();
  button("record").disabled = true;
  const id = addHere(name, model, "waiting");
  const { summary, editor } = /** @type {Recording} */ (recordings.get(id));
  const starting = new Recorder({
    level(peak) {
      element("level", HTMLMeterElement).value = 1 + (20 * Math.log10(peak + 1e-9)) / QUIETEST_DB;
    },
    update(timeS, notes, sounding, peaks) {
      summary.duration_s = timeS;
      if (notes.length) editor.addFound(notes);
      if (current === id) stage.live(timeS, sounding, peaks);
    },
    done(finished) {
      recordings.delete(id);
      editor.setFound(finished.notes ?? []);
      take(finished, editor);
      showRecorder(null);
      say(`Recording ended: ${editor.notes.length} notes`);
      if (current === id) void open(finished.id);
    },
    failed(error) {
      Object.assign(summary, { state: "failed", error });
      showRecorder(null);
      if (current === id) stage.setSound(null, summary.duration_s);
      showError(error);
      showOpen();
    },
  });
  try {
    await starting.start(model, name);
    summary.state = "live";
    showRecorder(starting);
    await open(id);
    say("Recording");
  } catch (error) {
    forget(id);
    connection.report(error);
  } finally {
    button("record").disabled = false;
  }
}

function stopRecording() {
  recorder?.stop();
  button("record").disabled = true; // until the last notes are here
  any("record-text").textContent = "Finishing …";
}

/** @param {Recorder|null} running */
function showRecorder(running) {
  recorder = running;
  button("record").disabled = false;
  button("record").setAttribute("aria-pressed", String(running !== null));
  any("record-text").textContent = running ? "Stop" : "Record";
  any("level").hidden = running === null;
}

function currentRecording() {
  return current === null ? undefined : recordings.get(current);
}

function currentTranscription() {
  const recording = currentRecording();
  if (!recording) return null;
  const { name, duration_s, tuning_cents } = recording.summary;
  return { name, duration_s, tuning_cents, notes: recording.editor.notes };
}

/** Show the list, and what fits the state of the open recording. */
function showOpen() {
  const recording = currentRecording();
  const summary = recording?.summary;
  if (summary?.state === "done") sliders.show(summary.id, summary.settings);
  else sliders.hide();
  // Notes that are not all there yet would be taken for all of them.
  any("download").hidden = !recording || isUnfinished(recording) || summary?.state === "live";
  any("drop").hidden = summary !== undefined;
  followOpen();
  showList();
}

function showList() {
  list.show(
    [...recordings.values()].map(({ summary }) => summary),
    current,
  );
  any("recordings-empty").hidden = recordings.size > 0;
  showAgain();
}

/** Offer to run another network once it is chosen. */
function showAgain() {
  const summary = currentRecording()?.summary;
  const { value } = element("model", HTMLSelectElement);
  button("again").hidden = summary?.state !== "done" || value === "" || value === summary.model;
  button("again").textContent = `Transcribe again by ${value}`;
}
