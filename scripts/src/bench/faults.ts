import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { WattvoxError } from "@wattvox/core";

/**
 * `bench faults`: the fault campaign of the tests, long. It has a process of its own, which ends all that
 * it started when it ends.
 * @throws WattvoxError E_BUG when the campaign found something, which it has printed then
 */
export async function run(argv: string[]): Promise<void> {
	const program = new URL("../../../test/dist/faults-main.js", import.meta.url);
	const child = spawn(process.execPath, [fileURLToPath(program), ...argv], {
		stdio: "inherit",
	});
	const code = await new Promise<number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("exit", resolve);
	});
	if (code === 2) process.exitCode = 2;
	else if (code !== 0)
		throw new WattvoxError("E_BUG", "the fault campaign did not pass");
}
