import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import type { CampaignResult } from "./faults.ts";
import { KILLED_PULLING } from "./faults-mix.ts";
import { Lanes } from "./lanes.ts";
import { type Mutation, makeMutant } from "./mutant.ts";

const run = promisify(execFile);

/** What wastes a link, and what the account of the campaign says of it. */
const WASTE: readonly (Mutation & { noticed: RegExp })[] = [
	{
		what: "a device that forgets after a restart which blocks it has",
		file: "bundle/dist/partial.js",
		find: "sha256(block) === file.blocks[i]",
		replace: "false",
		noticed: /is on the disk and is asked for/,
	},
	{
		what: "a store that sends each block twice",
		file: "link/dist/serve.js",
		find: "await this.#o.link.publish(to, message);",
		replace: "for (const _ of [1, 2]) await this.#o.link.publish(to, message);",
		noticed: /is sent and was not asked for/,
	},
	{
		what: "a device that asks for each window twice",
		file: "link/dist/fetch.js",
		find: "this.#request(wants)",
		replace: "this.#request(wants), this.#request(wants)",
		noticed: /is asked for again, and nobody said why/,
	},
	{
		what: "a device that asks for everything at once",
		file: "link/dist/fetch.js",
		find: "const room = credit - this.#unkept;",
		replace: "const room = 256;",
		noticed: /is under way beside a window of/,
	},
	{
		what: "a device that throws away what it has when it starts",
		file: "device-agent/dist/state.js",
		find: "const whole = await this.laidOut();",
		replace:
			"const whole = await this.laidOut(); " +
			"for (const part of await readdir(join(this.dir, 'store', 'partial')).catch(() => [])) " +
			"if (part.endsWith('.part')) await rm(join(this.dir, 'store', 'partial', part));",
		noticed: /is removed and is wished for/,
	},
];

/** Each is a house full of processes. */
const lanes = new Lanes(2);

for (const { noticed, ...mutation } of WASTE)
	test(`the account notices ${mutation.what}`, async (t) => {
		t.timeout(600_000);
		const mains = /^(?:faults|mutant)[a-z-]*\.js$/;
		const dir = await makeMutant(mutation, mains, ["fleet"]);
		t.teardown(() => rm(dir, { recursive: true }));
		const main = join(dir, "faults-main.js");
		// of this seed's voices the second is another one than the first
		const args = [
			"--faults",
			"1",
			"--seed",
			"2",
			"--only",
			KILLED_PULLING,
			"--patience",
			"240",
		];
		const { stdout } = await lanes
			.run(() => run(process.execPath, [main, ...args, "--json"]))
			.catch((thrown: { stdout?: string; stderr?: string }) => {
				if (!thrown.stdout) throw new Error(thrown.stderr);
				return { stdout: thrown.stdout };
			});
		const { violations } = JSON.parse(stdout) as CampaignResult;
		t.regex(violations.join("\n"), noticed);
		t.log(violations[0]);
	});
