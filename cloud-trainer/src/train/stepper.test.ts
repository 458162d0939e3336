import { normal, seededRandom } from "@wattvox/models";
import {
	encodeModel,
	floats,
	type Graph,
	GraphBuilder,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import test from "ava";
import { adamWScalars, GRADIENT_NORM } from "./adamw.ts";
import type { StepperInit } from "./protocol.ts";
import { Stepper } from "./stepper.ts";
import { trainingGraph } from "./training-graph.ts";

const [BATCH, WIDTH] = [8, 64];

/** Two layers towards a target; `log` of the scale input makes the loss infinite at 0. */
function model(): Graph {
	const random = seededRandom(5);
	const draw = (n: number, std: number) =>
		Float32Array.from({ length: n }, () => std * normal(random));
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["B", WIDTH]);
	const y = b.input("y", "float32", ["B", WIDTH]);
	const scale = b.input("scale", "float32", []);
	let h: Value = x;
	for (const name of ["w1", "w2"]) {
		const w = b.weight(name, floats(draw(WIDTH * WIDTH, 0.1), [WIDTH, WIDTH]));
		h = b.op("Tanh", [b.matmul(h, w)]);
	}
	h = b.add(h, b.weight("b", floats(new Float32Array(WIDTH))));
	const e = b.sub(h, y);
	b.output(b.mul(b.mean(b.mul(e, e)), b.op("Reciprocal", [scale])), "loss");
	return b.graph;
}

const training = trainingGraph(model(), "loss", ["w1", "w2", "b"]);
const START: StepperInit = {
	programs: {
		train: {
			model: encodeModel(training.graph),
			updates: training.slots.map((s) => [s.input, s.output]),
		},
	},
	state: training.state,
	threads: 1,
};

/** Feeds of step `t`, from 1. */
function feeds(t: number, scale = 1): Record<string, Tensor> {
	const random = seededRandom(100 + t);
	const draw = () =>
		floats(
			Float32Array.from({ length: BATCH * WIDTH }, () => normal(random)),
			[BATCH, WIDTH],
		);
	return {
		x: draw(),
		y: draw(),
		scale: floats([scale], []),
		...adamWScalars(0.01, t),
	};
}

const step = (s: Stepper, t: number, scale = 1) =>
	s.run("train", feeds(t, scale), GRADIENT_NORM);

/** A stepper that is stopped when the test ends. */
async function started(
	t: { teardown: (end: () => Promise<void>) => void },
	init: StepperInit = START,
): Promise<Stepper> {
	const stepper = new Stepper(init);
	t.teardown(() => stepper.stop());
	await stepper.start();
	return stepper;
}

const furthest = (a: Map<string, Tensor>, b: Map<string, Tensor>): number => {
	let most = 0;
	for (const [name, { data }] of a)
		for (const [i, e] of data.entries())
			most = Math.max(most, Math.abs(Number(e) - Number(b.get(name)?.data[i])));
	return most;
};

test("steps lower the loss, and hand out what is not state", async (t) => {
	const stepper = await started(t);
	const losses: number[] = [];
	for (let i = 1; i <= 30; i++) {
		const { outputs, applied, milliseconds } = await stepper.run(
			"train",
			{ ...feeds(1), ...adamWScalars(0.01, i) },
			GRADIENT_NORM,
		);
		t.true(applied);
		t.true(milliseconds > 0);
		t.deepEqual(Object.keys(outputs).sort(), [GRADIENT_NORM, "loss"].sort());
		losses.push(Number(outputs.loss?.data[0]));
	}
	t.true((losses.at(-1) ?? 1) < (losses[0] ?? 0) / 2, losses.join(" "));
});

test("a step that is not finite leaves the state untouched, and the next goes on from it", async (t) => {
	const [a, b] = [await started(t), await started(t)];
	await step(a, 1);
	await step(b, 1);
	const before = await a.state();
	const dropped = await step(a, 2, 0);
	t.false(dropped.applied);
	t.false(Number.isFinite(dropped.outputs[GRADIENT_NORM]?.data[0]));
	t.deepEqual(await a.state(), before);
	t.true((await step(a, 2)).applied);
	await step(b, 2);
	t.deepEqual(await a.state(), await b.state());
});

test("runs that are asked for at once happen one after the other", async (t) => {
	const [a, b] = [await started(t), await started(t)];
	await Promise.all([1, 2, 3, 4].map((i) => step(a, i)));
	for (const i of [1, 2, 3, 4]) await step(b, i);
	t.deepEqual(await a.state(), await b.state());
});

test("one thread and two end in the same place", async (t) => {
	const one = await started(t);
	const two = await started(t, { ...START, threads: 2 });
	for (const i of [1, 2, 3, 4, 5]) {
		await step(one, i);
		await step(two, i);
	}
	const [a, b] = [await one.state(), await two.state()];
	// Sums in another order: float32 rounding, through Adam's division at worst some 1e-4 of a step.
	t.true(furthest(a, b) < 1e-5, String(furthest(a, b)));
	t.true(furthest(a, training.state) > 1e-2);
});

test("a run resumed from its state is the run that was not interrupted", async (t) => {
	const whole = await started(t);
	const first = await started(t);
	for (const i of [1, 2, 3]) {
		await step(whole, i);
		await step(first, i);
	}
	const kept = await first.state();
	await first.stop();
	for (const i of [4, 5, 6]) await step(whole, i);
	// As the initial state, and loaded into a stepper that has run something else.
	const resumed = await started(t, { ...START, state: kept });
	const loaded = await started(t);
	await step(loaded, 9);
	await loaded.load(kept);
	for (const i of [4, 5, 6]) {
		await step(resumed, i);
		await step(loaded, i);
	}
	const end = await whole.state();
	t.deepEqual(await resumed.state(), end);
	t.deepEqual(await loaded.state(), end);
});

test("the state handed out is a copy, and can be asked for by name", async (t) => {
	const stepper = await started(t);
	const some = await stepper.state(["b"]);
	t.deepEqual([...some.keys()], ["b"]);
	some.get("b")?.data.fill(7 as never);
	t.deepEqual(
		await stepper.state(["b"]),
		new Map([["b", training.state.get("b") as Tensor]]),
	);
});

test("a state of another model is refused whole", async (t) => {
	const stepper = await started(t);
	const b = floats(new Float32Array(WIDTH).fill(1));
	await t.throwsAsync(
		stepper.load(
			new Map([
				["b", b],
				["ghost", b],
			]),
		),
		{
			code: "E_MODEL",
			message: /ghost/,
		},
	);
	await t.throwsAsync(
		stepper.load(
			new Map([
				["b", b],
				["w1", b],
			]),
		),
		{
			code: "E_MODEL",
			message: /w1/,
		},
	);
	t.deepEqual(await stepper.state(), training.state);
});

test("programs beside the training step read the same state and leave it alone", async (t) => {
	const b = new GraphBuilder();
	b.output(b.sum(b.input("b", "float32", [WIDTH])), "sum");
	const stepper = await started(t, {
		...START,
		programs: {
			...START.programs,
			look: { model: encodeModel(b.graph), updates: [] },
		},
	});
	await step(stepper, 1);
	const { outputs } = await stepper.run("look", {});
	const state = await stepper.state(["b"]);
	let sum = 0;
	for (const e of state.get("b")?.data ?? []) sum += Number(e);
	t.true(Math.abs(Number(outputs.sum?.data[0]) - sum) < 1e-6);
	t.not(sum, 0);
});

test("wrong names are errors, and the stepper lives on", async (t) => {
	const stepper = await started(t);
	await t.throwsAsync(stepper.run("ghost", {}), {
		code: "E_MODEL",
		message: /ghost/,
	});
	await t.throwsAsync(stepper.run("train", feeds(1), "ghost"), {
		code: "E_MODEL",
		message: /ghost/,
	});
	const { x: _, ...rest } = feeds(1);
	await t.throwsAsync(stepper.run("train", rest), {
		code: "E_MODEL",
		message: /x/,
	});
	t.true((await step(stepper, 1)).applied);
});

test("a program that is no model fails at the start, and nothing is left running", async (t) => {
	const stepper = new Stepper({
		...START,
		programs: { train: { model: Uint8Array.of(1, 2, 3), updates: [] } },
	});
	await t.throwsAsync(stepper.start(), { code: "E_MODEL" });
	await t.throwsAsync(step(stepper, 1), { code: "E_BUG" });
	await stepper.stop();
});

test("stopping may come before the start, twice at once, and again; then it may start anew", async (t) => {
	const stepper = new Stepper(START);
	await stepper.stop();
	await stepper.start();
	await t.throwsAsync(stepper.start(), { code: "E_BUG" });
	await Promise.all([stepper.stop(), stepper.stop()]);
	await stepper.stop();
	await t.throwsAsync(step(stepper, 1), { code: "E_BUG" });
	await stepper.start();
	t.true((await step(stepper, 1)).applied);
	await stepper.stop();
});

/** A graph that computes for long: a chain of products. */
function long(rounds: number): Uint8Array {
	const b = new GraphBuilder();
	const size = 256;
	const x = b.input("x", "float32", [size, size]);
	let h: Value = x;
	for (let i = 0; i < rounds; i++) h = b.op("Tanh", [b.matmul(h, x)]);
	b.output(b.sum(h), "sum");
	return encodeModel(b.graph);
}

const LONG: StepperInit = {
	programs: { long: { model: long(400), updates: [] } },
	state: new Map(),
	threads: 1,
};
const SQUARE = {
	x: floats(new Float32Array(256 * 256).fill(0.01), [256, 256]),
};

test("the event loop keeps turning while a step computes", async (t) => {
	const stepper = await started(t, LONG);
	let ticks = 0;
	const timer = setInterval(() => ticks++, 1);
	const { milliseconds } = await stepper.run("long", SQUARE);
	clearInterval(timer);
	t.log(`${ticks} ticks in ${Math.round(milliseconds)} ms`);
	t.true(ticks > 0);
});

test("stopping in the middle of a run rejects it and what waits behind it", async (t) => {
	const stepper = await started(t, LONG);
	const runs = [stepper.run("long", SQUARE), stepper.run("long", SQUARE)].map(
		(run) => t.throwsAsync(run, { code: "E_INTERRUPTED" }),
	);
	await stepper.stop();
	await Promise.all(runs);
	await t.throwsAsync(stepper.state(), { code: "E_BUG" });
});
