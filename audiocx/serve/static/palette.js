/** Colours of the canvases, light and dark. Loud notes stand out from the paper in both. */

/** @typedef {import("./types.js").Palette} Palette */

// The colormap viridis at eleven points: even to the eye, readable in grey and by the colour-blind.
const VIRIDIS = [
  [68, 1, 84],
  [72, 36, 117],
  [65, 68, 135],
  [53, 95, 141],
  [42, 120, 142],
  [33, 145, 140],
  [34, 168, 132],
  [68, 191, 112],
  [122, 209, 81],
  [189, 223, 38],
  [253, 231, 37],
];
// Parts of the map that are visible on the paper, from soft to loud.
const ON_LIGHT = [0.82, 0.0];
const ON_DARK = [0.28, 1.0];

/** @param {number} position 0 to 1 */
function viridis(position) {
  const place = position * (VIRIDIS.length - 1);
  const index = Math.min(Math.floor(place), VIRIDIS.length - 2);
  const rgb = VIRIDIS[index].map((low, i) => Math.round(low + (place - index) * (VIRIDIS[index + 1][i] - low)));
  return `rgb(${rgb.join(" ")})`;
}

/** @param {number[]} range */
function velocityColours([soft, loud]) {
  return Array.from({ length: 128 }, (_, velocity) => viridis(soft + ((loud - soft) * velocity) / 127));
}

/** @type {Palette} */
const LIGHT = {
  paper: "#ffffff",
  blackRow: "#f1f2f6",
  line: "#e0e2ea",
  strongLine: "#b4b8c6",
  text: "#4a4f5e",
  accent: "#b3261e",
  wave: "#5b68a8",
  whiteKey: "#ffffff",
  blackKey: "#2b2e38",
  velocity: velocityColours(ON_LIGHT),
};
/** @type {Palette} */
const DARK = {
  paper: "#15171d",
  blackRow: "#1c1f27",
  line: "#2a2e39",
  strongLine: "#4a5062",
  text: "#b4bac9",
  accent: "#ff8a80",
  wave: "#8f9ce0",
  whiteKey: "#d9dce4",
  blackKey: "#22252e",
  velocity: velocityColours(ON_DARK),
};

const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");

/** Tell whether the page is dark: by its switch, else by the system. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : darkSystem.matches;
}

export function palette() {
  return isDark() ? DARK : LIGHT;
}

/** Call back when the colours change. @param {() => void} listener */
export function onThemeChange(listener) {
  darkSystem.addEventListener("change", listener);
  new MutationObserver(listener).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}
