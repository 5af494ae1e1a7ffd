// @ts-check
/** ComfyUI's page. This module alone imports from it, and types what its published types leave open. */

import { app } from "../../../scripts/app.js";
import { api } from "../../../scripts/api.js";

export { api, app };

/**
 * @typedef {typeof app.rootGraph} LGraph
 * @typedef {NonNullable<ReturnType<LGraph["getNodeById"]>>} LGraphNode
 * @typedef {Extract<LGraph["nodes"][number], { subgraph: unknown }>} SubgraphNode
 * @typedef {ReturnType<typeof app.extensionManager.getSidebarTabs>[number]} SidebarTab
 */

/**
 * @typedef {{ title: string, message: string }} Question
 * @typedef {object} Dialogs
 * @property {(question: Question) => Promise<boolean | null>} confirm
 * @property {(question: Question & { defaultValue: string }) => Promise<string | null>} prompt
 */

/** @returns {Dialogs} modal dialogs, which answer null when they are closed without a choice */
export function dialogs() {
  return app.extensionManager.dialog;
}
