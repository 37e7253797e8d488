/** Elements of the page by their id, and sentences for the user. */

/**
 * @template {HTMLElement} T
 * @param {string} id @param {new () => T} type @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} #${id}.`);
  return found;
}

/** @param {string} id */
export const button = (id) => element(id, HTMLButtonElement);
/** @param {string} id */
export const input = (id) => element(id, HTMLInputElement);
/** @param {string} id */
export const canvas = (id) => element(id, HTMLCanvasElement);
/** @param {string} id */
export const dialog = (id) => element(id, HTMLDialogElement);
/** @param {string} id */
export const any = (id) => element(id, HTMLElement);

/** Have a screen reader speak a sentence. @param {string} sentence */
export function say(sentence) {
  any("said").textContent = sentence;
}

/** Return a sentence that begins with a file's name, once. @param {string} name @param {string} sentence */
export function named(name, sentence) {
  return sentence.startsWith(`${name}: `) ? sentence : `${name}: ${sentence}`;
}

/** Show what went wrong. @param {string} sentence */
export function showError(sentence) {
  any("error-text").textContent = sentence;
  any("error").hidden = false;
}

export function hideError() {
  any("error").hidden = true;
}

/** @param {Blob} content @param {string} name */
export function saveFile(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
