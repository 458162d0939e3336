import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "@wattvox/core";
import test from "ava";
import { fileSource } from "./carbon/csv.ts";
import { fixedCarbon, UNKNOWN_CARBON } from "./carbon/source.ts";
import { weightedIntensity } from "./carbon/weighted.ts";
import { Ledger } from "./ledger.ts";
import { CODECARBON_COLUMNS, ledgerCsv } from "./ledger-csv.ts";
import { type LedgerLine, readLedger } from "./ledger-file.ts";
import { powerSteps } from "./ledger-power.ts";
import { Meter } from "./meter.ts";
import { sumOf } from "./sum.ts";
import { bar, powerChart } from "./terminal-chart.ts";
import { FAKE, handMeter } from "./testing.ts";

/** A processor at 30 W and a card at 70 W whose time is moved by hand. */
function machine() {
	let ns = 1n;
	const part = (sensor: string, domain: "cpu" | "gpu", watts: bigint) => ({
		kind: "counter" as const,
		ranges: [null],
		describe: () => ({ ...FAKE, sensor, rails: [sensor], domain }),
		read: async () => ({ atNs: ns, microjoules: [(ns * watts) / 1000n] }),
		close: async () => undefined,
	});
	const source = sumOf([part("rapl", "cpu", 30n), part("nvml", "gpu", 70n)]);
	return {
		meter: new Meter(source),
		pass: async (seconds: number) => {
			ns += BigInt(seconds * 1e9);
		},
	};
}

function csv(text: string): Record<string, string>[] {
	const [head = "", ...rows] = text.trimEnd().split("\n");
	const names = head.split(",");
	return rows.map((row) =>
		Object.fromEntries(row.split(",").map((v, i) => [names[i], v])),
	);
}

test("CSV in CodeCarbon's columns: kWh and kg, processor and cards apart, unknown is empty", async (t) => {
	const { meter, pass } = machine();
	const ledger = new Ledger({ meter, job: "train amy" });
	await ledger.start();
	await ledger.stage("prepare", () => pass(36));
	await ledger.stage("train", () => ledger.stage("inner", () => pass(3600)));
	await ledger.stop();
	const text = ledgerCsv(ledger.lines, {
		gramsPerKWh: 500,
		machine: { cpuModel: 'A "fast", one' },
	});
	const [head = ""] = text.split("\n");
	t.true(head.startsWith(CODECARBON_COLUMNS.join(",")));
	t.is(CODECARBON_COLUMNS.length, 38);
	t.true(text.includes('"A ""fast"", one"'));
	const rows = csv(ledgerCsv(ledger.lines, { gramsPerKWh: 500 }));
	t.is(rows.length, 2);
	const near = (a: string | undefined, b: number) =>
		t.true(Math.abs(Number(a) - b) < 1e-6 * b, `${a} for ${b}`);
	const train = rows[1];
	t.like(train, {
		project_name: "train amy",
		experiment_id: "train",
		tracking_mode: "machine",
		wattvox_measured: "true",
		ram_energy: "",
		country_name: "",
	});
	near(train?.duration, 3600);
	near(train?.energy_consumed, 0.1);
	near(train?.cpu_energy, 0.03);
	near(train?.gpu_energy, 0.07);
	near(train?.cpu_power, 30);
	near(train?.gpu_power, 70);
	near(train?.emissions, 0.05);
	near(train?.emissions_rate, 0.05 / 3600);
	t.is(csv(ledgerCsv(ledger.lines))[0]?.emissions, "");
});

test("the resting machine is looked at, and written down", async (t) => {
	const { meter, pass } = handMeter(40n);
	const clock = new ManualClock();
	const ledger = new Ledger({ meter });
	await ledger.start();
	const sleeper = {
		...clock,
		wall: () => 0,
		monotonic: () => 0,
		sleep: (ms: number) => pass(ms / 1000),
	};
	t.is(Math.round((await ledger.idle(3, sleeper)) ?? 0), 40);
	await ledger.stage("train", () => pass(10));
	const { total } = ledger.summary();
	t.is(Math.round(total.joules ?? 0), 400);
	t.is(Math.round(total.aboveIdle?.joules ?? 1), 0);
	await ledger.stop();
});

test("laps are booked from the newest readings and survive in the file; a torn line does not", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-laps-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const path = join(dir, "energy.jsonl");
	const { meter, pass } = handMeter(100n);
	const ledger = new Ledger({ meter, path });
	await ledger.start();
	await ledger.stage("train", async (stage) => {
		for (const step of [20, 40]) {
			await pass(step / 10);
			await meter.point();
			stage.lap("steps", step - 19, step);
		}
	});
	await ledger.utterance("hi", async () => {
		await pass(1);
		return { audioSeconds: 3 };
	});
	await ledger.stop();
	const lines = await readLedger(path);
	t.is(lines.filter((l) => l.event === "lap").length, 2);
	const again = new Ledger({ meter, path });
	await again.start();
	const { laps, utterances } = again.summary();
	await again.stop();
	t.deepEqual(
		laps.map((l) => Math.round(l.joules ?? 0)),
		[200, 400],
	);
	t.like(utterances[0], { audioSeconds: 3, name: "hi" });
});

test("power over time, from the notes of a ledger, and its chart", async (t) => {
	const { meter, pass } = handMeter(100n);
	const ledger = new Ledger({ meter });
	await ledger.start();
	await ledger.stage("a", () => pass(60));
	await ledger.stage("b", () => pass(60));
	await ledger.stop();
	const steps = powerSteps(ledger.lines);
	t.is(steps.length, 2);
	t.true(steps.every((s) => Math.round(s.watts ?? 0) === 100));
	t.is(
		powerChart(
			[
				{ from: 0, to: 30, watts: 50 },
				{ from: 30, to: 60, watts: 100 },
				{ from: 60, to: 90, watts: null },
			],
			6,
			2,
		),
		[
			"   100 W │  ██",
			"         │████",
			"     0 W └──────",
			"          0 to 1 min 30 s",
		].join("\n"),
	);
	t.is(powerChart([]), "");
	t.deepEqual(powerSteps([]), []);
	t.is(bar(0.5, 4), "██");
	t.is(bar(1 / 32, 4), "▏");
});

/** A stage of so many joules, begun at a moment. */
function booked(
	stage: number,
	at: string,
	seconds: number,
	joules: number,
): LedgerLine[] {
	const point = (s: number, j: number) => ({
		ns: String(BigInt(stage) * 10n ** 13n + BigInt(s * 1e9)),
		joules: j,
		coveredSeconds: stage * 1e4 + s,
	});
	const ids = { session: "s", stage };
	const before = stage * 1e6;
	return [
		{
			event: "start",
			...ids,
			parent: null,
			name: `n${stage}`,
			at,
			...point(0, before),
		},
		{ event: "end", ...ids, ok: true, ...point(seconds, before + joules) },
	];
}

test("the carbon of a ledger is that of the hours it ran in, by its joules", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-carbon-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const path = join(dir, "c.csv");
	const { writeFile } = await import("node:fs/promises");
	await writeFile(
		path,
		"time,g\n2026-03-04T10:00Z,100\n2026-03-04T11:00Z,400\n2026-03-04T12:00Z,\n",
	);
	const source = fileSource("csv:c", path, {
		unit: "gCO2e/kWh",
		kind: "average",
	});
	const lines: LedgerLine[] = [
		{ event: "session", version: 1, session: "s", at: "", source: FAKE },
		...booked(0, "2026-03-04T10:10:00Z", 600, 3000),
		...booked(1, "2026-03-04T11:10:00Z", 600, 1000),
	];
	const found = await weightedIntensity(lines, source);
	t.is(found.gramsPerKWh, (3 * 100 + 400) / 4);
	// Most of the joules in an hour that nobody knows: unknown, not the mean of the rest.
	const more = [...lines, ...booked(2, "2026-03-04T12:10:00Z", 600, 9000)];
	t.is((await weightedIntensity(more, source)).gramsPerKWh, null);
	t.is(
		(await weightedIntensity(lines, fixedCarbon("fixed:7", 7))).gramsPerKWh,
		7,
	);
	t.is((await weightedIntensity(lines, UNKNOWN_CARBON)).gramsPerKWh, null);
	t.is((await weightedIntensity([], source)).gramsPerKWh, null);
	// A source that fails is said, and leaves the figure unknown: nothing waits for it.
	const said: string[] = [];
	const none = fileSource("csv:none", join(dir, "none"), {
		unit: "g",
		kind: "average",
	});
	const failed = await weightedIntensity(lines, none, undefined, (why) =>
		said.push(why),
	);
	t.is(failed.gramsPerKWh, null);
	t.regex(said.join(), /cannot read .*: the CO2e is unknown/);
});
