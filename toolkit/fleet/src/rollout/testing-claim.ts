// A process that takes a rollout's claim, for tests: told what to do over IPC.
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { asWattvoxError } from "@wattvox/core";
import { claimRollout } from "./claim.ts";

const [dir = "", id = ""] = process.argv.slice(2);
process.on("disconnect", () => process.exit(0));

/** Takes it and keeps it. */
async function hold(): Promise<string> {
	try {
		await claimRollout(dir, id);
		return "held";
	} catch (thrown) {
		return asWattvoxError(thrown).code;
	}
}

/** Takes it and gives it back, again and again; while it has it nobody else may. */
async function contend(rounds: number): Promise<string> {
	const alone = join(dir, "alone");
	let won = 0;
	for (let i = 0; i < rounds; i++) {
		let giveBack: () => Promise<void>;
		try {
			giveBack = await claimRollout(dir, id);
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			if (code !== "E_BUSY") return `${code}: ${message}`;
			continue;
		}
		won++;
		try {
			const handle = await open(alone, "wx");
			await handle.close();
		} catch {
			return "two at once";
		}
		await rm(alone);
		await giveBack();
	}
	return `won ${won}`;
}

process.on("message", (message: { rounds?: number }) => {
	void (message.rounds ? contend(message.rounds) : hold()).then((said) =>
		process.send?.(said),
	);
});
process.send?.("ready");
