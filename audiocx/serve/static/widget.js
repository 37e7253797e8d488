/** A piano roll with sound for notebooks: the page's modules without a server. audiocx.music.player fills it. */

import { Gestures } from "./gestures.js";
import { describeNote, firstFrom, formatTime } from "./music.js";
import { Overview } from "./overview.js";
import { Player } from "./player.js";
import { Roll } from "./roll.js";
import { KEYS_PX, View } from "./view.js";
import { Waveform } from "./waveform.js";

/** @typedef {import("./types.js").Note} Note */
/**
 * @typedef {object} Content
 * @property {string} name
 * @property {number} duration_s
 * @property {number[][]} notes onset and offset in seconds, pitch, velocity
 * @property {string} [sound] data URL of the recording
 * @property {string} [peaks] the waveform: signed bytes in base64
 */

const SEEK_S = 1;
const ZOOM_STEP = 1.5;
const WIDGET_FIRST_SHOWN_S = 30;

/** @param {string} selector @returns {any} */
const find = (selector) => document.querySelector(selector);

/** @param {Content} content */
export function showWidget(content) {
  const notes = content.notes.map(([onset_s, offset_s, midi_note, velocity], index) => ({
    onset_s,
    offset_s,
    midi_note,
    velocity,
    confidence: 1,
    id: String(index),
  }));
  const view = new View();
  const roll = new Roll(find("#roll"), view);
  const player = new Player(find("audio"));
  const overview = new Overview(find("#overview"), view);
  const waveform = new Waveform(find("#waveform"), view);
  if (content.peaks)
    waveform.setPeaks(
      Int8Array.from(atob(content.peaks), (letter) => letter.charCodeAt(0)),
      content.duration_s,
    );
  else find("#waveform").classList.add("axis");
  onDrag(find("#waveform"), (x) => player.seek(view.time(Math.max(x, KEYS_PX))));
  find(".balance").hidden = !content.sound;
  find("#title").textContent = content.name;
  const select = (/** @type {Note|null|undefined} */ note) => {
    roll.select(note?.id ?? null);
    find("#said").textContent = note ? describeNote(note) : "";
  };
  new Gestures(roll, {
    select,
    hear: (midiNote, velocity) => void player.hear(midiNote, velocity),
    seek: (timeS) => player.seek(timeS),
  });
  listenToPlayer(player, view);
  listenToWidgetKeys(player, view, (by) => {
    const index = notes.findIndex((note) => note.id === roll.selected);
    const note = notes[index >= 0 ? index + by : firstFrom(notes, player.timeS) + Math.min(by, 0)];
    if (!note) return;
    select(note);
    view.reveal(note);
    void player.hear(note.midi_note, note.velocity);
  });
  roll.setNotes(notes);
  overview.setNotes(notes);
  player.setNotes(notes);
  player.load(content.sound ?? null, content.duration_s);
  view.resize(find("#roll").clientWidth, find("#roll").clientHeight);
  view.setDuration(content.duration_s);
  view.fitPitches(notes);
  view.fitTime(WIDGET_FIRST_SHOWN_S);
}

/** @param {Player} player @param {View} view */
function listenToPlayer(player, view) {
  const place = () => {
    const x = view.x(player.timeS);
    find("#playhead").style.transform = `translateX(${x}px)`;
    find("#playhead").style.visibility = x < KEYS_PX - 1 || x > view.width ? "hidden" : "visible";
    find("#time").textContent = formatTime(player.timeS);
  };
  const frame = () => {
    if (!player.playing) return;
    view.follow(player.timeS);
    place();
    requestAnimationFrame(frame);
  };
  view.addEventListener("change", place);
  player.addEventListener("state", () => {
    find("#play").textContent = player.playing ? "❚❚" : "▶";
    find("#play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
    place();
    frame();
  });
  find("#play").addEventListener("click", () => player.toggle());
  find("#speed").addEventListener("input", () => player.setSpeed(find("#speed").valueAsNumber));
  find("#balance").addEventListener("input", () => player.setBalance(find("#balance").valueAsNumber));
  find("#zoom-in").addEventListener("click", () => view.zoomTime(ZOOM_STEP));
  find("#zoom-out").addEventListener("click", () => view.zoomTime(1 / ZOOM_STEP));
}

/** @param {Player} player @param {View} view @param {(by: number) => void} selectNext */
function listenToWidgetKeys(player, view, selectNext) {
  find("#roll").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    /** @type {Record<string, () => void>} */
    const actions = {
      " ": () => player.toggle(),
      ArrowLeft: () => selectNext(-1),
      ArrowRight: () => selectNext(1),
      ",": () => player.seek(player.timeS - SEEK_S),
      ".": () => player.seek(player.timeS + SEEK_S),
      "+": () => view.zoomTime(ZOOM_STEP),
      "-": () => view.zoomTime(1 / ZOOM_STEP),
    };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  });
}

/** @param {HTMLElement} element @param {(x: number) => void} move */
function onDrag(element, move) {
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    move(event.offsetX);
  });
  element.addEventListener("pointermove", (event) => {
    if (element.hasPointerCapture(event.pointerId)) move(event.offsetX);
  });
}
