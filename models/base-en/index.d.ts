/** Folder that holds base.json and the weights. */
export declare const baseDir: string;
