import { MessageChannel, parentPort, workerData } from "node:worker_threads";
import type { DType, Tensor } from "@wattvox/onnx";
import * as ort from "onnxruntime-node";
import {
	adamWPass,
	GRADIENT_NORM,
	gradientNorm,
	type StepScalars,
} from "./adamw-pass.ts";
import type {
	GradientUse,
	OptimiserSpec,
	Reply,
	Request,
	RunResult,
} from "./protocol.ts";
import { sessionOptions } from "./session.ts";

interface Program {
	session: ort.InferenceSession;
	/** Inputs fed from the state. */
	reads: string[];
	updates: [string, string][];
	gradients: [string, string][];
	results: string[];
}

const received = (t: Tensor | number[]): ort.Tensor =>
	Array.isArray(t) ? empty(t) : toOrt(t);
const toOrt = (t: Tensor): ort.Tensor =>
	new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.dims);
const fromOrt = (t: ort.Tensor): Tensor => ({
	dtype: t.type as DType,
	dims: [...t.dims],
	data: t.data as Float32Array,
});

const programs = new Map<string, Program>();
/** The live state, and the spare buffers that the next step writes: an output never aliases an input. */
const live = new Map<string, ort.Tensor>();
const spare = new Map<string, ort.Tensor>();
/** Weights that no step moves. */
const frozen = new Map<string, ort.Tensor>();
/** Gradients by parameter, of the batch so far. */
const sums = new Map<string, ort.Tensor>();
let optimiser: OptimiserSpec | undefined;

async function init({
	init: { programs: specs, threads, optimiser: spec },
	state,
	frozen: fixed,
}: Extract<Request, { kind: "init" }>): Promise<void> {
	for (const [name, t] of state) live.set(name, received(t));
	for (const [name, t] of fixed) frozen.set(name, received(t));
	optimiser = spec;
	for (const [name, spec] of Object.entries(specs)) {
		const session = await ort.InferenceSession.create(
			spec.model,
			sessionOptions(threads),
		);
		const gradients = spec.gradients ?? [];
		const written = new Set(
			[...spec.updates, ...gradients].map(([, output]) => output),
		);
		programs.set(name, {
			session,
			reads: session.inputNames.filter((n) => live.has(n) || frozen.has(n)),
			updates: spec.updates,
			gradients,
			results: session.outputNames.filter((n) => !written.has(n)),
		});
	}
}

/** Replaces state tensors that are known already: another model's checkpoint is refused whole. */
function replace(state: Map<string, Tensor>): void {
	for (const [name, { dims }] of state) {
		const known = live.get(name);
		if (!known) throw new Error(`the state has no ${name}`);
		if (known.dims.join() !== dims.join())
			throw new Error(`${name} is [${known.dims}], what is loaded [${dims}]`);
	}
	load(state);
}

function load(state: Map<string, Tensor>): void {
	for (const [name, tensor] of state) {
		live.set(name, toOrt(tensor));
		spare.delete(name);
	}
}

async function run(
	request: Extract<Request, { kind: "run" }>,
): Promise<RunResult> {
	const program = programs.get(request.program);
	if (!program) throw new Error(`no program ${request.program}`);
	if (request.guard && !program.session.outputNames.includes(request.guard))
		throw new Error(`${request.program} has no output ${request.guard}`);
	const feeds: Record<string, ort.Tensor> = {};
	for (const [name, tensor] of Object.entries(request.feeds))
		feeds[name] = toOrt(tensor);
	const batch = Object.values(feeds);
	for (const name of program.reads)
		feeds[name] = (live.get(name) ?? frozen.get(name)) as ort.Tensor;
	const fetches: Record<string, ort.Tensor | null> = {};
	for (const name of program.results) fetches[name] = null;
	for (const [state, output] of program.updates)
		fetches[output] = spareOf(state);
	// Not into buffers of ours: the binding copies what it gives back in any case.
	for (const [, output] of program.gradients) fetches[output] = null;
	const start = performance.now();
	const out = await program.session.run(feeds, fetches);
	for (const t of batch) free(t);
	const done =
		request.gradients && useGradients(program, out, request.gradients);
	const milliseconds = performance.now() - start;
	const guarded = done?.norm ?? out[request.guard ?? ""]?.data[0];
	const applied = (!request.guard && !done) || Number.isFinite(Number(guarded));
	if (applied)
		for (const [state, output] of program.updates) {
			const old = live.get(state) as ort.Tensor;
			live.set(state, out[output] as ort.Tensor);
			spare.set(state, old);
		}
	return {
		outputs: {
			...Object.fromEntries(
				program.results.map((n) => [n, fromOrt(out[n] as ort.Tensor)]),
			),
			...(done && {
				[GRADIENT_NORM]: {
					dtype: "float32" as const,
					dims: [],
					data: Float32Array.of(done.norm),
				},
			}),
		},
		applied,
		milliseconds,
	};
}

/** Adds the gradients just made to those before, and applies them at the end of a batch. */
function useGradients(
	{ gradients }: Program,
	out: Readonly<Record<string, ort.Tensor>>,
	{ add, apply }: GradientUse,
): { norm: number } | undefined {
	for (const [name, output] of gradients) {
		const made = out[output] as ort.Tensor;
		if (!add) {
			const old = sums.get(name);
			if (old) free(old);
			sums.set(name, made);
			continue;
		}
		const sum = numbers(sums, name);
		const part = made.data as Float32Array;
		for (let i = 0; i < sum.length; i++)
			sum[i] = (sum[i] as number) + (part[i] as number);
		free(made);
	}
	if (!apply) return undefined;
	const norm = applyGradients(gradients, apply);
	for (const t of sums.values()) free(t);
	sums.clear();
	return { norm };
}

/** A port that nobody listens to. */
const nowhere = new MessageChannel();
nowhere.port2.close();

/**
 * Gives a tensor's memory back at once. The collector would take its time: it sees small objects, not
 * the megabytes behind them. A buffer that is moved to a closed port is freed there and then.
 */
function free(t: ort.Tensor): void {
	const { buffer } = t.data as Float32Array;
	if (buffer instanceof ArrayBuffer && buffer.byteLength)
		nowhere.port1.postMessage(undefined, [buffer]);
}

/** @returns the norm before clipping; where it is not finite, nothing has changed */
function applyGradients(
	gradients: readonly [string, string][],
	scalars: StepScalars,
): number {
	if (!optimiser) throw new Error("there is no optimiser");
	const { options, parameters } = optimiser;
	const norm = gradientNorm(
		gradients.map(([name]) => numbers(sums, name)),
		scalars.unscale,
	);
	if (!Number.isFinite(norm)) return norm;
	const all = gradients.map(([name]) => ({
		w: numbers(live, name),
		m: numbers(live, `m.${name}`),
		v: numbers(live, `v.${name}`),
		g: numbers(sums, name),
		...(parameters[name] ?? { rate: 1, decay: 0 }),
	}));
	adamWPass(all, norm, scalars, options);
	return norm;
}

const numbers = (of: Map<string, ort.Tensor>, name: string): Float32Array =>
	(of.get(name) as ort.Tensor).data as Float32Array;

function empty(dims: readonly number[]): ort.Tensor {
	const size = dims.reduce((a, b) => a * b, 1);
	return new ort.Tensor("float32", new Float32Array(size), dims);
}

/** The buffer of that name, as large as the state's tensor. */
function bufferOf(of: Map<string, ort.Tensor>, name: string): ort.Tensor {
	let tensor = of.get(name);
	if (!tensor) {
		tensor = empty((live.get(name) as ort.Tensor).dims);
		of.set(name, tensor);
	}
	return tensor;
}

const spareOf = (name: string): ort.Tensor => bufferOf(spare, name);

async function handle(request: Request): Promise<unknown> {
	switch (request.kind) {
		case "init":
			return init(request);
		case "run":
			return run(request);
		case "state":
			return new Map(
				(request.names ?? [...live.keys()]).map((n) => [
					n,
					fromOrt(live.get(n) as ort.Tensor),
				]),
			);
		case "load":
			return replace(request.state);
		case "close":
			for (const p of programs.values()) await p.session.release();
			return undefined;
	}
}

/** The owner's wish to stop: messages cannot be read while a step computes, this can be read after it. */
const halt = workerData as Int32Array;

async function answer(request: Request): Promise<void> {
	if (Atomics.load(halt, 0) && request.kind !== "close") return;
	let reply: Reply;
	try {
		reply = { id: request.id, ok: true, value: await handle(request) };
	} catch (thrown) {
		reply = {
			id: request.id,
			ok: false,
			message: String((thrown as Error).message ?? thrown),
		};
	}
	parentPort?.postMessage(reply);
	// With the port closed nothing keeps the worker alive.
	if (request.kind === "close") parentPort?.close();
}

// One after the other: a run must see the state that the one before it left.
let last: Promise<void> = Promise.resolve();
parentPort?.on("message", (request: Request) => {
	last = last.then(() => answer(request));
});
