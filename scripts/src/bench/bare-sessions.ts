import {
	type Engine,
	type Feeds,
	type Results,
	type Tensor,
	tensorOf,
} from "@wattvox/runtime";
import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";

/** One run of a model, kept to be run again. */
interface Recorded {
	graph: Uint8Array;
	feeds: Record<string, Tensor>;
}

/** Notes what an engine is fed while recording is on; otherwise it is not there. */
export class Recorder {
	recorded: Recorded[] | undefined;

	/** The same engine, overheard. */
	wrap(graph: Uint8Array, engine: Engine): Engine {
		return {
			inputs: engine.inputs,
			outputs: engine.outputs,
			run: (feeds: Feeds, options): Promise<Results> => {
				this.recorded?.push({ graph, feeds: copy(feeds) });
				return engine.run(feeds, options);
			},
			dispose: () => engine.dispose(),
		};
	}
}

function copy(feeds: Feeds): Record<string, Tensor> {
	return Object.fromEntries(
		Object.entries(feeds).map(([name, feed]) => {
			const t = tensorOf(feed);
			return [name, { ...t, data: t.data.slice() } as Tensor];
		}),
	);
}

/**
 * ONNX Runtime by itself: sessions made with the product's settings, in this thread, fed tensors
 * that were made beforehand. No product can be faster on the same graphs and threads.
 */
export class BareSessions {
	readonly #sessions = new Map<Uint8Array, InferenceSession>();
	readonly #runs: {
		session: InferenceSession;
		feeds: Record<string, OrtTensor>;
	}[] = [];

	private constructor() {}

	static async make(
		recorded: readonly Recorded[],
		threads: number,
	): Promise<BareSessions> {
		const bare = new BareSessions();
		for (const { graph, feeds } of recorded) {
			let session = bare.#sessions.get(graph);
			if (!session) {
				session = await InferenceSession.create(graph, {
					executionProviders: ["cpu"],
					intraOpNumThreads: threads,
					interOpNumThreads: 1,
					executionMode: "sequential",
					enableMemPattern: false,
					graphOptimizationLevel: "all",
					extra: { session: { intra_op: { allow_spinning: "0" } } },
				});
				bare.#sessions.set(graph, session);
			}
			const tensors = Object.entries(feeds).map(([name, t]) => [
				name,
				new OrtTensor(t.dtype as "float32", t.data as Float32Array, [
					...t.dims,
				]),
			]);
			bare.#runs.push({ session, feeds: Object.fromEntries(tensors) });
		}
		return bare;
	}

	/** Runs everything once, in order. */
	async replay(): Promise<void> {
		for (const { session, feeds } of this.#runs) await session.run(feeds);
	}

	async release(): Promise<void> {
		for (const session of this.#sessions.values()) await session.release();
	}
}
