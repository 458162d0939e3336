// The fault campaign as a program: `npm run bench -- faults`.
import { parseArgs } from "node:util";
import { campaign } from "./faults.ts";
import { FAULTS } from "./faults-mix.ts";

const USAGE = `npm run bench -- faults [options]

  --faults N       how many (default 500)
  --seed N         of the dice; the same seed gives the same faults (default: random, printed)
  --patience N     seconds until the device must be where it should be (default 120);
                   more on a machine that is busy with other work
  --only NAME      one kind of fault, as the result names it
  --json           for programs
`;

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			faults: { type: "string", default: "500" },
			seed: { type: "string" },
			patience: { type: "string", default: "120" },
			only: { type: "string" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) return void process.stdout.write(USAGE);
	const faults = Number(values.faults);
	const patienceMs = 1000 * Number(values.patience);
	const { only } = values;
	if (only !== undefined && !Object.hasOwn(FAULTS, only)) {
		const names = Object.keys(FAULTS).join(", ");
		process.stderr.write(`no such fault: ${only}; there are ${names}\n`);
		process.exitCode = 2;
		return;
	}
	if (!(Number.isSafeInteger(faults) && faults > 0 && patienceMs > 0)) {
		process.stderr.write(USAGE);
		process.exitCode = 2;
		return;
	}
	const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
	const log = (text: string) => process.stderr.write(`${text}\n`);
	log(`seed ${seed}`);
	const result = await campaign({
		...{ faults, seed, patienceMs, log },
		...(only !== undefined && { only: [only] }),
	});
	process.stdout.write(
		values.json
			? `${JSON.stringify(result)}\n`
			: `${JSON.stringify(result, null, 2)}\n`,
	);
	process.exitCode = result.violations.length > 0 ? 1 : 0;
}

await main();
