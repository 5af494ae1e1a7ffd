// @ts-check
/** Toasts, questions, and one-time codes. */

import { app, dialogs } from "./host.mjs";
import { t } from "./i18n.mjs";

const TITLE = "Kling Once";
const ERROR_MS = 12_000;
const NOTICE_MS = 6_000;

/**
 * Show a toast in the corner of the page; while the page is hidden one that stays until it is closed.
 * @param {"success" | "info" | "warn" | "error"} severity
 * @param {string} detail
 */
export function showToast(severity, detail) {
  const life = severity === "error" ? ERROR_MS : NOTICE_MS;
  const toast = { severity, summary: TITLE, detail };
  app.extensionManager.toast.add(document.hidden ? toast : { ...toast, life });
}

/**
 * Show an error in the corner of the page that stays until somebody closes it.
 * @param {string} detail
 * @returns {() => void} closes it
 */
export function showStandingError(detail) {
  const toast = { severity: /** @type {const} */ ("error"), summary: TITLE, detail };
  app.extensionManager.toast.add(toast);
  return () => app.extensionManager.toast.remove(toast);
}

/**
 * Run something that may fail, and show its error as a toast. An aborted request shows nothing.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T | undefined>} undefined after an error
 */
export async function withErrorToast(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) showToast("error", messageOf(error));
    return undefined;
  }
}

/**
 * Run a change that the server's own machine may make at once; anywhere else ask for a one-time code first.
 * @template T
 * @param {boolean} mayChange whether no code is needed
 * @param {(code: string) => Promise<T>} work
 * @returns {Promise<T | undefined>} undefined after an error, and when no code is given
 */
export async function withOneTimeCode(mayChange, work) {
  if (mayChange) return withErrorToast(() => work(""));
  const code = await dialogs().prompt({ title: TITLE, message: t("code.ask"), defaultValue: "" });
  return code ? withErrorToast(() => work(code)) : undefined;
}

/**
 * Ask a question that is answered with yes or no.
 * @param {string} message
 * @returns {Promise<boolean>}
 */
export async function confirmed(message) {
  return (await dialogs().confirm({ title: TITLE, message })) === true;
}

/**
 * Show a text in a field, to be copied by hand.
 * @param {string} message
 * @param {string} text
 */
export async function showToCopy(message, text) {
  await dialogs().prompt({ title: TITLE, message, defaultValue: text });
}

/**
 * @param {unknown} error what was thrown
 * @returns {string}
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
