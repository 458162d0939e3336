import { parentPort, workerData } from "node:worker_threads";
import type { DType, Tensor } from "@wattvox/onnx";
import * as ort from "onnxruntime-node";
import type { Reply, Request, RunResult, StepperInit } from "./protocol.ts";
import { sessionOptions } from "./session.ts";

interface Program {
	session: ort.InferenceSession;
	/** Inputs fed from the state. */
	reads: string[];
	updates: [string, string][];
	results: string[];
}

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

async function init({
	programs: specs,
	state,
	threads,
}: StepperInit): Promise<void> {
	load(state);
	for (const [name, spec] of Object.entries(specs)) {
		const session = await ort.InferenceSession.create(
			spec.model,
			sessionOptions(threads),
		);
		const written = new Set(spec.updates.map(([, output]) => output));
		programs.set(name, {
			session,
			reads: session.inputNames.filter((n) => live.has(n)),
			updates: spec.updates,
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
	for (const name of program.reads) feeds[name] = live.get(name) as ort.Tensor;
	const fetches: Record<string, ort.Tensor | null> = {};
	for (const name of program.results) fetches[name] = null;
	for (const [state, output] of program.updates)
		fetches[output] = spareOf(state);
	const start = performance.now();
	const out = await program.session.run(feeds, fetches);
	const milliseconds = performance.now() - start;
	const applied =
		!request.guard || Number.isFinite(Number(out[request.guard]?.data[0]));
	if (applied)
		for (const [state, output] of program.updates) {
			const old = live.get(state) as ort.Tensor;
			live.set(state, out[output] as ort.Tensor);
			spare.set(state, old);
		}
	return {
		outputs: Object.fromEntries(
			program.results.map((n) => [n, fromOrt(out[n] as ort.Tensor)]),
		),
		applied,
		milliseconds,
	};
}

function spareOf(name: string): ort.Tensor {
	let tensor = spare.get(name);
	if (!tensor) {
		const like = live.get(name) as ort.Tensor;
		const size = (like.data as Float32Array).length;
		tensor = new ort.Tensor("float32", new Float32Array(size), like.dims);
		spare.set(name, tensor);
	}
	return tensor;
}

async function handle(request: Request): Promise<unknown> {
	switch (request.kind) {
		case "init":
			return init(request.init);
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
