/** The server's HTTP routes. Every failure is an Error with a sentence to show. */

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./types.js").Settings} Settings */
/** @typedef {import("./types.js").Summary} Summary */

export class ServerGone extends Error {
  constructor() {
    super("The server does not answer. Start audiocx serve again, or wait until this page finds it.");
  }
}

/** @param {string} path @param {RequestInit} [options] @returns {Promise<Response>} */
async function call(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new ServerGone();
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.error ?? `The server answered ${response.status} ${response.statusText}.`);
}

/** @param {unknown} content @param {AbortSignal} [signal] @returns {RequestInit} */
function postJson(content, signal) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content), signal };
}

/** @returns {Promise<{models: {name: string, description: string}[], default: string}>} */
export async function listModels() {
  return (await call("api/models")).json();
}

/** @returns {Promise<Summary[]>} */
export async function listRecordings() {
  return (await (await call("api/recordings")).json()).recordings;
}

/** @param {string} id @returns {Promise<Summary>} */
export async function getRecording(id) {
  return (await call(recordingPath(id))).json();
}

/** @param {File} file @param {string} model @returns {Promise<Summary>} */
export async function upload(file, model) {
  const query = new URLSearchParams({ name: file.name, model });
  return (await call(`api/recordings?${query}`, { method: "POST", body: file })).json();
}

/** @param {string} id */
export async function deleteRecording(id) {
  await call(recordingPath(id), { method: "DELETE" });
}

/** @param {string} id */
export function audioUrl(id) {
  return `${recordingPath(id)}/audio`;
}

/** @param {string} id @param {number} points @returns {Promise<Int8Array>} */
export async function getWaveform(id, points) {
  return new Int8Array(await (await call(`${recordingPath(id)}/waveform?points=${points}`)).arrayBuffer());
}

/**
 * @param {string} id
 * @param {Settings} settings
 * @param {AbortSignal} signal
 * @returns {Promise<{notes: Note[], settings: Settings}>}
 */
export async function decode(id, settings, signal) {
  return (await call(`${recordingPath(id)}/decode`, postJson(settings, signal))).json();
}

/**
 * Have the server write notes as a file.
 * @param {string} format
 * @param {{name: string, duration_s: number, tuning_cents: number, notes: Note[]}} transcription
 * @param {AbortSignal} [signal]
 * @returns {Promise<{content: Blob, name: string}>}
 */
export async function exportNotes(format, transcription, signal) {
  const notes = transcription.notes.map(({ id, ...note }) => note);
  const response = await call(`api/export/${format}`, postJson({ ...transcription, notes }, signal));
  const name = fileName(response.headers.get("Content-Disposition")) ?? `notes.${format}`;
  return { content: await response.blob(), name };
}

/**
 * Follow a recording while it is transcribed. What came before is sent first.
 * @param {string} id
 * @param {{
 *   restarted: () => void, progress: (share: number, durationS: number) => void, notes: (notes: Note[]) => void,
 *   done: (summary: Summary) => void, failed: (error: string) => void, gone: () => void
 * }} listener
 * @returns {() => void} stops it
 */
export function followRecording(id, listener) {
  const source = new EventSource(`${recordingPath(id)}/events`);
  const on = (/** @type {string} */ name, /** @type {(data: any) => void} */ handle) =>
    source.addEventListener(name, (event) => handle(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  source.onopen = () => listener.restarted();
  source.onerror = () => listener.gone(); // the browser tries again by itself
  on("progress", ({ progress, duration_s }) => listener.progress(progress, duration_s));
  on("notes", ({ notes }) => listener.notes(notes));
  on("done", (summary) => {
    source.close();
    listener.done(summary);
  });
  on("failed", ({ error }) => {
    source.close();
    listener.failed(error);
  });
  return () => source.close();
}

/** @param {number} rate @param {string} model @param {string} name @returns {WebSocket} */
export function openLive(rate, model, name) {
  const url = new URL(`api/live?${new URLSearchParams({ rate: String(rate), model, name })}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  return socket;
}

/** @param {string} id */
function recordingPath(id) {
  return `api/recordings/${encodeURIComponent(id)}`;
}

/** @param {string|null} header */
function fileName(header) {
  const extended = header?.match(/filename\*=utf-8''([^;]+)/i);
  if (extended) return decodeURIComponent(extended[1]);
  return header?.match(/filename="([^"]+)"/)?.[1];
}
