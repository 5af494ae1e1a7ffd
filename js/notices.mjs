// @ts-check
/** Short notices in the corner of the page, and questions before something is done. */

import { app } from "../../scripts/app.js";
import { words } from "./words.mjs";

/**
 * Say something; what stays, and what nobody looked at, is there until somebody closes it.
 * @param {"success" | "info" | "warn" | "error"} severity
 * @param {string} detail
 * @param {{ stays?: boolean }} [options]
 */
export function notice(severity, detail, { stays = document.hidden } = {}) {
  const life = severity === "error" ? 12000 : 6000;
  const toast = { severity, summary: "Kling Once", detail };
  app.extensionManager.toast.add(stays ? toast : { ...toast, life });
}

/**
 * Do something, and say in words what kept it from being done.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T | undefined>}
 */
export async function tried(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) {
      notice("error", error instanceof Error ? error.message : String(error));
    }
    return undefined;
  }
}

/**
 * @param {string} message
 * @returns {Promise<boolean>}
 */
export async function confirmed(message) {
  const answer = await app.extensionManager.dialog.confirm({ title: "Kling Once", message });
  return answer === true;
}

/**
 * Show a text that is to be copied by hand.
 * @param {string} message
 * @param {string} text
 */
export async function shownToCopy(message, text) {
  await app.extensionManager.dialog.prompt({ title: "Kling Once", message, defaultValue: text });
}

/**
 * Do a change that only the server's own machine may make; from elsewhere ask for a one-time code.
 * @param {boolean} mayChange
 * @param {(code: string) => Promise<any>} work
 * @returns {Promise<any>}
 */
export async function trusted(mayChange, work) {
  if (mayChange) return tried(() => work(""));
  const code = await app.extensionManager.dialog.prompt({
    title: "Kling Once",
    message: words("code.ask"),
    defaultValue: "",
  });
  return code ? tried(() => work(code)) : undefined;
}
