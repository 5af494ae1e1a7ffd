// @ts-check
/** The notes of our templates in the page's language, where nobody has changed them. */

import { inEnglish, t } from "../shared/i18n.mjs";
import { allNodes } from "./graph.mjs";

const NOTES = ["first", "frames", "check", "parallel", "fetch", "upscale", "app"];

/** Say the notes of a template that was just opened. */
export function sayNotes() {
  const known = new Map(NOTES.map((name) => [inEnglish(`note.${name}`), name]));
  for (const { node } of allNodes()) {
    const widget = node.type === "MarkdownNote" ? node.widgets?.[0] : undefined;
    const name = typeof widget?.value === "string" ? known.get(widget.value) : undefined;
    if (widget && name) widget.value = t(`note.${name}`);
  }
}
