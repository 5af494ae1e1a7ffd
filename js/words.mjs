// @ts-check
/** What people read, in the language of the page. The texts lie in `locales/<language>/main.json`. */

import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

/** @type {Record<string, Record<string, any>>} */
let languages = {};

/** Load the texts; the page works without them, showing their names. */
export async function loadWords() {
  try {
    const answer = await api.fetchApi("/i18n");
    const all = await answer.json();
    languages = Object.fromEntries(Object.entries(all).map(([name, one]) => [name, one.klingOnce ?? {}]));
  } catch (error) {
    console.warn("Kling Once: the texts could not be loaded.", error);
  }
}

/** @returns {string} the page's language, such as `en` or `zh-TW` */
export function language() {
  return app.extensionManager?.setting?.get("Comfy.Locale") ?? "en";
}

/**
 * Return a text. `{name}` in it is replaced by the value of that name.
 * @param {string} name with dots, such as `state.kept`
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function words(name, values = {}) {
  const chosen = language();
  const text = find(chosen, name) ?? find(chosen.split("-")[0], name) ?? find("en", name) ?? name;
  return text.replace(/\{(\w+)\}/g, (/** @type {string} */ _whole, /** @type {string} */ key) =>
    String(values[key] ?? ""),
  );
}

/**
 * @param {string} languageName
 * @param {string} name
 * @returns {string | undefined}
 */
function find(languageName, name) {
  /** @type {any} */
  let value = languages[languageName];
  for (const part of name.split(".")) value = value?.[part];
  return typeof value === "string" ? value : undefined;
}

/**
 * @param {number | null | undefined} seconds
 * @returns {string} such as `1:05`
 */
export function clockText(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * @param {number} seconds
 * @returns {string} such as `1:05.4`
 */
export function tenthsText(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

/**
 * @param {number | null | undefined} amount
 * @returns {string} at most three digits after the point
 */
export function amountText(amount) {
  if (amount === null || amount === undefined) return "";
  return new Intl.NumberFormat(language(), { maximumFractionDigits: 3 }).format(amount);
}
