import test from "ava";
import {
	deviceClassOf,
	makeAttestation,
	parseAttestation,
} from "./attestation.ts";
import { FAKE } from "./testing.ts";
import type { SpeechMeasurement } from "./workload.ts";

const MEASURED: SpeechMeasurement = {
	method: "Measured (fake: a test) over 12 blocks.",
	source: FAKE,
	utterances: 40,
	audioSeconds: 120,
	seconds: 31,
	realTimeFactor: { value: 0.26, plusMinus: 0.01 },
	idleWatts: { value: 4.8, plusMinus: 0.1 },
	busyWatts: { value: 7.9, plusMinus: 0.2 },
	joulesPerAudioSecond: {
		gross: { value: 2.04, plusMinus: 0.06 },
		marginal: { value: 0.8, plusMinus: 0.07 },
	},
	measured: true,
};
const ABOUT = {
	bundle: "ab".repeat(32),
	deviceClass: "jetson-orin-nano",
	device: "kitchen",
	runtime: "onnxruntime cpu, 1 thread",
	powerMode: "15W",
	temperatureC: { before: 48.5, after: 53 },
	made: new Date("2026-03-04T10:00:00Z"),
};

test("an attestation carries the figures with their intervals, and survives its file", (t) => {
	const made = makeAttestation(MEASURED, ABOUT);
	t.like(made, {
		bundle: ABOUT.bundle,
		made: "2026-03-04T10:00:00.000Z",
		joulesPerAudioSecond: { gross: { value: 2.04, plusMinus: 0.06 } },
		powerMode: "15W",
	});
	t.deepEqual(parseAttestation(JSON.parse(JSON.stringify(made))), made);
	// What nobody knows stays null, all the way.
	const unknown = makeAttestation(
		{
			...MEASURED,
			joulesPerAudioSecond: null,
			idleWatts: null,
			busyWatts: null,
		},
		{ ...ABOUT, powerMode: null, temperatureC: null, device: null },
	);
	t.is(parseAttestation(unknown).joulesPerAudioSecond, null);
	for (const bad of [
		{ bundle: "x" },
		{ deviceClass: "a/b" },
		{ more: 1 },
		{ seconds: -1 },
	])
		t.throws(() => parseAttestation({ ...made, ...bad }), {
			message: /^attestation: /,
		});
});

test("a kind of machine has a name of its own", (t) => {
	t.is(
		deviceClassOf("NVIDIA Jetson Orin Nano Developer Kit", "ARMv8"),
		"nvidia-jetson-orin-nano-developer-kit",
	);
	t.is(
		deviceClassOf(null, "Intel(R) Xeon(R) Processor @ 2.30GHz"),
		"intel-xeon-processor",
	);
	t.is(deviceClassOf(null, undefined), "unknown");
	t.regex(deviceClassOf("x".repeat(99), ""), /^x{64}$/);
});
