/** The open recording: waveform, piano roll, playing and editing. */

import { any, button, canvas, element, input, say } from "./dom.js";
import { Gestures } from "./gestures.js";
import { describeNote, firstFrom, formatTime, SHORTEST_NOTE_S } from "./music.js";
import { NoteForm } from "./note-form.js";
import { NotesTable } from "./notes-table.js";
import { Overview } from "./overview.js";
import { onThemeChange, palette } from "./palette.js";
import { Player } from "./player.js";
import { Roll } from "./roll.js";
import { KEYS_PX, View } from "./view.js";
import { Waveform } from "./waveform.js";

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./types.js").Summary} Summary */
/** @typedef {import("./editor.js").Editor} Editor */

const ZOOM_STEP = 1.5;
const NEW_NOTE_S = 0.5;
const FIRST_SHOWN_S = 40; // most seconds on screen when a recording opens
const LIVE_SHOWN_S = 15; // seconds on screen while recording
const LIVE_AT = 0.85; // where "now" is, of the width

export class Stage {
  /** @param {(error: string) => void} showError */
  constructor(showError) {
    this.view = new View();
    this.roll = new Roll(canvas("roll"), this.view);
    this.waveform = new Waveform(canvas("waveform"), this.view);
    this.overview = new Overview(canvas("overview"), this.view);
    this.player = new Player(element("audio", HTMLAudioElement));
    /** @type {Editor|null} */
    this.editor = null;
    /** @type {string|null} the selected note */
    this.selected = null;
    this._liveS = -1; // how far a live recording is
    this._changed = () => this._showNotes();
    this.gestures = new Gestures(this.roll, {
      select: (note) => this.select(note?.id ?? null),
      hear: (midiNote, velocity) => void this.player.hear(midiNote, velocity),
      seek: (timeS) => this.player.seek(timeS),
      change: (id, changes) => this._change(id, changes),
      add: (note) => this._add(note),
    });
    this.form = new NoteForm({
      change: (changes) => this.changeSelected(changes),
      hear: () => this.hearSelected(),
      remove: () => this.removeSelected(),
    });
    this.table = new NotesTable(element("table", HTMLDetailsElement), {
      select: (id) => this.select(id, true),
      remove: (id) => this.remove(id),
    });
    this._listen(showError);
  }

  /** @param {(error: string) => void} showError */
  _listen(showError) {
    this.view.addEventListener("change", () => this._placePlayhead());
    this.player.addEventListener("state", () => this._showPlayer());
    this.player.addEventListener("failed", () =>
      showError("The browser cannot play this recording. Its notes can be played: move the balance."),
    );
    button("play").addEventListener("click", () => this.player.toggle());
    input("speed").addEventListener("input", () => {
      this.player.setSpeed(input("speed").valueAsNumber);
      /** @type {HTMLElement} */ (input("speed").nextElementSibling).textContent =
        input("speed").valueAsNumber.toFixed(2);
    });
    input("balance").addEventListener("input", () => {
      const balance = input("balance").valueAsNumber;
      this.player.setBalance(balance);
      const words =
        balance === 0 ? "recording only" : balance === 1 ? "notes only" : `${Math.round(100 * balance)} % notes`;
      input("balance").setAttribute("aria-valuetext", words);
    });
    button("undo").addEventListener("click", () => this.undo());
    button("redo").addEventListener("click", () => this.redo());
    button("draw").addEventListener("click", () => this.toggleDrawing());
    button("add").addEventListener("click", () => this.addAtPlayhead());
    button("delete").addEventListener("click", () => this.removeSelected());
    button("zoom-in").addEventListener("click", () => this.zoom(1));
    button("zoom-out").addEventListener("click", () => this.zoom(-1));
    button("zoom-fit").addEventListener("click", () => this.view.fitTime());
    const waveform = canvas("waveform");
    const seek = (/** @type {PointerEvent} */ event) =>
      this.player.seek(this.view.time(Math.max(event.offsetX, KEYS_PX)));
    waveform.addEventListener("pointerdown", (event) => {
      waveform.setPointerCapture(event.pointerId);
      seek(event);
    });
    waveform.addEventListener("pointermove", (event) => {
      if (waveform.hasPointerCapture(event.pointerId)) seek(event);
    });
    waveform.addEventListener("wheel", (event) => this.gestures.wheel(event), { passive: false });
    onThemeChange(() => paintLegend());
    paintLegend();
  }

  /** Show a recording. @param {Summary} summary @param {Editor} editor */
  open(summary, editor) {
    this.editor?.removeEventListener("change", this._changed);
    this.editor = editor;
    editor.addEventListener("change", this._changed);
    this._liveS = -1;
    this.select(null);
    this.roll.sounding = [];
    this.waveform.setPeaks(new Int8Array(), 1);
    any("title").textContent = summary.name;
    this.showRemarks(summary);
    any("stage").hidden = false;
    this.player.load(null, 0);
    this.view.resize(canvas("roll").clientWidth, canvas("roll").clientHeight); // it may have been hidden
    this.view.setDuration(summary.duration_s);
    this.view.moved = false;
    this._showNotes();
    this.view.fitTime(FIRST_SHOWN_S);
  }

  /** @param {Summary} summary */
  showRemarks({ remarks }) {
    any("remarks").textContent = remarks.join(" ");
    any("remarks").hidden = remarks.length === 0;
  }

  close() {
    this.player.load(null, 0);
    any("stage").hidden = true;
  }

  /**
   * Take the sound of the open recording.
   * @param {string|null} url null for the notes alone
   * @param {number} durationS
   */
  setSound(url, durationS) {
    this._liveS = -1;
    this.roll.sounding = [];
    this.player.load(url, durationS);
    this.view.setDuration(durationS);
    if (!this.view.moved) this.view.fitTime(FIRST_SHOWN_S);
  }

  /** Show how far a live recording is. @param {number} timeS @param {Note[]} sounding @param {Int8Array} peaks */
  live(timeS, sounding, peaks) {
    this.waveform.setPeaks(peaks, timeS);
    this._liveS = timeS;
    this.view.pxPerS = this.view.plotWidth / LIVE_SHOWN_S;
    this.view.setDuration(timeS + LIVE_SHOWN_S);
    this.view.scrollTo(timeS - LIVE_AT * LIVE_SHOWN_S);
    this.roll.setNotes(this.roll.notes, sounding);
    any("time").textContent = formatTime(timeS);
  }

  /** @param {string|null} id @param {boolean} [reveal] */
  select(id, reveal = false) {
    this.selected = id;
    this.roll.select(id);
    const note = this.editor?.get(id);
    button("delete").disabled = !note;
    this.form.show(note);
    this.table.select(note);
    if (!note) return;
    if (reveal) this.view.reveal(note);
    say(describeNote(note));
  }

  /** Select the note before or after the selected one, or near the playhead. @param {number} by */
  selectNext(by) {
    const { notes } = this.roll;
    const index = notes.findIndex((note) => note.id === this.selected);
    const near = firstFrom(notes, this.player.timeS);
    const note = notes[index >= 0 ? index + by : by > 0 ? near : near - 1];
    if (!note) return;
    this.select(note.id ?? null, true);
    this.hearSelected();
  }

  hearSelected() {
    const note = this.editor?.get(this.selected);
    if (note) void this.player.hear(note.midi_note, note.velocity);
  }

  /** @param {Partial<Note>} changes */
  changeSelected(changes) {
    if (this.selected === null) return;
    this._change(this.selected, changes);
    if (changes.midi_note !== undefined || changes.velocity !== undefined) this.hearSelected();
  }

  /** @param {number} semitones */
  transposeSelected(semitones) {
    const note = this.editor?.get(this.selected);
    if (note) this.changeSelected({ midi_note: note.midi_note + semitones });
  }

  /** Move the selected note in time, or only its end. @param {number} onsetS @param {number} offsetS */
  shiftSelected(onsetS, offsetS) {
    const note = this.editor?.get(this.selected);
    if (!note) return;
    const onset_s = Math.max(0, note.onset_s + onsetS);
    this.changeSelected({ onset_s, offset_s: Math.max(note.offset_s + offsetS, onset_s + SHORTEST_NOTE_S) });
  }

  removeSelected() {
    if (this.selected !== null) this.remove(this.selected);
  }

  /** @param {string} id */
  remove(id) {
    const note = this.editor?.get(id);
    if (!note) return;
    this.editor?.remove(id);
    say(`Deleted ${describeNote(note)}`);
  }

  addAtPlayhead() {
    const onset_s = this.player.timeS;
    const midi_note = this.editor?.get(this.selected)?.midi_note ?? 60;
    this._add({ onset_s, offset_s: onset_s + NEW_NOTE_S, midi_note, velocity: 80, confidence: 1 });
    this.hearSelected();
  }

  undo() {
    if (!this.editor?.edits) return;
    this.editor.undo();
    say(`Undone. ${this.roll.notes.length} notes.`);
  }

  redo() {
    if (!this.editor?.canRedo) return;
    this.editor.redo();
    say(`Redone. ${this.roll.notes.length} notes.`);
  }

  toggleDrawing() {
    this.gestures.drawing = !this.gestures.drawing;
    button("draw").setAttribute("aria-pressed", String(this.gestures.drawing));
    canvas("roll").style.cursor = this.gestures.drawing ? "crosshair" : "default";
    say(this.gestures.drawing ? "Drawing notes" : "Drawing ended");
  }

  /** Zoom around the playhead if it is visible. @param {number} steps */
  zoom(steps) {
    const x = this.view.x(this.player.timeS);
    const seen = x >= KEYS_PX && x <= this.view.width;
    this.view.zoomTime(ZOOM_STEP ** steps, seen ? x : undefined);
  }

  /** @param {Note} note */
  _add(note) {
    const id = this.editor?.add(note);
    if (id) this.select(id, true);
  }

  /** @param {string} id @param {Partial<Note>} changes */
  _change(id, changes) {
    if (this.editor) this.select(this.editor.change(id, changes));
  }

  _showNotes() {
    const { editor } = this;
    if (!editor) return;
    const { notes, edits } = editor;
    this.roll.setNotes(notes, this.roll.sounding);
    if (!this.view.moved && this.selected === null) this.view.fitPitches(notes);
    this.overview.setNotes(notes);
    this.player.setNotes(notes);
    this.table.setNotes(notes);
    if (this.selected !== null && !editor.get(this.selected)) this.select(null);
    else this.form.show(editor.get(this.selected));
    any("count").textContent =
      `${notes.length} ${notes.length === 1 ? "note" : "notes"}` +
      (edits ? `, ${edits} ${edits === 1 ? "edit" : "edits"}` : "");
    button("undo").disabled = edits === 0;
    button("redo").disabled = !editor.canRedo;
  }

  _showPlayer() {
    const { playing } = this.player;
    button("play").textContent = playing ? "❚❚" : "▶";
    button("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    button("play").disabled = this.player.durationS === 0; // not read yet, or still being recorded
    this._placePlayhead();
    if (playing) requestAnimationFrame(() => this._frame());
    else if (this.table.details.open && this.selected === null) this.table.showTime(this.player.timeS);
  }

  /** Follow the sound while it plays. */
  _frame() {
    if (!this.player.playing) return;
    if (input("follow").checked && !this.gestures.busy) this.view.follow(this.player.timeS);
    this._placePlayhead();
    requestAnimationFrame(() => this._frame());
  }

  _placePlayhead() {
    const timeS = this._liveS >= 0 ? this._liveS : this.player.timeS;
    const x = this.view.x(timeS);
    const playhead = any("playhead");
    playhead.style.transform = `translateX(${x}px)`;
    playhead.style.visibility = x < KEYS_PX - 1 || x > this.view.width ? "hidden" : "visible";
    if (this._liveS < 0) any("time").textContent = formatTime(timeS);
  }
}

/** Paint the colours of soft to loud notes. */
function paintLegend() {
  const { width, height } = canvas("legend");
  const context = /** @type {CanvasRenderingContext2D} */ (canvas("legend").getContext("2d"));
  const { velocity } = palette();
  for (let x = 0; x < width; x++) {
    context.fillStyle = velocity[Math.round((127 * x) / width)];
    context.fillRect(x, 0, 1, height);
  }
}
