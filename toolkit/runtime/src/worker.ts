// The far side of an EngineHost: holds the ONNX Runtime sessions, so that their synchronous native
// calls block this thread and not the caller's event loop.
import { parentPort, workerData } from "node:worker_threads";
import type { ErrorCode } from "@wattvox/core";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import type { Port } from "./engine.ts";
import {
	type Answer,
	type Loaded,
	type Request,
	type SessionSettings,
	Skips,
	type WorkerData,
} from "./protocol.ts";
import { isDtype, type Tensor, type TensorData } from "./tensor.ts";

const sessions = new Map<number, InferenceSession>();
const skips = new Skips((workerData as WorkerData).skips);

function ports(metadata: readonly InferenceSession.ValueMetadata[]): Port[] {
	return metadata.map((m) => {
		if (!m.isTensor || !isDtype(m.type))
			throw new Error(
				`"${m.name}" is not a tensor of a type that is supported here`,
			);
		return { name: m.name, dtype: m.type, shape: [...m.shape] };
	});
}

function sessionOptions(s: SessionSettings): InferenceSession.SessionOptions {
	return {
		executionProviders: ["cpu"],
		intraOpNumThreads: s.threads,
		interOpNumThreads: 1,
		executionMode: "sequential",
		enableMemPattern: s.memPattern,
		enableCpuMemArena: s.arena,
		graphOptimizationLevel: s.optimise,
		logSeverityLevel: 4,
		extra: {
			session: { intra_op: { allow_spinning: s.spinning ? "1" : "0" } },
		},
	};
}

async function load(request: Request & { kind: "load" }): Promise<Loaded> {
	const options = sessionOptions(request.settings);
	// The two overloads differ only in their first argument.
	const session =
		typeof request.model === "string"
			? await InferenceSession.create(request.model, options)
			: await InferenceSession.create(request.model, options);
	try {
		const loaded = {
			inputs: ports(session.inputMetadata),
			outputs: ports(session.outputMetadata),
		};
		sessions.set(request.id, session);
		return loaded;
	} catch (thrown) {
		await session.release();
		throw thrown;
	}
}

async function run(
	request: Request & { kind: "run" },
): Promise<Record<string, Tensor>> {
	const session = sessions.get(request.engine);
	if (!session) throw new Error("the engine is gone");
	const feeds: Record<string, OrtTensor> = {};
	for (const [name, t] of Object.entries(request.feeds))
		feeds[name] = new OrtTensor(
			t.dtype as "float32",
			t.data as Float32Array,
			t.dims,
		);
	const results = await session.run(feeds, request.outputs);
	const out: Record<string, Tensor> = {};
	for (const [name, value] of Object.entries(results))
		out[name] = plain(value as OrtTensor);
	return out;
}

/** An ORT tensor as one of ours, with a buffer of its own that can be transferred. */
function plain(t: OrtTensor): Tensor {
	if (!isDtype(t.type)) throw new Error(`an output of type ${t.type}`);
	let data = t.data as TensorData;
	// Where Node has arrays of halves, ORT hands those out; here halves are their bits.
	if (t.type === "float16" && !(data instanceof Uint16Array)) {
		const halves = data as ArrayBufferView;
		data = new Uint16Array(
			halves.buffer as ArrayBuffer,
			halves.byteOffset,
			halves.byteLength / 2,
		);
	}
	if (data.byteLength !== data.buffer.byteLength)
		data = data.slice() as TensorData;
	return { dtype: t.type, dims: [...t.dims], data } as Tensor;
}

async function serve(request: Request): Promise<Answer> {
	if (request.kind !== "free" && skips.has(request.id))
		return {
			id: request.id,
			ok: false,
			code: "E_INTERRUPTED",
			message: "the run was abandoned",
		};
	try {
		if (request.kind === "load")
			return { id: request.id, ok: true, value: await load(request) };
		if (request.kind === "run")
			return { id: request.id, ok: true, value: await run(request) };
		const session = sessions.get(request.engine);
		sessions.delete(request.engine);
		await session?.release();
		return { id: request.id, ok: true, value: null };
	} catch (thrown) {
		const message = thrown instanceof Error ? thrown.message : String(thrown);
		return { id: request.id, ok: false, code: codeOf(message), message };
	}
}

function codeOf(message: string): ErrorCode {
	if (/doesn't exist|NO_SUCHFILE|No such file/i.test(message))
		return "E_FILE_MISSING";
	if (/bad_alloc|failed to allocate|out of memory/i.test(message))
		return "E_MEMORY";
	return "E_MODEL";
}

const port = parentPort;
if (!port) throw new Error("worker.js runs in a worker thread");
// Requests arrive while one is under way; they are served one after the other, in order.
let turn: Promise<void> = Promise.resolve();
port.on("message", (request: Request) => {
	turn = turn.then(async () => {
		const answer = await serve(request);
		const moved = new Set<ArrayBuffer>();
		if (answer.ok && request.kind === "run")
			for (const t of Object.values(answer.value as Record<string, Tensor>))
				moved.add(t.data.buffer as ArrayBuffer);
		port.postMessage(answer, [...moved]);
	});
});
