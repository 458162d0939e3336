import { Meter } from "./meter.ts";
import type { SourceDescription } from "./source.ts";

/** A sensor that tests make up. */
export const FAKE: SourceDescription = {
	sensor: "fake",
	rails: ["all"],
	scope: "a test",
	measured: true,
};

/** A meter at a steady power whose time is moved by hand. */
export function handMeter(watts: bigint) {
	let ns = 1n;
	const meter = new Meter({
		kind: "counter",
		ranges: [null],
		describe: () => FAKE,
		read: async () => ({ atNs: ns, microjoules: [(ns * watts) / 1000n] }),
		close: async () => undefined,
	});
	const pass = async (seconds: number) => {
		ns += BigInt(seconds * 1e9);
	};
	return { meter, pass };
}
