// TensorRT made up for tests: an "engine" is the model it was built from, ONNX Runtime runs it, and it can
// be told to lie. What needs the shim's ABI is tested with the shim's own stand-in.

import { readFile } from "node:fs/promises";
import { type ErrorCode, WattvoxError } from "@wattvox/core";
import { decodeModel, encodeModel } from "@wattvox/onnx";
import { createEngine, type Results } from "@wattvox/runtime";
import type {
	BuildRequest,
	BuiltEngine,
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
		const refittable = fake.refit
			? [...graph.initializers.keys()].filter(
					(name) => !this.lies.fixed?.includes(name),
				)
			: [];
		for (const [name, weight] of Object.entries(request.refit ?? {})) {
			if (!refittable.includes(name)) fail("E_ENGINE_REFIT");
			graph.initializers.set(name, weight as never);
		}
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
			refitSeconds: request.refit ? 0.05 : 0,
			tensors: [],
			refittable,
			facts: this.#facts,
			log: [],
		};
	}
}

function fail(code: ErrorCode | undefined): void {
	if (code) throw new WattvoxError(code, "made up");
}
