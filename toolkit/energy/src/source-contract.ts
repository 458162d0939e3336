import assert from "node:assert/strict";
import { between } from "./integrate.ts";
import { Meter } from "./meter.ts";
import {
	type CounterReading,
	type PowerSource,
	type SingleSource,
	SourceDescriptionSchema,
} from "./source.ts";

/** A source under test, and a way to let some energy pass through what it looks at. */
export interface Subject {
	source: PowerSource;
	/** Spends energy: a fixture's counter is moved on, a real one is given work. */
	spend(): Promise<void>;
}

/** The sensors behind a source: what the promises about readings are about. */
function sensors(source: PowerSource): readonly SingleSource[] {
	return source.kind === "sum" ? source.parts : [source];
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
			for (const sensor of sensors(source)) {
				let last = 0n;
				for (let i = 0; i < 3; i++) {
					const { atNs } = await sensor.read();
					assert.ok(atNs >= last, "stepped back");
					last = atNs;
					await spend();
				}
				const now = process.hrtime.bigint();
				assert.ok(last <= now, "in the future");
				assert.ok(now - last < 60_000_000_000n, "another clock");
			}
		},
	},
	{
		name: "readings fit the rails and their ranges",
		async check({ source }) {
			for (const sensor of sensors(source)) {
				const { rails } = sensor.describe();
				const reading = await sensor.read();
				if (sensor.kind === "gauge") {
					assert.ok("watts" in reading);
					assert.ok(Number.isFinite(reading.watts) && reading.watts >= 0);
					continue;
				}
				const { microjoules } = reading as CounterReading;
				assert.equal(sensor.ranges.length, rails.length);
				assert.equal(microjoules.length, rails.length);
				for (const [rail, value] of microjoules.entries()) {
					const range = sensor.ranges[rail] ?? null;
					assert.ok(value >= 0n && (range === null || value <= range));
				}
			}
		},
	},
	{
		name: "energy spent shows as energy, never as nothing",
		async check({ source, spend }) {
			const meter = new Meter(source);
			const from = await meter.point();
			await spend();
			const { joules } = between(from, await meter.point());
			assert.ok(joules !== null && joules > 0, `${joules} J`);
		},
	},
	{
		name: "answers readings that overlap",
		async check({ source }) {
			for (const sensor of sensors(source)) {
				const readings = await Promise.all([
					sensor.read(),
					sensor.read(),
					sensor.read(),
				]);
				assert.equal(readings.length, 3);
			}
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
