import test from "ava";
import { parseLimits } from "./limits.ts";

test("limits are read by name; the last of a name counts", (t) => {
	t.deepEqual(parseLimits([]), {});
	t.deepEqual(
		parseLimits(["first-sound-ms=300", "underruns=0", "real-time-factor=0.5"]),
		{ firstSoundMs: 300, underruns: 0, realTimeFactor: 0.5 },
	);
	t.deepEqual(parseLimits(["underruns=1", "underruns=2"]), { underruns: 2 });
	t.deepEqual(parseLimits(["joules-ratio=1.2", "joules-per-second=0.5"]), {
		joulesRatio: 1.2,
		joulesPerSecond: 0.5,
	});
	t.deepEqual(parseLimits(["mel-distance=1e-1", "length-difference=0"]), {
		melDistance: 0.1,
		lengthDifference: 0,
	});
});

test("what is no limit is refused", (t) => {
	for (const bad of [
		"underruns",
		"underruns=",
		"underruns=-1",
		"underruns=none",
		"underruns=1=2",
		"underruns=Infinity",
		"joy=1",
		"constructor=1",
		"",
	])
		t.throws(() => parseLimits([bad]), { code: "E_USAGE" }, bad);
});
