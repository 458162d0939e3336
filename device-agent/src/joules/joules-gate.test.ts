import { createLog } from "@wattvox/core";
import { readBoard } from "@wattvox/energy";
import { type Reported, zReported } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import type { VoiceAt } from "../speaker/messages.ts";
import { jetson } from "./_sysfs.test.ts";
import { JoulesGate } from "./joules-gate.ts";
import type { JoulesLimits } from "./verdict.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const C = "c".repeat(64);
const signal = new AbortController().signal;
const voice = (digest: string, engine?: string): VoiceAt => ({
	...{ digest, dir: `/voices/${digest}` },
	...(engine !== undefined && {
		engine: {
			...{ id: engine, path: "/nowhere", sha256: "", size: 1 },
			ports: { inputs: [], outputs: [] },
		},
	}),
});

function device(
	t: ExecutionContext,
	watts: Record<string, number>,
	{
		limits = {},
		scatter = 0.01,
	}: { limits?: JoulesLimits; scatter?: number } = {},
) {
	const board = jetson(t, watts, scatter);
	board.set(2, 50);
	const live = { speaking: false };
	const gate = () =>
		new JoulesGate({
			...{ dataDir: board.root, threads: 1, tensorrt: null },
			source: () => board.source,
			board: () => readBoard(board.root),
			speaking: () => live.speaking,
			limits: () => limits,
			clock: board.clock,
			log: createLog("test", { level: "silent" }),
			...{ open: board.open, meter: board.meter },
		});
	return { ...board, live, gate };
}

test("on a Jetson's files: a voice that draws more than its limit is found out, one that does not passes", async (t) => {
	const d = device(t, { [A]: 9, [B]: 9.4, [C]: 12 });
	const gate = d.gate();
	t.deepEqual(gate.view(A, "onnxruntime"), {
		state: "wanted",
		at: Number.NEGATIVE_INFINITY,
	});
	await gate.measure(voice(A), null, signal);
	const first = gate.finding(A, "onnxruntime");
	t.is(first?.verdict, "not-compared");
	t.regex(
		first?.why ?? "",
		/^4\.\d\d ± 0\.0\d+ J per second of speech; not compared: there is no good voice/,
	);
	const near = (a: number | undefined, b: number) =>
		t.true(Math.abs((a ?? Number.NaN) - b) < 0.05, `${a} for ${b}`);
	// 9 W for half a second of computing per second of speech; 5 of them above rest
	near(first?.figure?.gross.value, 4.5);
	near(first?.figure?.marginal.value, 2.5);
	t.like(first?.figure, {
		...{
			sensor: "ina3221",
			powerMode: "MAXN_SUPER",
			temperature: "40 to 60 °C",
		},
		runtime: "onnxruntime, 1 thread",
	});
	t.deepEqual(gate.view(A, "onnxruntime"), { state: "passed" });

	const before = d.spoken.length;
	await gate.measure(voice(B), voice(A), signal);
	t.is(gate.finding(B, "onnxruntime")?.verdict, "passed");
	// the last good voice's own figure serves: it did not have to speak again
	t.true(d.spoken.slice(before).every((digest) => digest === B));

	await gate.measure(voice(C), voice(B), signal);
	const view = gate.view(C, "onnxruntime");
	t.is(view.state, "failed");
	t.regex(
		view.state === "failed" ? view.reason.message : "",
		/\+2\d\.\d % \(95 %: \+2\d\.\d % to \+\d+\.\d %\) against the last good voice at MAXN_SUPER, 40 to 60 °C/,
	);
	// it is on disk; asked for again it is measured again
	const later = d.gate();
	await later.recall();
	t.is(later.view(C, "onnxruntime").state, "failed");
	t.is(later.view(B, "onnxruntime").state, "passed");
	await later.forget(C);
	t.is(later.view(C, "onnxruntime").state, "wanted");
	const again = d.gate();
	await again.recall();
	t.is(again.view(C, "onnxruntime").state, "wanted");
	const told: Reported["joules"] = zReported.shape.joules.parse(first);
	t.is(told?.figure?.powerMode, "MAXN_SUPER");
});

test("another power mode or temperature: the last good voice is measured again, under the same", async (t) => {
	const d = device(t, { [A]: 9, [B]: 9.2 });
	const gate = d.gate();
	await gate.measure(voice(A), null, signal);
	d.set(0, 50);
	const before = d.spoken.length;
	await gate.measure(voice(B), voice(A), signal);
	t.is(gate.finding(B, "onnxruntime")?.verdict, "passed");
	t.regex(
		gate.finding(B, "onnxruntime")?.why ?? "",
		/against the last good voice at 15W/,
	);
	t.deepEqual(new Set(d.spoken.slice(before)), new Set([B, A]));
	// it warms up between the two: they are not compared
	d.set(0, 30);
	await gate.forget(B);
	const from = d.spoken.length;
	d.hooks.onSentence = () => {
		if (d.spoken.slice(from).includes(A)) d.set(0, 70);
	};
	await gate.measure(voice(B), voice(A), signal);
	t.is(gate.finding(B, "onnxruntime")?.verdict, "not-compared");
	t.regex(
		gate.finding(B, "onnxruntime")?.why ?? "",
		/measured at 15W, 60 to 80 °C.*this at 15W, 20 to 40 °C/,
	);
});

test("by another runtime a voice is measured anew, and never compared with what it drew by the one before", async (t) => {
	const d = device(t, { [A]: 9, [B]: 9.2, [`${A} by e`]: 7, [`${B} by e`]: 9 });
	const gate = d.gate();
	await gate.measure(voice(A), null, signal);
	await gate.measure(voice(A, "e"), null, signal);
	// B waits for its engine: compared with A without A's
	const from = d.spoken.length;
	await gate.measure(voice(B), voice(A, "e"), signal);
	t.deepEqual(new Set(d.spoken.slice(from)), new Set([B]));
	t.is(gate.finding(B, "onnxruntime")?.verdict, "passed");
	t.deepEqual(gate.view(B, "onnxruntime"), { state: "passed" });
	// the engine has come
	t.is(gate.view(B, "tensorrt").state, "wanted");
	t.is(gate.finding(B, "tensorrt"), undefined);
	await gate.measure(voice(B, "e"), voice(A, "e"), signal);
	const found = gate.finding(B, "tensorrt");
	t.is(found?.figure?.runtime, "tensorrt, 1 thread");
	t.is(found?.verdict, "failed");
	t.regex(found?.why ?? "", /tensorrt, 1 thread/);
	t.is(gate.view(B, "tensorrt").state, "failed");
	// both are kept, across restarts too, until it is wished for again
	const later = d.gate();
	await later.recall();
	t.is(later.view(B, "onnxruntime").state, "passed");
	t.is(later.view(B, "tensorrt").state, "failed");
	await later.forget(B);
	for (const runtime of ["onnxruntime", "tensorrt"] as const)
		t.is(later.view(B, runtime).state, "wanted");
});

test("the last good voice is measured without its engine beside a voice that has none", async (t) => {
	const d = device(t, { [A]: 9, [B]: 9.2, [`${A} by e`]: 7 });
	const gate = d.gate();
	await gate.measure(voice(A, "e"), null, signal);
	await gate.measure(voice(B), voice(A, "e"), signal);
	t.true(d.spoken.includes(A), "A spoke on ONNX Runtime");
	t.is(gate.finding(B, "onnxruntime")?.verdict, "passed");
	t.is(gate.finding(A, "tensorrt")?.figure?.runtime, "tensorrt, 1 thread");
});

test("a difference within the uncertainty does not fail", async (t) => {
	// 15 % more, but readings scatter by half
	const d = device(t, { [A]: 9, [B]: 10.4 }, { scatter: 0.5 });
	const gate = d.gate();
	await gate.measure(voice(A), null, signal);
	await gate.measure(voice(B), voice(A), signal);
	const { verdict, why } = gate.finding(B, "onnxruntime") ?? {};
	t.is(verdict, "passed", why);
	const [, low = ""] = /95 %: ([+-][\d.]+) %/.exec(why ?? "") ?? [];
	t.true(Number(low) < 10, why);
});

test("an own limit holds without any voice before it", async (t) => {
	const d = device(t, { [A]: 9 }, { limits: { joulesPerSecond: 4 } });
	const gate = d.gate();
	await gate.measure(voice(A), null, signal);
	t.is(gate.view(A, "onnxruntime").state, "failed");
	t.regex(gate.finding(A, "onnxruntime")?.why ?? "", /; 4 are allowed/);
});

test("whoever asks for speech ends a measurement; after some of them the voice passes as not measured", async (t) => {
	const d = device(t, {});
	const gate = d.gate();
	d.hooks.onSentence = (n) => {
		if (n === 5) gate.disturb();
	};
	await gate.measure(voice(A), null, signal);
	t.is(d.spoken.length, 5, "not a sentence more");
	const view = gate.view(A, "onnxruntime");
	t.true(view.state === "wanted" && view.at > d.clock.monotonic());
	d.hooks.onSentence = () => undefined;
	d.live.speaking = true;
	for (let n = 0; n < 4; n++) await gate.measure(voice(A), null, signal);
	t.is(d.spoken.length, 5);
	t.like(gate.finding(A, "onnxruntime"), {
		verdict: "not-measured",
		figure: null,
	});
	t.regex(
		gate.finding(A, "onnxruntime")?.why ?? "",
		/5 attempts were disturbed/,
	);
	t.is(gate.view(A, "onnxruntime").state, "passed");
	// of another voice nothing is held against it, and an agent that starts anew tries again
	t.is(gate.view(B, "onnxruntime").state, "wanted");
	t.is(d.gate().view(A, "onnxruntime").state, "wanted");
});

test("an agent that ends is not a disturbance; a mode that changes is", async (t) => {
	const d = device(t, {});
	const gate = d.gate();
	const stop = new AbortController();
	d.hooks.onSentence = () => stop.abort(new Error("over"));
	await t.throwsAsync(gate.measure(voice(A), null, stop.signal), {
		message: "over",
	});
	t.deepEqual(gate.view(A, "onnxruntime"), {
		state: "wanted",
		at: Number.NEGATIVE_INFINITY,
	});
	d.hooks.onSentence = (n) => d.set(n % 2, 50);
	await gate.measure(voice(A), null, signal);
	t.is(gate.finding(A, "onnxruntime"), undefined);
});

test("no sensor, a dead one, or one that only estimates: passes, and says so", async (t) => {
	const d = device(t, { [A]: 9 }, { limits: { joulesPerSecond: 1e-9 } });
	const gate = d.gate();
	const estimate = new JoulesGate({
		...{ dataDir: d.root, threads: 1, tensorrt: null },
		source: () =>
			({
				...d.source,
				describe: () => ({ ...d.source.describe(), measured: false }),
			}) as typeof d.source,
		board: () => readBoard(d.root),
		speaking: () => false,
		limits: () => ({}),
		clock: d.clock,
		log: createLog("test", { level: "silent" }),
	});
	t.is(estimate.view(A, "onnxruntime").state, "passed");
	t.like(estimate.finding(A, "onnxruntime"), {
		verdict: "not-measured",
		why: "not measured: this device has no power sensor",
	});
	d.hooks.dead = true;
	for (let n = 0; n < 5; n++) await gate.measure(voice(A), null, signal);
	t.is(gate.finding(A, "onnxruntime")?.verdict, "not-measured");
});
