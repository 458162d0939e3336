// A process that takes a data folder's lock, for tests: told to over IPC.
import { asWattvoxError } from "@wattvox/core";
import { lockDir } from "./lock.ts";

const [dir = ""] = process.argv.slice(2);
process.on("disconnect", () => process.exit(0));
process.on("message", () => {
	lockDir(dir).then(
		() => process.send?.("held"),
		(thrown) => process.send?.(asWattvoxError(thrown).code),
	);
});
process.send?.("ready");
