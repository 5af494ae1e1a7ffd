/**
 * What ComfyUI's page provides: two modules that are imported by URL, and two globals. The pattern in a
 * module's name stands for the way up, which depends on the folder of the importing file.
 */

declare module "*/scripts/app.js" {
  export const app: import("@comfyorg/comfyui-frontend-types").ComfyApp;
}

declare module "*/scripts/api.js" {
  export const api: import("@comfyorg/comfyui-frontend-types").ComfyApi;
}

declare const LiteGraph: {
  /** Return a node that is in no graph yet, null for an unknown type. */
  createNode(type: string): import("../js/shared/host.mjs").LGraphNode | null;
};
