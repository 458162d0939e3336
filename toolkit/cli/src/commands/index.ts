import type { Command } from "../command.ts";
import { keysNew } from "./keys-new.ts";

/** Every command. */
export const commands: readonly Command[] = [keysNew];

/** First words that several commands share. */
export const groups: Readonly<Record<string, string>> = {
	keys: "Signing keys",
};
