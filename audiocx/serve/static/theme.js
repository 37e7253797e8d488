/** The switch between light and dark; until it is used, the page follows the system. */

import { button } from "./dom.js";
import { isDark, onThemeChange } from "./palette.js";

const STORED_AS = "audiocx-theme";

export function startTheme() {
  const stored = localStorage.getItem(STORED_AS);
  if (stored) document.documentElement.dataset.theme = stored;
  const label = () => button("theme").setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  button("theme").addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(STORED_AS, theme);
  });
  onThemeChange(label);
  label();
}
