import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptyGraph, floats, GraphBuilder, type Tensor } from "@wattvox/onnx";
import test, { type ExecutionContext } from "ava";
import { type FitOptions, fit } from "./fit.ts";

/** One number `w` that is to become `x`: loss (w - x)^2. */
function graph() {
	const b = new GraphBuilder(emptyGraph("one"));
	const gap = b.sub(
		b.weight("w", floats([0], [1])),
		b.input("x", "float32", [1]),
	);
	b.output(b.mean(b.mul(gap, gap)), "loss");
	return b.graph;
}

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-fit-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

const x = (value: number) => ({ x: floats([value], [1]) });
const value = (parameters: ReadonlyMap<string, Tensor>) =>
	Number(parameters.get("w")?.data[0]);

/** Training pulls w up to 1; validation wants 0.5, so it is best half-way. */
const options = (checkpoint: string): FitOptions => ({
	graph: graph(),
	loss: "loss",
	trainable: ["w"],
	steps: 12,
	schedule: () => 0.1,
	batch: () => x(1),
	validation: [x(0.5)],
	validateEvery: 1,
	keepBest: true,
	checkpoint,
});

test("the best validation's parameters come back, also from a checkpoint", async (t) => {
	const path = join(await folder(t), "one.ckpt");
	const once = await fit(options(path));
	t.is(once.steps, 12);
	t.true(Math.abs(value(once.parameters) - 0.5) < 0.06);
	t.true((once.best?.step ?? 12) < 8);
	// Done already: the same call gives the same, not the last step's parameters.
	const again = await fit(options(path));
	t.deepEqual(again.parameters, once.parameters);
	t.deepEqual(again.best, once.best);
	t.is(again.steps, 12);
	// Nothing is started for that, so not even the batches are asked for.
	await fit({
		...options(path),
		onStart: () => t.fail("a finished training starts nothing"),
	});
});

test("patience ends training, and it stays ended", async (t) => {
	const path = join(await folder(t), "one.ckpt");
	const o = {
		...options(path),
		patience: { validations: 2, gain: 0.01 },
	};
	const once = await fit(o);
	t.is(once.steps, (once.best?.step ?? 0) + 2);
	const steps: number[] = [];
	const again = await fit({ ...o, onStep: (r) => steps.push(r.step) });
	t.deepEqual(steps, []);
	t.deepEqual(again.parameters, once.parameters);
});

test("stopped after any step and resumed is as if never stopped", async (t) => {
	const dir = await folder(t);
	const o = (name: string) => ({
		...options(join(dir, name)),
		patience: { validations: 3, gain: 0.01 },
	});
	const whole = await fit(o("whole"));
	for (const at of [1, 6, 7]) {
		const stop = new AbortController();
		const broken = await fit({
			...o(`at-${at}`),
			signal: stop.signal,
			onStep: (r) => r.step === at && stop.abort(),
		});
		t.true(broken.interrupted);
		t.is(broken.steps, at);
		const resumed = await fit(o(`at-${at}`));
		t.false(resumed.interrupted);
		t.is(resumed.steps, whole.steps);
		t.deepEqual(resumed.best, whole.best);
		t.deepEqual(resumed.parameters, whole.parameters);
	}
});

test("a damaged checkpoint is an error, not a new start", async (t) => {
	const path = join(await folder(t), "one.ckpt");
	await fit({ ...options(path), steps: 2 });
	const bytes = await readFile(path, "latin1");
	await writeFile(path, bytes.replace("waited", "waitet"), "latin1");
	await t.throwsAsync(fit(options(path)), { code: "E_FILE_FORMAT" } as never);
});

test("a step that fails is what is reported, not the batch that was being made ahead", async (t) => {
	let fail: (why: Error) => void = () => undefined;
	const ahead = new Promise<Record<string, Tensor>>((_, reject) => {
		fail = reject;
	});
	const { checkpoint: _, validation: __, ...rest } = options("");
	await t.throwsAsync(
		fit({
			...rest,
			batch: (step) => (step === 0 ? { x: floats([1, 2]) } : ahead),
		}),
		{ code: "E_MODEL", message: /x/ },
	);
	// Nobody waits for this batch any more: its failure must not end the process.
	fail(new Error("late"));
	await t.throwsAsync(ahead, { message: "late" });
	// A batch that throws at once fails the run as well, after the step before it.
	const steps: number[] = [];
	await t.throwsAsync(
		fit({
			...rest,
			onStep: ({ step }) => steps.push(step),
			batch: (step) => {
				if (step > 0) throw new Error("no batch");
				return x(1);
			},
		}),
		{ message: "no batch" },
	);
	t.deepEqual(steps, [1]);
});
