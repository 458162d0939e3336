// TensorRT made up for tests: an "engine" is the model it was built from, ONNX Runtime runs it, and it can
// be told to lie. What needs the shim's ABI is tested with the shim's own stand-in.

import { readFile, writeFile } from "node:fs/promises";
import { type ErrorCode, WattvoxError } from "@wattvox/core";
import { decodeModel, encodeModel, type Graph } from "@wattvox/onnx";
import { createEngine, type Results } from "@wattvox/runtime";
import type {
	BuildRequest,
	BuiltEngine,
	RefitRequest,
	Refitted,
	TensorRtFacts,
	Trial,
	TrialRequest,
	Workshop,
} from "@wattvox/runtime/tensorrt";
import { ORIN } from "@wattvox/runtime/testing";

/** What a made-up TensorRT is asked to do wrong; each may depend on whether the engine allows refits. */
export interface Lies {
	build?: (refit: boolean) => ErrorCode | undefined;
	trial?: (refit: boolean) => ErrorCode | undefined;
	refit?: () => ErrorCode | undefined;
	/** Changes a sample. */
	wave?: (sample: number, refit: boolean) => number;
	/** Initialisers that cannot be replaced. */
	fixed?: readonly string[];
	tensorrt?: string;
}

interface Fake {
	refit: boolean;
	tensorrt: string;
	onnx: string;
}

export class FakeWorkshop implements Workshop {
	lies: Lies;
	readonly builds: BuildRequest[] = [];
	trials = 0;
	refits = 0;

	constructor(lies: Lies = {}) {
		this.lies = lies;
	}

	get #facts(): TensorRtFacts {
		return { ...ORIN, tensorrt: this.lies.tensorrt ?? ORIN.tensorrt };
	}

	async facts(): Promise<TensorRtFacts> {
		return this.#facts;
	}

	async buildEngine(
		onnx: Uint8Array | string,
		request: BuildRequest = {},
	): Promise<BuiltEngine> {
		const { refit = false } = request;
		this.builds.push(request);
		fail(this.lies.build?.(refit));
		const model = typeof onnx === "string" ? await readFile(onnx) : onnx;
		const fake: Fake = {
			refit,
			tensorrt: this.#facts.tensorrt,
			onnx: Buffer.from(model).toString("base64"),
		};
		return {
			engine: Buffer.from(JSON.stringify(fake)),
			timingCache: Buffer.from("timing"),
			ports: { inputs: [], outputs: [] },
			facts: this.#facts,
			seconds: 1,
			log: [],
		};
	}

	#refittable({ refit }: Fake, graph: Graph): string[] {
		const { fixed = [] } = this.lies;
		const all = refit ? [...graph.initializers.keys()] : [];
		return all.filter((name) => !fixed.includes(name));
	}

	async refit({
		engine,
		weights,
		needed = [],
		out,
	}: RefitRequest): Promise<Refitted> {
		this.refits++;
		fail(this.lies.refit?.());
		const fake: Fake = JSON.parse(await readFile(engine, "utf8"));
		if (fake.tensorrt !== this.#facts.tensorrt) fail("E_ENGINE_LOAD");
		const graph = decodeModel(Buffer.from(fake.onnx, "base64"));
		const refittable = this.#refittable(fake, graph);
		for (const name of needed)
			if (!refittable.includes(name)) fail("E_ENGINE_REFIT");
		for (const [name, weight] of Object.entries(weights))
			if (refittable.includes(name))
				graph.initializers.set(name, weight as never);
		const onnx = Buffer.from(encodeModel(graph)).toString("base64");
		await writeFile(out, JSON.stringify({ ...fake, onnx }));
		return { seconds: 0.05, facts: this.#facts, log: [] };
	}

	async trial(
		engine: Uint8Array | string,
		request: TrialRequest = {},
	): Promise<Trial> {
		this.trials++;
		const bytes = typeof engine === "string" ? await readFile(engine) : engine;
		const fake: Fake = JSON.parse(Buffer.from(bytes).toString());
		if (fake.tensorrt !== this.#facts.tensorrt) fail("E_ENGINE_LOAD");
		fail(this.lies.trial?.(fake.refit));
		const graph = decodeModel(Buffer.from(fake.onnx, "base64"));
		const runner = await createEngine(encodeModel(graph));
		const outputs: Results[] = [];
		for (const feeds of request.feeds ?? []) {
			const made = await runner.run(feeds);
			const wave = made.wave?.data as Float32Array;
			const { wave: lie } = this.lies;
			if (lie) wave.set(wave.map((s) => lie(s, fake.refit)));
			outputs.push(made);
		}
		await runner.dispose();
		return {
			outputs,
			seconds: outputs.map(() => 0.01),
			loadSeconds: 0.1,
			tensors: [],
			refittable: this.#refittable(fake, graph),
			facts: this.#facts,
			log: [],
		};
	}
}

function fail(code: ErrorCode | undefined): void {
	if (code) throw new WattvoxError(code, "made up");
}
