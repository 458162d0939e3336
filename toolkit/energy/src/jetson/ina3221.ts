import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import type { GaugeSource, PowerReading, Unavailable } from "../source.ts";
import {
	numberOrNull,
	readNumber,
	textOrNull,
	whyUnreadable,
} from "../sysfs.ts";
import { chooseRails, isSpare } from "./rails.ts";

/** A rail and how its power is read, in watts. */
interface Rail {
	label: string;
	watts(): number;
}

/**
 * Opens the power monitors of a Jetson board: INA3221 as the kernel's hwmon driver shows it
 * (JetPack 5, 6 and 7) and the INA238 at the input of Thor's carrier board, under
 * `<root>/sys/bus/i2c/drivers`. Files: Documentation/hwmon/ina3221.rst and ina238.rst of the Linux
 * kernel; in1..in3 with curr1..curr3 are rails, in4..in7 are shunt voltages and are not read.
 */
export function openIna3221(root = "/"): GaugeSource | Unavailable {
	const drivers = join(root, "sys/bus/i2c/drivers");
	if (!existsSync(join(drivers, "ina3221")))
		return { unavailable: "no ina3221 driver: not a Jetson" };
	const rails = [
		...monitors(join(drivers, "ina3221")).flatMap(channels),
		...monitors(join(drivers, "ina238")).flatMap(input),
	];
	const choice = chooseRails(rails.map((r) => r.label));
	if (!choice) return { unavailable: "its monitors show no rail" };
	const used = rails.filter((r) => choice.use.includes(r.label));
	try {
		for (const rail of used) rail.watts();
	} catch (thrown) {
		// A sum without one of its rails would be less than the truth.
		return { unavailable: whyUnreadable(thrown) };
	}
	return new Ina3221(used, choice.scope);
}

class Ina3221 implements GaugeSource {
	readonly kind = "gauge";
	readonly #rails: readonly Rail[];
	readonly #scope: string;

	constructor(rails: readonly Rail[], scope: string) {
		this.#rails = rails;
		this.#scope = scope;
	}

	describe() {
		return {
			sensor: "ina3221",
			rails: this.#rails.map((r) => r.label),
			scope: this.#scope,
			measured: true,
		};
	}

	/** Reads synchronously, so that the rails are read at nearly one moment. */
	async read(): Promise<PowerReading> {
		try {
			const atNs = process.hrtime.bigint();
			const watts = this.#rails.reduce((sum, r) => sum + r.watts(), 0);
			// A rail that is switched off reads a little below zero: an offset, not a source of power.
			return { atNs, watts: Math.max(0, watts) };
		} catch (thrown) {
			throw new WattvoxError("E_SENSOR", `ina3221: ${whyUnreadable(thrown)}`, {
				cause: thrown,
			});
		}
	}

	async close(): Promise<void> {}
}

/** hwmon folders of a driver's chips. hwmonN is numbered anew at each boot. */
function monitors(driver: string): string[] {
	return list(driver)
		.filter((chip) => /^\d+-[0-9a-f]{4}$/.test(chip))
		.flatMap((chip) => {
			const hwmon = join(driver, chip, "hwmon");
			return list(hwmon).map((name) => join(hwmon, name));
		});
}

function channels(hwmon: string): Rail[] {
	return [1, 2, 3].flatMap((n): Rail[] => {
		const label = textOrNull(join(hwmon, `in${n}_label`)) ?? "";
		const off = numberOrNull(join(hwmon, `in${n}_enable`)) === 0;
		if (off || isSpare(label)) return [];
		const [volt, ampere] = [`in${n}_input`, `curr${n}_input`];
		// mV * mA = uW
		const watts = () =>
			(readNumber(join(hwmon, volt)) * readNumber(join(hwmon, ampere))) / 1e6;
		return [{ label, watts }];
	});
}

/** The one channel of an INA238, which calculates its power itself, in microwatts. */
function input(hwmon: string): Rail[] {
	const power = join(hwmon, "power1_input");
	if (numberOrNull(power) === null) return [];
	return [{ label: "VIN", watts: () => readNumber(power) / 1e6 }];
}

function list(dir: string): string[] {
	try {
		return readdirSync(dir).sort();
	} catch {
		return [];
	}
}
