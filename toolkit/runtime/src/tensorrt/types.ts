import type { Engine, Feeds, Port, Results } from "../engine.ts";
import type { Tensor } from "../tensor.ts";

/**
 * TensorRT behind the Engine port. What runs where:
 *
 * | What | Process |
 * |---|---|
 * | {@link TensorRt} (`openTensorRt`): facts, deserialising, running | the calling one |
 * | {@link Workshop} (`workshop`): facts, building, refitting into a file, trials of an engine | a child for each call, with a deadline and a memory limit, killed when it is abandoned |
 *
 * An engine is native code. Whoever speaks loads only an engine that it trusts (built here, or signed)
 * and that a trial in a child has survived. Nothing here judges an engine's numbers: a trial hands them
 * back, and the caller compares them with ONNX Runtime's.
 *
 * Error codes, beside those of {@link Engine}:
 * - E_TENSORRT: no library, not ours, another ABI, no device, or TensorRT itself does not start
 * - E_MODEL: the ONNX cannot be parsed, or its profiles do not fit it
 * - E_OP_UNSUPPORTED: TensorRT has no such operator or type; the message names it
 * - E_ENGINE_BUILD: the builder gave up
 * - E_ENGINE_LOAD: TensorRT refuses the engine: corrupt, or of another version or device
 * - E_ENGINE_REFIT: not refittable, an unknown weight, a wrong size, or weights still missing
 * - E_ENGINE_CRASH: the child died of a signal or an exit that no limit of ours explains
 * - E_MEMORY: out of memory, the device's or the child's, or killed for it
 * - E_TIMEOUT: the deadline passed; the child has been killed
 * - E_INTERRUPTED: aborted; the child has been killed
 */
export interface TensorRt {
	readonly facts: TensorRtFacts;
	/**
	 * Opens a built engine in this process, on a thread of its own: the event loop turns meanwhile.
	 * @param engine the bytes, lent: TensorRT keeps a copy
	 * @throws WattvoxError E_ENGINE_LOAD, E_MODEL (`ports` do not fit the engine), E_MEMORY, E_INTERRUPTED
	 */
	deserialize(
		engine: Uint8Array,
		options?: DeserializeOptions,
	): Promise<TrtEngine>;
	/** The newest lines of TensorRT's log, oldest first, at most 256; reading does not consume them. */
	lastLog(): LogLine[];
	/** Lets go of the runtime. The engines that are still open keep it until they are disposed. Idempotent. */
	close(): Promise<void>;
}

/** An engine of TensorRT's. The contract of {@link Engine} holds; runs of one engine queue. */
export interface TrtEngine extends Engine {
	/** All inputs and outputs as TensorRT has them: before 10.0 an int64 of the model is an int32 here. */
	readonly tensors: readonly TrtTensor[];
	/** Initialisers that can be refitted, by their ONNX names; empty when the engine allows none. */
	readonly refittable: readonly string[];
	/**
	 * Replaces weights. Waits for the runs under way and holds off those that follow. When it throws,
	 * the engine may hold a mixture of weights: dispose of it. So refit a second copy, try that, and let
	 * the one that speaks be.
	 * @param weights new values by ONNX initialiser name: the element count must be the old one's. Where
	 *   TensorRT fused layers it asks for every weight that went into them; the message then names one
	 *   that is missing, and giving all initialisers is always enough
	 * @throws WattvoxError E_ENGINE_REFIT, E_MEMORY, E_INTERRUPTED (disposed meanwhile)
	 */
	refit(weights: Weights): Promise<void>;
	/**
	 * The engine as it is now, with the weights of its refits: bytes for {@link TensorRt.deserialize}.
	 * Waits for the runs under way and holds off those that follow.
	 * @throws WattvoxError E_ENGINE_REFIT (TensorRT does not serialise it), E_MEMORY, E_INTERRUPTED
	 */
	serialize(): Promise<Uint8Array>;
}

export type Weights = Readonly<Record<string, Tensor>>;

/** One tensor of an engine; -1 in `shape` is a free dimension. */
export interface TrtTensor {
	readonly name: string;
	readonly input: boolean;
	readonly dtype: Tensor["dtype"];
	readonly shape: readonly number[];
	/** The bounds of each profile, in order; empty for outputs. */
	readonly profiles: readonly ShapeRange[];
}

export interface DeserializeOptions {
	/**
	 * Inputs and outputs as the ONNX model has them. An engine does not keep the names of free
	 * dimensions, and before TensorRT 10 not int64 either: with this, feeds are checked and converted as
	 * the model wants them. Without it, the engine's own ports.
	 */
	ports?: Ports | undefined;
	signal?: AbortSignal | undefined;
}

export interface Ports {
	readonly inputs: readonly Port[];
	readonly outputs: readonly Port[];
}

/** Where an engine was built, as far as it limits where it may run. */
export interface TensorRtFacts {
	/** The library that runs, major.minor.patch.build. */
	readonly tensorrt: string;
	/** The headers that the shim was compiled against, major.minor.patch. */
	readonly headers: string;
	/** CUDA runtime and the newest CUDA that the driver knows, major.minor. */
	readonly cuda: string;
	readonly cudaDriver: string;
	/** CUDA compute capability, major.minor: Xavier 7.2, Orin 8.7, Thor 11.0. */
	readonly computeCapability: string;
	/** The device's name as CUDA has it. */
	readonly device: string;
	/** Multiprocessors: modules of one family differ in them. */
	readonly multiprocessors: number;
	/** Device memory, bytes; on a Jetson this is the machine's. */
	readonly memoryBytes: number;
	/** Jetson Linux release, such as "36.4.3"; null where this is no Jetson. */
	readonly l4t: string | null;
	/** The board by its device tree; null where it has none. */
	readonly module: string | null;
}

export type Precision = "fp32" | "fp16" | "bf16";

/** A free shape's bounds and the shape to tune for. */
export interface ShapeRange {
	readonly min: readonly number[];
	readonly opt: readonly number[];
	readonly max: readonly number[];
}

/** An optimisation profile: a range for each input with a free dimension, by name. */
export type Profile = Readonly<Record<string, ShapeRange>>;

/** What an engine is built with. All of it is part of the engine's key, see {@link EngineKey}. */
export interface BuildOptions {
	/** At least one where an input has a free dimension. A run uses the first that its shapes fit. */
	profiles?: readonly Profile[] | undefined;
	/**
	 * Lower precision is allowed, layer by layer, not forced; fp32 by default, which does not round to TF32. TensorRT 11 takes it from
	 * the model alone: E_OP_UNSUPPORTED for another one than fp32 there. bf16 needs TensorRT 10.
	 */
	precision?: Precision | undefined;
	/** Whether weights can be replaced later; false by default, since it costs some speed. */
	refit?: boolean | undefined;
	/** Scratch memory the engine's layers may use, bytes; 512 MiB by default. */
	workspaceBytes?: number | undefined;
	/** Builder optimisation level 0..5, from 8.6 on; TensorRT's default when undefined. Lower builds faster. */
	level?: number | undefined;
}

export interface BuildRequest extends BuildOptions, Limits {
	/** From an earlier build on the same device; one that does not fit is ignored, and the log says so. */
	timingCache?: Uint8Array | undefined;
	/** Steps of the builder; before TensorRT 10 only the phases "parse" and "build". */
	onProgress?: ((progress: BuildProgress) => void) | undefined;
}

export interface BuildProgress {
	/** The builder's name for what it does. */
	readonly phase: string;
	readonly step: number;
	/** 0 where the builder does not say. */
	readonly steps: number;
}

export interface BuiltEngine {
	readonly engine: Uint8Array;
	/** Grown by this build; hand it to the next one. */
	readonly timingCache: Uint8Array;
	/** As TensorRT's parser saw the model. Where it has the names of free dimensions, they are here. */
	readonly ports: Ports;
	readonly facts: TensorRtFacts;
	/** Seconds in the builder. */
	readonly seconds: number;
	readonly log: LogLine[];
}

/** Limits of one child process. */
export interface Limits {
	/** After this many milliseconds the child is killed: E_TIMEOUT. 30 min for a build, else 2 min. */
	deadlineMs?: number | undefined;
	/**
	 * Private memory of the child, bytes (RLIMIT_DATA, Node's own ~100 MB included); 2 GiB by default.
	 * What the driver allocates for the GPU is not in it, on a Jetson neither: `workspaceBytes` and the
	 * kernel's killer, which takes the child first, bound that.
	 */
	memoryBytes?: number | undefined;
	/** Kills the child. */
	signal?: AbortSignal | undefined;
}

export interface TrialRequest extends Limits {
	ports?: Ports | undefined;
	/** Runs to make, in order; none for deserialising alone. Lent. */
	feeds?: readonly Feeds[] | undefined;
}

export interface Trial {
	/** What each run gave. */
	readonly outputs: readonly Results[];
	/** Seconds of each run, transfers to and from the device included; the first is a warm-up. */
	readonly seconds: readonly number[];
	/** Seconds that deserialising took. */
	readonly loadSeconds: number;
	readonly tensors: readonly TrtTensor[];
	readonly refittable: readonly string[];
	readonly facts: TensorRtFacts;
	readonly log: LogLine[];
}

export interface RefitRequest extends Limits {
	/** The engine's file. */
	engine: string;
	/**
	 * New values by ONNX initialiser name. Those that the engine does not allow to be replaced are left
	 * out: TensorRT folds some constants.
	 */
	weights: Weights;
	/** Names of `weights` that have to be among those that the engine allows. */
	needed?: readonly string[] | undefined;
	/** Where the refitted copy goes: a file that is flushed, and whole only when this has ended well. */
	out: string;
}

export interface Refitted {
	/** Seconds for opening the engine, refitting it, and serialising and writing the copy. */
	readonly seconds: number;
	readonly facts: TensorRtFacts;
	readonly log: LogLine[];
}

/** What is too risky or too greedy for the process that speaks: each call is one child process. */
export interface Workshop {
	/** @throws WattvoxError E_TENSORRT when TensorRT cannot be used here, and why */
	facts(limits?: Limits): Promise<TensorRtFacts>;
	/**
	 * Builds an engine.
	 * @param onnx the model's bytes, or the path of its file (which external data needs)
	 * @throws WattvoxError E_MODEL, E_OP_UNSUPPORTED, E_ENGINE_BUILD and those of every child
	 */
	buildEngine(
		onnx: Uint8Array | string,
		request?: BuildRequest,
	): Promise<BuiltEngine>;
	/**
	 * Refits an engine and writes the refitted copy; the file that it came from stays as it is. Nothing is
	 * said about what the copy computes: try it.
	 * @throws WattvoxError E_ENGINE_LOAD, E_ENGINE_REFIT, E_OUTPUT, E_DISK_FULL and those of every child
	 */
	refit(request: RefitRequest): Promise<Refitted>;
	/**
	 * Opens an engine beside everything else and runs it.
	 * @param engine its bytes, or the path of its file
	 * @throws WattvoxError E_ENGINE_LOAD, E_MODEL and those of every child
	 */
	trial(engine: Uint8Array | string, request?: TrialRequest): Promise<Trial>;
}

export interface LogLine {
	readonly level: "fatal" | "error" | "warning" | "info" | "verbose";
	readonly text: string;
}
