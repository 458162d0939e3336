import assert from "node:assert/strict";
import { integrateCounter, integratePower } from "./integrate.ts";
import {
	type CounterReading,
	type PowerSource,
	SourceDescriptionSchema,
} from "./source.ts";

/** A source under test, and a way to let some energy pass through what it looks at. */
export interface Subject {
	source: PowerSource;
	/** Spends energy: a fixture's counter is moved on, a real one is given work. */
	spend(): Promise<void>;
}

/** One promise that every power source keeps. */
export interface Clause {
	name: string;
	check(subject: Subject): Promise<void>;
}

/**
 * The contract of the {@link PowerSource} port. Each adapter's tests run every clause on a fresh
 * subject; the contract knows no test runner.
 */
export const POWER_SOURCE_CONTRACT: readonly Clause[] = [
	{
		name: "describes itself whole, and the same way each time",
		async check({ source }) {
			const description = SourceDescriptionSchema.parse(source.describe());
			assert.deepEqual(source.describe(), description);
			assert.equal(new Set(description.rails).size, description.rails.length);
			// Its description survives the ledger, which is JSON.
			assert.deepEqual(JSON.parse(JSON.stringify(description)), description);
		},
	},
	{
		name: "an estimate says what it assumes, a sensor assumes nothing",
		async check({ source }) {
			const { measured, assumption } = source.describe();
			assert.equal(assumption !== undefined, !measured);
		},
	},
	{
		name: "its clock is the monotonic one and never steps back",
		async check({ source, spend }) {
			const before = process.hrtime.bigint();
			let last = before;
			for (let i = 0; i < 3; i++) {
				const { atNs } = await source.read();
				assert.ok(atNs >= last, "stepped back");
				last = atNs;
				await spend();
			}
			assert.ok(last <= process.hrtime.bigint(), "in the future");
		},
	},
	{
		name: "readings fit the rails and their ranges",
		async check({ source }) {
			const { rails } = source.describe();
			const reading = await source.read();
			if (source.kind === "gauge") {
				assert.ok("watts" in reading);
				assert.ok(Number.isFinite(reading.watts) && reading.watts >= 0);
				return;
			}
			const { microjoules } = reading as CounterReading;
			assert.equal(source.ranges.length, rails.length);
			assert.equal(microjoules.length, rails.length);
			for (const [rail, value] of microjoules.entries()) {
				const range = source.ranges[rail] ?? null;
				assert.ok(value >= 0n && (range === null || value <= range));
			}
		},
	},
	{
		name: "energy spent shows as energy, never as nothing",
		async check({ source, spend }) {
			let joules = 0;
			if (source.kind === "counter") {
				const sums = integrateCounter(source.ranges);
				sums.add(await source.read());
				await spend();
				joules = sums.add(await source.read()).joules;
			} else {
				const sums = integratePower();
				sums.add(await source.read());
				await spend();
				joules = sums.add(await source.read()).joules;
			}
			assert.ok(joules > 0, `${joules} J`);
		},
	},
	{
		name: "answers readings that overlap",
		async check({ source }) {
			const readings = await Promise.all([
				source.read(),
				source.read(),
				source.read(),
			]);
			assert.equal(readings.length, 3);
		},
	},
	{
		name: "can be closed twice",
		async check({ source }) {
			await source.close();
			await source.close();
		},
	},
];
