import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";
import { MUTATIONS } from "./disk-mutations.ts";
import { Lanes } from "./lanes.ts";
import { type DiskMutation, makeMutant } from "./mutant.ts";
import type { Findings } from "./simulated-disk.ts";

const run = promisify(execFile);

/** Each is a process that is busy to its end. */
const lanes = new Lanes(2);

/** Runs the faults of the disk on the code as it is, or with one check taken out. */
async function campaign(
	t: ExecutionContext,
	mutation?: DiskMutation,
): Promise<Findings> {
	let dir = fileURLToPath(new URL(".", import.meta.url));
	if (mutation) {
		const mutant = await makeMutant(
			mutation,
			/^(?:disk-|simulated-disk)[a-z-]*\.js$/,
		);
		t.teardown(() => rm(mutant, { recursive: true }));
		dir = mutant;
	}
	const args = [join(dir, "disk-faults-main.js")];
	if (mutation) args.push(mutation.part);
	const { stdout } = await run(process.execPath, args).catch(
		(thrown: { stdout?: string; stderr?: string }) => {
			if (!thrown.stdout) throw new Error(thrown.stderr);
			return { stdout: thrown.stdout };
		},
	);
	return JSON.parse(stdout) as Findings;
}

test("power cuts and damage at every step leave a device that goes on", async (t) => {
	t.timeout(600_000);
	const { faults, violations } = await lanes.run(() => campaign(t));
	t.deepEqual(violations, []);
	t.true(faults > 80, `${faults}`);
	t.log(`${faults} faults`);
});

for (const mutation of MUTATIONS)
	test(`it is noticed when ${mutation.what} is taken out`, async (t) => {
		t.timeout(600_000);
		const { violations } = await lanes.run(() => campaign(t, mutation));
		t.true(violations.length > 0);
		t.log(violations[0]);
	});
