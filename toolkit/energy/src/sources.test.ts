import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { EstimateSource } from "./estimate.ts";
import { integrateCounter } from "./integrate.ts";
import { openPowerSource } from "./open.ts";
import { openRapl } from "./rapl.ts";
import type { CounterSource } from "./source.ts";
import { POWER_SOURCE_CONTRACT, type Subject } from "./source-contract.ts";

const FIXTURES = fileURLToPath(new URL("../fixtures/", import.meta.url));

/** A copy of a committed tree that a test may write to. */
async function tree(t: ExecutionContext, name: string): Promise<string> {
	const root = await mkdtemp(join(tmpdir(), "wattvox-energy-"));
	t.teardown(() => rm(root, { recursive: true, force: true }));
	await cp(join(FIXTURES, name), root, { recursive: true });
	return root;
}

function file(root: string, domain: string, name: string): string {
	return join(root, "sys/class/powercap", domain, name);
}

async function spend(root: string, domain: string, joules: number) {
	const path = file(root, domain, "energy_uj");
	const range = BigInt(
		await readFile(file(root, domain, "max_energy_range_uj"), "utf8"),
	);
	const now = BigInt(await readFile(path, "utf8"));
	await writeFile(path, `${(now + BigInt(joules * 1e6)) % range}\n`);
}

function rapl(root: string): CounterSource {
	const source = openRapl(root);
	if ("unavailable" in source) throw new Error(source.unavailable);
	return source;
}

async function reasonFor(root: string): Promise<string> {
	const source = openRapl(root);
	return "unavailable" in source ? source.unavailable : "available";
}

const SUBJECTS: Record<string, (t: ExecutionContext) => Promise<Subject>> = {
	"rapl, one package": async (t) => {
		const root = await tree(t, "intel-laptop");
		return { source: rapl(root), spend: () => spend(root, "intel-rapl:0", 1) };
	},
	"rapl, two packages, one about to wrap": async (t) => {
		const root = await tree(t, "intel-server");
		return { source: rapl(root), spend: () => spend(root, "intel-rapl:0", 1) };
	},
	"rapl, AMD": async (t) => {
		const root = await tree(t, "amd");
		return { source: rapl(root), spend: () => spend(root, "intel-rapl:0", 1) };
	},
	estimate: async () => ({ source: new EstimateSource(), spend: burn }),
};

/** Keeps this thread busy until the processor clock has certainly moved. */
async function burn(): Promise<void> {
	const { user } = process.cpuUsage();
	while (process.cpuUsage().user - user < 5000);
}

for (const [name, make] of Object.entries(SUBJECTS))
	for (const clause of POWER_SOURCE_CONTRACT)
		test(`${name}: ${clause.name}`, async (t) => {
			const subject = await make(t);
			await t.notThrowsAsync(() => clause.check(subject));
			await subject.source.close();
		});

test("rapl adds packages only: not core, dram, psys or the mmio copy", async (t) => {
	const laptop = rapl(await tree(t, "intel-laptop"));
	t.deepEqual(laptop.describe().rails, ["package-0"]);
	const root = await tree(t, "intel-server");
	const server = rapl(root);
	t.deepEqual(server.describe().rails, ["package-0", "package-1"]);
	const sums = integrateCounter(server.ranges);
	sums.add(await server.read());
	await spend(root, "intel-rapl:0", 1);
	await spend(root, "intel-rapl:1", 0.25);
	await spend(root, "intel-rapl:0:0", 0.5);
	// package-0 stood 0.6 J below its range: the first joule went over it.
	t.true(Math.abs(sums.add(await server.read()).joules - 1.25) < 1e-5);
});

test("a package that cannot be read makes rapl unavailable, with the reason", async (t) => {
	t.is(await reasonFor("/nowhere"), "no /sys/class/powercap");
	t.regex(
		await reasonFor(await tree(t, "virtual-machine")),
		/no package domain/,
	);
	const garbled = await tree(t, "intel-server");
	await writeFile(file(garbled, "intel-rapl:1", "energy_uj"), "n/a\n");
	t.regex(await reasonFor(garbled), /intel-rapl:1: .*holds no number/);
	const missing = await tree(t, "intel-server");
	await rm(file(missing, "intel-rapl:1", "energy_uj"));
	t.regex(await reasonFor(missing), /intel-rapl:1: ENOENT/);
});

test("a counter for root only is named as that", async (t) => {
	if (process.getuid?.() === 0) {
		t.log("root reads everything: the mode is not what is tested here");
		t.is(await reasonFor(await tree(t, "amd")), "available");
		return;
	}
	const root = await tree(t, "amd");
	await chmod(file(root, "intel-rapl:0", "energy_uj"), 0o000);
	t.regex(await reasonFor(root), /readable by root only/);
});

test("a sensor that falls silent is an error, not 0 W", async (t) => {
	const root = await tree(t, "amd");
	const source = rapl(root);
	await rm(file(root, "intel-rapl:0", "energy_uj"));
	await t.throwsAsync(source.read(), {
		name: "WattvoxError",
		message: /rapl: ENOENT/,
	});
});

test("the best source is opened, and what was passed over is said", async (t) => {
	const env = { PATH: "/nowhere" };
	const laptop = await openPowerSource({
		root: await tree(t, "intel-laptop"),
		env,
	});
	t.like(laptop.source.describe(), { sensor: "rapl", measured: true });
	t.deepEqual(
		laptop.skipped.map((s) => s.sensor),
		["ina3221", "tegrastats", "nvml", "nvidia-smi"],
	);
	const virtual = await openPowerSource({
		root: await tree(t, "virtual-machine"),
		env,
		estimate: { tdpWatts: 65, cores: 4 },
	});
	t.like(virtual.source.describe(), { sensor: "estimate", measured: false });
	t.regex(virtual.source.describe().assumption ?? "", /65 W over 4 cores/);
	t.is(virtual.skipped.length, 5);
	t.true(virtual.skipped.every((s) => s.reason.length > 0));
});

test("the estimate follows processor time exactly, however it is sampled", async (t) => {
	let ns = 5_000_000_000n;
	let cpu = 123;
	const source = new EstimateSource({
		tdpWatts: 100,
		idleShare: 0.2,
		cores: 4,
		now: () => ns,
		cpu: () => cpu,
	});
	const idle = await source.read();
	ns += 10_000_000_000n;
	const rested = await source.read();
	ns += 10_000_000_000n;
	cpu += 10e6; // one core busy for the ten seconds
	const worked = await source.read();
	const joules = (a: typeof idle, b: typeof idle) =>
		Number((b.microjoules[0] ?? 0n) - (a.microjoules[0] ?? 0n)) / 1e6;
	t.is(joules(idle, rested), 200); // 100 W * 0.2 * 10 s
	t.is(joules(rested, worked), 400); // and 100 W * 0.8 / 4 cores * 10 s
});
