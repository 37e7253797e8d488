/** Notes as sound: mellow struck strings of WebAudio oscillators, like those of audiocx.music.sonify. */

import { frequencyHz } from "./music.js";

const HARMONIC_LEVELS = [0, 1.0, 0.5, 0.35, 0.2, 0.12, 0.08];
const LOWEST_DECAY_S = 4.0; // time in which the tone of note 21 falls to 1/e
const NOTES_TO_HALVE_DECAY = 18;
const ATTACK_S = 0.004;
const RELEASE_S = 0.05;
const LEVEL = 0.22; // so that chords of several loud notes stay below full scale

export class Synth {
  /** @param {BaseAudioContext} context @param {AudioNode} output */
  constructor(context, output) {
    this.context = context;
    this.output = output;
    this._wave = context.createPeriodicWave(
      new Float32Array(HARMONIC_LEVELS.length),
      new Float32Array(HARMONIC_LEVELS),
    );
    /** @type {Set<{source: OscillatorNode, gain: GainNode, beginsS: number}>} */
    this._voices = new Set();
  }

  /**
   * @param {number} midiNote @param {number} velocity
   * @param {number} beginsS on the context's clock @param {number} durationS
   */
  play(midiNote, velocity, beginsS, durationS) {
    const source = this.context.createOscillator();
    const gain = this.context.createGain();
    const voice = { source, gain, beginsS };
    const decayS = LOWEST_DECAY_S * 2 ** (-(midiNote - 21) / NOTES_TO_HALVE_DECAY);
    const endsS = beginsS + Math.max(durationS, ATTACK_S);
    source.setPeriodicWave(this._wave);
    source.frequency.value = frequencyHz(midiNote);
    gain.gain.setValueAtTime(0, beginsS);
    gain.gain.linearRampToValueAtTime((LEVEL * velocity) / 127, beginsS + ATTACK_S);
    gain.gain.setTargetAtTime(0, beginsS + ATTACK_S, decayS);
    gain.gain.setTargetAtTime(0, endsS, RELEASE_S / 3);
    source.connect(gain).connect(this.output);
    source.start(beginsS);
    source.stop(endsS + 2 * RELEASE_S);
    source.onended = () => {
      gain.disconnect();
      this._voices.delete(voice);
    };
    this._voices.add(voice);
  }

  /** Stop the notes that begin after a time, or all. @param {number} [afterS] on the context's clock */
  stop(afterS = -1) {
    const now = this.context.currentTime;
    for (const { source, gain, beginsS } of this._voices) {
      if (beginsS < afterS) continue;
      gain.gain.cancelScheduledValues(now);
      gain.gain.setTargetAtTime(0, now, RELEASE_S / 5);
      source.stop(now + RELEASE_S);
    }
  }
}
