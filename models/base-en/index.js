import { fileURLToPath } from "node:url";

/** Folder that holds base.json and the weights. */
export const baseDir = fileURLToPath(new URL(".", import.meta.url));
