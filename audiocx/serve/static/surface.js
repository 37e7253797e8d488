/** A canvas that is as sharp as the screen and repaints at most once a frame. */

import { onThemeChange } from "./palette.js";

export class Surface {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(context: CanvasRenderingContext2D, width: number, height: number) => void} paint in CSS pixels
   * @param {(width: number, height: number) => void} [resized]
   */
  constructor(canvas, paint, resized = () => {}) {
    this.canvas = canvas;
    this.width = 0;
    this.height = 0;
    this.lastPaintMs = 0;
    this._context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
    this._paint = paint;
    this._waiting = false;
    new ResizeObserver(() => {
      const scale = window.devicePixelRatio || 1;
      this.width = canvas.clientWidth;
      this.height = canvas.clientHeight;
      canvas.width = Math.round(this.width * scale);
      canvas.height = Math.round(this.height * scale);
      resized(this.width, this.height);
      this.paint(); // at once: a resized canvas is blank
    }).observe(canvas);
    onThemeChange(() => this.request());
  }

  /** Repaint with the next frame. */
  request() {
    if (this._waiting) return;
    this._waiting = true;
    requestAnimationFrame(() => {
      this._waiting = false;
      this.paint();
    });
  }

  paint() {
    if (!this.width || !this.height) return;
    const began = performance.now();
    const scale = this.canvas.width / this.width;
    this._context.setTransform(scale, 0, 0, scale, 0, 0);
    this._paint(this._context, this.width, this.height);
    this.lastPaintMs = performance.now() - began;
  }
}
