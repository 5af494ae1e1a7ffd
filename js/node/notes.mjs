// @ts-check
/** The notes and titles of our templates in the page's language, where nobody has changed them. */

import { inEnglish, t } from "../shared/i18n.mjs";
import { allNodes } from "./graph.mjs";

const NOTES = ["first", "frames", "check", "parallel", "fetch", "upscale", "longDance", "element", "app"];
const TITLES = ["image", "clip", "long_clip", "other", "view"];

/** Say the notes and titles of a template that was just opened. */
export function sayNotes() {
  const notes = byEnglish("note", NOTES);
  const titles = byEnglish("title", TITLES);
  for (const { node } of allNodes()) {
    const title = titles.get(node.title);
    if (title) node.title = t(title);
    const widget = node.type === "MarkdownNote" ? node.widgets?.[0] : undefined;
    const note = typeof widget?.value === "string" ? notes.get(widget.value) : undefined;
    if (widget && note) widget.value = t(note);
  }
}

/**
 * @param {string} group
 * @param {string[]} names
 * @returns {Map<string | undefined, string>} the full names of texts, by what they are in English
 */
function byEnglish(group, names) {
  return new Map(names.map((name) => [inEnglish(`${group}.${name}`), `${group}.${name}`]));
}
