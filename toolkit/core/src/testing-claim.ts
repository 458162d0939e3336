// A process that claims a name, for tests: told what to do over IPC.
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { claim } from "./claim.ts";
import { asWattvoxError } from "./errors.ts";

const [dir = "", name = ""] = process.argv.slice(2);
const take = () => claim(dir, name, String);
process.on("disconnect", () => process.exit(0));

/** Takes it and keeps it. */
async function hold(): Promise<string> {
	try {
		await take();
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
			giveBack = await take();
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
