// @ts-check
/** Translations and number formats. The texts lie in `locales/<language>/main.json`, under `klingOnce`. */

/** @import { Said, Told } from "../../types/server.ts" */

import { api, app } from "./host.mjs";

/** @typedef {{ [name: string]: string | Texts }} Texts nested texts, addressed with dots */

/** @type {Record<string, Texts | undefined>} */
let translations = {};

/** Load the translations, ComfyUI's own words for our nodes under `nodes`. Without them the page still works and shows the names of its texts. */
export async function loadTranslations() {
  try {
    const response = await api.fetchApi("/i18n");
    /** @type {Record<string, { klingOnce?: Texts, nodeDefs?: Texts }>} */
    const all = await response.json();
    translations = Object.fromEntries(
      Object.entries(all).map(([name, { klingOnce, nodeDefs }]) => [name, { ...klingOnce, nodes: nodeDefs ?? {} }]),
    );
  } catch (error) {
    console.warn("Kling Once: the texts could not be loaded.", error);
  }
}

/** @returns {string} the page's language, such as `en` or `zh-TW` */
export function locale() {
  return app.extensionManager.setting.get("Comfy.Locale") ?? "en";
}

/**
 * Return a text in the page's language, else in English, else its name.
 * @param {string} name with dots, such as `state.kept`
 * @param {Record<string, string | number>} [values] replace `{name}` in the text
 * @returns {string}
 */
export function t(name, values = {}) {
  const chosen = locale();
  const [base = "en"] = chosen.split("-");
  const text = lookUp(chosen, name) ?? lookUp(base, name) ?? lookUp("en", name) ?? name;
  return text.replace(/\{(\w+)\}/g, (_match, /** @type {string} */ key) => String(values[key] ?? ""));
}

/**
 * @param {string} name
 * @returns {string | undefined}
 */
export const inEnglish = (name) => lookUp("en", name);

/**
 * Say what the server tells: each piece in the page's own words where it has some, else as it came, in English.
 * @param {Said[]} pieces
 * @returns {string}
 */
export function say(pieces) {
  return pieces.map(sayPiece).join("").replace(/(?<=[。：；！？，]) +/g, "");
}

/** @param {Said} piece a sentence, or a limit that is broken */
function sayPiece({ message, rule, values }) {
  const names = rule ? [`said.${rule}`, `rule.${rule.replaceAll(".", "_")}`] : [];
  const name = names.find((one) => hasOwnWords(one));
  const said = values.map((value) => (typeof value === "string" ? value : say(value)));
  return name ? t(name, Object.fromEntries(said.entries())) : message;
}

/** Texts that ComfyUI shows as they are, and their pieces as the server told them before. */
const WORDS_KEPT = 100;
/** @type {Map<string, Said[]>} */
const words = new Map();

/**
 * Keep in which sentences a text comes.
 * @param {Told} told
 */
export function keepWords({ message, said }) {
  words.delete(message.trim());
  words.set(message.trim(), said);
  const [oldest] = words.keys();
  if (oldest !== undefined && words.size > WORDS_KEPT) words.delete(oldest);
}

/**
 * Say a text of a node in the page's language, if the server has told its sentences.
 * @param {string} text
 * @returns {string}
 */
export function sayText(text) {
  const said = words.get(text.trim());
  return said ? say(said) : text;
}

/**
 * Whether the page's own language has this text.
 * @param {string} name
 */
export function hasOwnWords(name) {
  const [base = "en"] = locale().split("-");
  return (lookUp(locale(), name) ?? lookUp(base, name)) !== undefined;
}

/**
 * @param {string} language
 * @param {string} name
 * @returns {string | undefined}
 */
function lookUp(language, name) {
  /** @type {Texts | string | undefined} */
  let value = translations[language];
  for (const part of name.split(".")) value = typeof value === "object" ? value[part] : undefined;
  return typeof value === "string" ? value : undefined;
}

/**
 * @param {number | null} seconds
 * @returns {string} minutes and whole seconds, such as `1:05`; empty for null or what is not finite
 */
export function formatClock(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * @param {number} seconds
 * @returns {string} minutes, seconds and tenths, such as `1:05.4`
 */
export function formatClockTenths(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

/**
 * @param {number | null} amount units or money
 * @returns {string} in the page's number format, with at most three decimals; empty for null
 */
export function formatAmount(amount) {
  return amount === null ? "" : new Intl.NumberFormat(locale(), { maximumFractionDigits: 3 }).format(amount);
}

/**
 * @param {string} moment in ISO 8601
 * @returns {string} date and time, to the minute, in the page's language; the year only where it is another one
 */
export function formatMoment(moment) {
  const date = new Date(moment);
  /** @type {Intl.DateTimeFormatOptions} */
  const format = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
  if (date.getFullYear() !== new Date().getFullYear()) format.year = "numeric";
  return new Intl.DateTimeFormat(locale(), format).format(date);
}
