// @ts-check
/** Our templates in ComfyUI's template browser. */

import { api } from "./host.mjs";

/** The folder that the pack lies in, by which ComfyUI names its templates. */
const PACK = decodeURIComponent(/\/extensions\/([^/]+)\//.exec(import.meta.url)?.[1] ?? "");

/** List ours from 1 to n: ComfyUI lists the templates of a pack as its folder happens to hold them. */
export function orderTemplates() {
  const list = api.getWorkflowTemplates.bind(api);
  api.getWorkflowTemplates = async () => {
    const templates = await list();
    templates[PACK]?.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
    return templates;
  };
}
