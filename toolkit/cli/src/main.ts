import { commands, groups } from "./commands/index.ts";
import { run } from "./run.ts";

// `wattvox ... | head` closes the pipe early: that is no error of ours
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
	if (error.code !== "EPIPE") throw error;
});
process.exitCode = await run(process.argv.slice(2), commands, groups, process);
