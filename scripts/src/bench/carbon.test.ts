import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { replay } from "./carbon.ts";
import { boundByRules } from "./carbon-rules.ts";
import {
	HOUR,
	NoisyForecast,
	syntheticYear,
	yearFromFile,
} from "./carbon-year.ts";

test("the synthetic year is plausible, and the same each time", (t) => {
	const { values } = syntheticYear(1);
	t.is(values.length, 8760);
	t.deepEqual(values, syntheticYear(1).values);
	const mean = values.reduce((a, b) => a + b, 0) / values.length;
	t.true(mean > 180 && mean < 320, `${mean}`);
	t.true(Math.min(...values) >= 30 && Math.max(...values) < 700);
	const at = (hour: number, from: number, to: number) => {
		const some = values.filter(
			(_, i) => i % 24 === hour && i / 24 >= from && i / 24 < to,
		);
		return some.reduce((a, b) => a + b, 0) / some.length;
	};
	// Evenings are dirtier than noons, and the sun does more in summer.
	t.true(at(19, 0, 365) > at(12, 0, 365) + 30);
	t.true(at(19, 160, 200) - at(12, 160, 200) > at(19, 0, 40) - at(12, 0, 40));
});

test("a forecast errs as documented, and less the nearer the hour", (t) => {
	const year = syntheticYear(1);
	const noisy = new NoisyForecast(year, 0.035, 3);
	const off = (ahead: number) => {
		let sum = 0;
		let n = 0;
		for (let at = 0; at + 60 < year.values.length; at += 7, n++) {
			const told = noisy.from(at, 60)[ahead] as number;
			sum += Math.log(told / (year.values[at + ahead] as number)) ** 2;
		}
		return Math.sqrt(sum / n);
	};
	t.is(off(0), 0);
	t.true(Math.abs(off(1) - 0.035) < 0.004, `${off(1)}`);
	t.true(Math.abs(off(24) - 0.107) < 0.015, `${off(24)}`);
});

test("told the truth, the scheduler saves what the best placement saves; erring, less", async (t) => {
	const year = syntheticYear(1);
	const row = await replay(
		year,
		new NoisyForecast(year, 0.035, 101),
		4,
		24,
		331,
	);
	t.true(row.perfectPlacement > 0.1);
	t.true(row.perfectForecast >= 0.97 * row.perfectPlacement);
	t.true(row.perfectForecast <= row.perfectPlacement + 1e-9);
	t.true(row.withPauses >= row.perfectForecast - 0.003);
	t.true(row.realistic > 0.6 * row.perfectPlacement);
	t.true(row.realistic <= row.withPauses + 1e-9);
	t.is(row.late, 0);
});

test("a file is read as whole hours, holes from the day before", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-year-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const path = join(dir, "y.csv");
	const rows = Array.from({ length: 100 }, (_, i) => [
		new Date(Date.UTC(2020, 0, 1) + (i * HOUR) / 2).toISOString(),
		i === 60 || i === 61 ? "" : String(100 + (i % 2)),
	]);
	await writeFile(
		path,
		`Time,Carbon Intensity\n${rows.map((r) => r.join(",")).join("\n")}\n`,
	);
	const { values } = await yearFromFile(path);
	t.is(values.length, 49);
	t.true(values.every((v) => v === 100.5));
});

test("no rule beats the truth, waiting for the smallest forecast is one of them, and errors cost all of them", (t) => {
	const year = syntheticYear(2);
	const told = boundByRules(year, new NoisyForecast(year, 0, 1), 0, 12, 97);
	t.true(Math.abs(told.plain - 1) < 1e-9, `${told.plain}`);
	t.true(told.best <= 1 + 1e-9);
	const erring = boundByRules(
		year,
		new NoisyForecast(year, 0.1, 1),
		0.1,
		12,
		97,
	);
	t.true(erring.plain < 0.97 && erring.plain > 0.3, `${erring.plain}`);
	t.true(erring.best >= erring.plain && erring.best < 1, `${erring.best}`);
});
