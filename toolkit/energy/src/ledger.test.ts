import { execFile } from "node:child_process";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";
import { EstimateSource } from "./estimate.ts";
import { Ledger } from "./ledger.ts";
import { readLedger } from "./ledger-file.ts";
import { Meter } from "./meter.ts";
import { makePassport, parsePassport } from "./passport.ts";
import { handMeter } from "./testing.ts";

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-ledger-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

const short = (
	rows: { name: string; joules: number | null; status: string }[],
) =>
	rows.map((r) => [
		r.name,
		r.joules === null ? null : Math.round(r.joules),
		r.status,
	]);

test("books stages that follow one another and stages within stages", async (t) => {
	const { meter, pass } = handMeter(100n);
	const ledger = new Ledger({ meter });
	await ledger.start();
	await ledger.stage("prepare", () => pass(1));
	const result = await ledger.stage("train", async (stage) => {
		await ledger.stage("align", () => pass(2));
		await ledger.stage("fine-tune", () => pass(3));
		await pass(4);
		await meter.point();
		t.is(Math.round(stage.energy().joules ?? 0), 900);
		return "adapter";
	});
	t.is(result, "adapter");
	const { stages, total } = ledger.summary();
	t.deepEqual(short(stages), [
		["prepare", 100, "done"],
		["train", 900, "done"],
		["align", 200, "done"],
		["fine-tune", 300, "done"],
	]);
	t.deepEqual(stages[2]?.path, ["train", "align"]);
	t.is(Math.round(total.joules ?? 0), 1000);
	t.is(Math.round(total.seconds), 10);
	t.is(total.coverage, 1);
	t.true(total.measured);
	await ledger.stop();
});

test("stages side by side count their common time once in the total", async (t) => {
	const { meter, pass } = handMeter(100n);
	const ledger = new Ledger({ meter });
	await ledger.start();
	let release: () => void = () => undefined;
	const first = ledger.stage(
		"a",
		() => new Promise<void>((r) => (release = r)),
	);
	await meter.point();
	await ledger.stage("b", () => pass(5));
	release();
	await first;
	const { stages, total } = ledger.summary();
	t.deepEqual(short(stages), [
		["a", 500, "done"],
		["b", 500, "done"],
	]);
	t.is(Math.round(total.joules ?? 0), 500);
});

test("a stage that throws is booked as failed and its error passes on", async (t) => {
	const { meter, pass } = handMeter(100n);
	const ledger = new Ledger({ meter });
	await ledger.start();
	const stage = ledger.stage("export", async () => {
		await pass(1);
		throw new TypeError("no");
	});
	await t.throwsAsync(stage, { instanceOf: TypeError });
	t.deepEqual(short(ledger.summary().stages), [["export", 100, "failed"]]);
});

test("a stage with no sensor behind it is unknown, not 0 J", async (t) => {
	const meter = new Meter({
		kind: "gauge",
		describe: () => ({
			sensor: "dead",
			rails: ["all"],
			scope: "a test",
			measured: true,
		}),
		read: async () => {
			throw new Error("gone");
		},
		close: async () => undefined,
	});
	const ledger = new Ledger({ meter });
	await ledger.start();
	await ledger.stage("fine-tune", async () => undefined);
	const summary = ledger.summary();
	t.is(summary.stages[0]?.joules, null);
	t.is(summary.total.joules, null);
	t.is(makePassport(summary).wattHours, null);
});

test("a resumed run goes on in the same file, whatever the crash left of its last line", async (t) => {
	const path = join(await folder(t), "run", "energy.jsonl");
	const one = handMeter(100n);
	const before = new Ledger({ meter: one.meter, path });
	await before.start();
	await before.stage("prepare", () => one.pass(1));
	// Dies in the middle of fine-tuning.
	void before.stage("fine-tune", () => new Promise(() => undefined));
	await one.meter.point();
	await one.pass(2);
	await one.meter.point();
	await before.stop();
	await appendFile(path, '{"event":"prog');
	const other = handMeter(100n);
	const after = new Ledger({ meter: other.meter, path });
	await after.start();
	t.deepEqual(short(after.summary().stages), [
		["prepare", 100, "done"],
		["fine-tune", 200, "interrupted"],
	]);
	await after.stage("fine-tune", () => other.pass(3));
	t.deepEqual(short(after.summary().stages), [
		["prepare", 100, "done"],
		["fine-tune", 500, "done"],
	]);
	await after.stop();
	await after.stop();
	t.true((await readFile(path, "utf8")).endsWith("\n"));
});

test("a killed process leaves what it had booked up to then", async (t) => {
	const path = join(await folder(t), "energy.jsonl");
	const script = `
		import { EstimateSource, Ledger, Meter, readLedger } from ${JSON.stringify(new URL("./index.js", import.meta.url).href)};
		const path = process.argv[1];
		const meter = new Meter(new EstimateSource(), { hz: 100 });
		await meter.start();
		const ledger = new Ledger({ meter, path, progressMs: 20 });
		await ledger.start();
		await ledger.stage("fine-tune", async () => {
			for (;;) {
				const lines = await readLedger(path);
				const { joules } = lines.find((l) => l.event === "start");
				const noted = lines.findLast((l) => l.event === "progress");
				if (noted && noted.joules - joules >= 1) process.kill(process.pid, "SIGKILL");
				await new Promise((r) => setTimeout(r, 5));
			}
		});`;
	await t.throwsAsync(
		promisify(execFile)(process.execPath, [
			"--input-type=module",
			"-e",
			script,
			path,
		]),
		{ message: /Command failed/ },
	);
	const ledger = new Ledger({ meter: new Meter(new EstimateSource()), path });
	await ledger.start();
	const [row] = ledger.summary().stages;
	await ledger.stop();
	t.is(row?.status, "interrupted");
	t.true((row?.joules ?? 0) >= 1);
	t.false(row?.measured);
});

test("a ledger that cannot be written says so before the work starts", async (t) => {
	const dir = await folder(t);
	await writeFile(join(dir, "file"), "");
	const { meter } = handMeter(100n);
	const ledger = new Ledger({ meter, path: join(dir, "file", "energy.jsonl") });
	await t.throwsAsync(ledger.start(), {
		name: "WattvoxError",
		message: /cannot write/,
	});
});

test("another program's file is refused, not read as a ledger", async (t) => {
	const path = join(await folder(t), "other.jsonl");
	await writeFile(path, '{"hello":1}\n');
	await t.throwsAsync(readLedger(path), {
		message: /other\.jsonl:1 is no ledger line/,
	});
	await t.throwsAsync(readLedger(`${path}.none`), { name: "WattvoxError" });
});

test("the passport carries Wh and grams, and null for what nobody knows", async (t) => {
	const { meter, pass } = handMeter(100n);
	const ledger = new Ledger({ meter });
	await ledger.start();
	await ledger.stage("train", () => pass(72));
	const made = new Date("2026-02-03T04:05:06Z");
	const known = makePassport(ledger.summary(), {
		made,
		intensity: { gramsPerKWh: 400, source: "fixed:400" },
	});
	t.is(known.made, "2026-02-03T04:05:06.000Z");
	t.is(known.wattHours, 2);
	t.is(known.gramsCO2e, 0.8);
	t.is(known.stages[0]?.gramsCO2e, 0.8);
	t.is(known.method, "measured");
	t.deepEqual(parsePassport(JSON.stringify(known)), known);
	const unknown = makePassport(ledger.summary(), { made });
	t.is(unknown.gramsCO2e, null);
	t.deepEqual(unknown.intensity, { gramsPerKWh: null, source: "unknown" });
	const without = ["the teacher at http://teacher/tts"];
	const lacking = makePassport(ledger.summary(), { made, without });
	t.deepEqual(parsePassport(JSON.stringify(lacking)), { ...unknown, without });
	t.false("without" in makePassport(ledger.summary(), { without: [] }));
	t.throws(() => parsePassport("{"), { message: /no JSON/ });
	t.throws(() => parsePassport(JSON.stringify({ ...known, wattHours: -1 })), {
		message: /wattHours/,
	});
});
