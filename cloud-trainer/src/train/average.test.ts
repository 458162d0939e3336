import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptyGraph, floats, GraphBuilder, type Tensor } from "@wattvox/onnx";
import test, { type ExecutionContext } from "ava";
import { averageIn, WeightAverage } from "./average.ts";
import { loadCheckpoint } from "./checkpoint.ts";
import { type FitOptions, fit } from "./fit.ts";

/** One number `w` that follows `x`: loss (w - x)^2. */
function graph() {
	const b = new GraphBuilder(emptyGraph("one"));
	const gap = b.sub(
		b.weight("w", floats([0], [1])),
		b.input("x", "float32", [1]),
	);
	b.output(b.mean(b.mul(gap, gap)), "loss");
	return b.graph;
}

const x = (value: number) => ({ x: floats([value], [1]) });
const value = (parameters: ReadonlyMap<string, Tensor> | undefined) =>
	Number(parameters?.get("w")?.data[0]);
const near = (t: ExecutionContext, a: number, b: number) =>
	t.true(Math.abs(a - b) < 1e-6, `${a} is not ${b}`);

/** The target jumps, so that w dances. */
const options = (steps: number): FitOptions => ({
	graph: graph(),
	trainable: ["w"],
	steps,
	schedule: () => 0.1,
	batch: (step) => x(step % 2 ? 1 : -0.5),
});

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-average-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

test("the average is that of the formula, and leaves the steps as they are", async (t) => {
	const path: number[] = [];
	for (let n = 1; n <= 6; n++)
		path.push(value((await fit(options(n))).parameters));
	t.true(new Set(path).size > 3, "w moves");
	let mean = path[0] as number;
	const means = [mean];
	for (let n = 2; n <= 6; n++) {
		const d = Math.min(0.5, (n - 1) / (n + 2));
		mean = d * mean + (1 - d) * (path[n - 1] as number);
		means.push(mean);
	}
	const seen: number[] = [];
	const checkpoint = join(await folder(t), "one.ckpt");
	const done = await fit({
		...options(6),
		average: 0.5,
		checkpoint,
		validation: [x(0)],
		validateEvery: 1,
		onValidation: (loss) => seen.push(Math.sqrt(loss)),
	});
	near(t, value(done.parameters), mean);
	t.is(seen.length, 6);
	for (const [i, at] of seen.entries()) near(t, at, Math.abs(means[i] ?? 9));
	const { state } = (await loadCheckpoint(checkpoint)) as never as {
		state: Map<string, Tensor>;
	};
	near(t, value(state), path[5] as number);
	near(t, value(averageIn(state)), mean);
});

test("stopped after any step and resumed, an average is as if never stopped", async (t) => {
	const dir = await folder(t);
	const o = (name: string): FitOptions => ({
		...options(9),
		average: 0.8,
		checkpoint: join(dir, name),
		validation: [x(0.2)],
		validateEvery: 2,
	});
	for (const keepBest of [true, false]) {
		const whole = await fit({ ...o(`whole-${keepBest}`), keepBest });
		for (const at of [1, 4, 5]) {
			const stop = new AbortController();
			const name = `${keepBest}-${at}`;
			const broken = await fit({
				...o(name),
				keepBest,
				signal: stop.signal,
				onStep: (r) => r.step === at && stop.abort(),
			});
			t.is(broken.steps, at);
			const resumed = await fit({ ...o(name), keepBest });
			t.deepEqual(resumed.parameters, whole.parameters);
			t.deepEqual(resumed.best, whole.best);
			// Done already: the same again, from the checkpoint alone.
			t.deepEqual(
				(await fit({ ...o(name), keepBest })).parameters,
				whole.parameters,
			);
		}
	}
});

test("what is handed out is nobody else's", (t) => {
	const average = new WeightAverage(0.9);
	t.is(average.copy().size, 0);
	average.add(new Map([["w", floats([1], [1])]]), 1);
	const copy = average.copy();
	average.add(new Map([["w", floats([2], [1])]]), 2);
	t.is(value(copy), 1);
	near(t, value(average.copy()), 1.75);
	t.is(averageIn(new Map([["w", floats([1], [1])]])), undefined);
});
