/** Exit codes of every wattvox program. */
export const EXIT = {
	done: 0,
	bug: 1,
	usage: 2,
	input: 3,
	trust: 4,
	network: 5,
	resource: 6,
	interrupted: 130,
} as const;

interface Entry {
	/** Process exit code. */
	exit: number;
	/** What the person who sees the error can do about it. */
	help: string;
}

/**
 * The one error table. A code names what went wrong, `exit` is the process's exit code and `help`
 * says what to do. Messages carry the particulars; see {@link WattvoxError}.
 */
export const ERRORS = {
	E_BUG: {
		exit: EXIT.bug,
		help: "This is a fault in wattvox: please report it.",
	},
	E_USAGE: { exit: EXIT.usage, help: "See --help." },
	E_INTERRUPTED: {
		exit: EXIT.interrupted,
		help: "Run the same command again to resume.",
	},
	// input: sound
	E_WAV_CORRUPT: {
		exit: EXIT.input,
		help: "Give a RIFF/WAVE file with PCM (16, 24 or 32 bit) or float samples.",
	},
	E_CLIP_SHORT: {
		exit: EXIT.input,
		help: "Record between 20 seconds and 10 minutes of speech; one minute is a good length.",
	},
	E_CLIP_LONG: {
		exit: EXIT.input,
		help: "Cut the recording to 10 minutes or less; one minute is enough.",
	},
	E_CLIP_SILENT: {
		exit: EXIT.input,
		help: "Check the microphone and its level, then record again.",
	},
	E_CLIP_CLIPPED: {
		exit: EXIT.input,
		help: "Lower the recording level until the peaks stay below full scale, then record again.",
	},
	// input: text
	E_TEXT_EMPTY: { exit: EXIT.input, help: "Give the text that is spoken." },
	E_TEXT_SCRIPT: {
		exit: EXIT.input,
		help: "Write the text in the script of the base voice, or use a base for that language.",
	},
	E_TEXT_UNPRONOUNCEABLE: {
		exit: EXIT.input,
		help: "Spell the named words as they are spoken.",
	},
	E_ALIGN: {
		exit: EXIT.input,
		help: "Make the transcript say exactly what is heard, in the same order.",
	},
	// input: files
	E_FILE_MISSING: { exit: EXIT.input, help: "Check the path." },
	E_FILE_FORMAT: {
		exit: EXIT.input,
		help: "Check that this is the right file.",
	},
	E_MODEL: { exit: EXIT.input, help: "Check the model file and its version." },
	E_VOICE_UNKNOWN: {
		exit: EXIT.input,
		help: "Ask for one of the voices that `GET /v1/voices` lists, or publish the one you want.",
	},
	E_GOLDEN: {
		exit: EXIT.input,
		help: "The voice does not speak its golden sentences as it did where it was made, or not fast enough: export it again, or try another device.",
	},
	E_JOULES: {
		exit: EXIT.input,
		help: "The voice draws more per second of speech than this device allows, and the device went back to its last good voice. Make the voice cheaper, or allow more with --limit joules-ratio or joules-per-second.",
	},
	E_OP_UNSUPPORTED: {
		exit: EXIT.input,
		help: "Replace the operator, or freeze the parameters behind it.",
	},
	E_TENSORRT_OP: {
		exit: EXIT.input,
		help: "Replace the named node by operators that the named TensorRT takes.",
	},
	// trust
	E_SIGNATURE: {
		exit: EXIT.trust,
		help: "Do not use it; fetch it again from a source you trust. What a key signed that you have dropped yourself is to be signed anew.",
	},
	E_TAMPERED: {
		exit: EXIT.trust,
		help: "The data differs from what was signed: fetch it again.",
	},
	E_EXPIRED: {
		exit: EXIT.trust,
		help: "Publish a bundle that has not expired; voices already on a device keep speaking.",
	},
	E_KEY: { exit: EXIT.trust, help: "Give the right key file." },
	E_CONSENT: {
		exit: EXIT.trust,
		help: "Train with --consent, so that the bundle says what its speaker agreed to; or take it on yourself with --without-consent.",
	},
	// network
	E_BROKER: {
		exit: EXIT.network,
		help: "Check the broker's address, that it runs, the account and its password, and with TLS the authority (--ca); interrupted pulls resume.",
	},
	E_DENIED: {
		exit: EXIT.network,
		help: "Give this account its topics on the broker: `wattvox keys acl` writes the list. It is asked for again by itself, at the latest after half an hour.",
	},
	E_PULL: {
		exit: EXIT.network,
		help: "Run it again: the pull resumes where it stopped.",
	},
	E_CARBON: {
		exit: EXIT.network,
		help: "Check the carbon source's name, its key in the environment and the network; training can also run without it.",
	},
	E_TEACHER: {
		exit: EXIT.network,
		help: "Check the teacher's address and that its server runs, then run the same command again: what it has spoken is kept.",
	},
	E_TIMEOUT: { exit: EXIT.network, help: "Try again, or give it longer." },
	// resource
	E_OUTPUT: {
		exit: EXIT.resource,
		help: "Choose an output folder that exists or can be made, and that you may write to.",
	},
	E_DISK_FULL: {
		exit: EXIT.resource,
		help: "Free disk space, then run it again.",
	},
	E_BUDGET: {
		exit: EXIT.resource,
		help: "The day's bytes are spent: the pull goes on after midnight UTC, or give the device more.",
	},
	E_MEMORY: {
		exit: EXIT.resource,
		help: "Use a smaller batch or free memory.",
	},
	E_SENSOR: {
		exit: EXIT.resource,
		help: "The power sensor did not answer: check its permissions; figures without it are marked unknown.",
	},
	E_TENSORRT: {
		exit: EXIT.resource,
		help: "TensorRT cannot be used here, voices speak on ONNX Runtime instead: install TensorRT with its headers and compile the shim on this device.",
	},
	E_ENGINE_BUILD: {
		exit: EXIT.resource,
		help: "The voice goes on on ONNX Runtime. Look at the builder's lines; less workspace or a lower level needs less memory.",
	},
	E_ENGINE_NONE: {
		exit: EXIT.resource,
		help: "The voice speaks on ONNX Runtime until a build station of the device's class brings such an engine to the store (wattvox engine list --store); without --pull-engines the device builds its own.",
	},
	E_ENGINE_LOAD: {
		exit: EXIT.input,
		help: "Build the engine again on this device: it is damaged, or of another TensorRT or another board.",
	},
	E_ENGINE_REFIT: {
		exit: EXIT.input,
		help: "Build an engine for this voice: the weights do not fit the one that there is.",
	},
	E_ENGINE_DIFFERS: {
		exit: EXIT.input,
		help: "The engine does not compute what ONNX Runtime does: the voice speaks on ONNX Runtime. Try --precision fp32, or another TensorRT.",
	},
	E_ENGINE_CRASH: {
		exit: EXIT.resource,
		help: "Native code crashed in a process of its own; what speaks goes on. Do not use this engine; build it again or stay with ONNX Runtime.",
	},
	E_PLAYER: {
		exit: EXIT.resource,
		help: "Install alsa-utils or pipewire-bin, choose with --player and --audio-device, and let the agent's account use the sound card (group audio).",
	},
	E_CLOCK: {
		exit: EXIT.resource,
		help: "Set the clock (`timedatectl set-ntp true`); until then no update is taken, speech goes on.",
	},
	E_NO_VOICE: {
		exit: EXIT.resource,
		help: "Publish a voice to this device, or wait until its pull is done.",
	},
	E_STORE: {
		exit: EXIT.resource,
		help: "Check that the power database runs, has room, and lets this account write.",
	},
	E_UNSURE: {
		exit: EXIT.resource,
		help: "Look whether it happened (what devices report, what lies in the store); then do it by hand, or leave it.",
	},
	E_BUSY: { exit: EXIT.resource, help: "Wait until the other work is done." },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof ERRORS;

/** An error from the table: a code, a message with the particulars, and what to do. */
export class WattvoxError extends Error {
	readonly code: ErrorCode;
	constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
		super(message, options);
		this.name = "WattvoxError";
		this.code = code;
	}
	/** What the user can do. */
	get help(): string {
		return ERRORS[this.code].help;
	}
	/** The exit code a program ends with when this error reaches its top. */
	get exit(): number {
		return ERRORS[this.code].exit;
	}
}

const SYSTEM: Record<string, ErrorCode> = {
	ENOENT: "E_FILE_MISSING",
	EACCES: "E_OUTPUT",
	EPERM: "E_OUTPUT",
	EROFS: "E_OUTPUT",
	ENOTDIR: "E_OUTPUT",
	EISDIR: "E_OUTPUT",
	ENOSPC: "E_DISK_FULL",
	EDQUOT: "E_DISK_FULL",
	// what a limit on a file's size leaves, or a file system with small files
	EFBIG: "E_DISK_FULL",
	ENOMEM: "E_MEMORY",
	ECONNREFUSED: "E_BROKER",
	ECONNRESET: "E_BROKER",
	ENOTFOUND: "E_BROKER",
};

/** Any thrown value as a {@link WattvoxError}: coded ones unchanged, system errors by errno, the rest E_BUG. */
export function asWattvoxError(thrown: unknown): WattvoxError {
	if (thrown instanceof WattvoxError) return thrown;
	if (thrown instanceof Error && thrown.name === "AbortError")
		return new WattvoxError("E_INTERRUPTED", "interrupted", { cause: thrown });
	const error = thrown instanceof Error ? thrown : new Error(String(thrown));
	const errno = (error as NodeJS.ErrnoException).code;
	const code = (errno && SYSTEM[errno]) || "E_BUG";
	return new WattvoxError(code, error.message, { cause: error });
}

const SHORTAGES: ReadonlySet<unknown> = new Set([
	...["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR"],
]);

/**
 * Whether a failure, or what caused it, says only that the system is short of files or memory now: it says
 * nothing of what was to be read, which is not to be taken for missing or damaged.
 */
export function isShortage(thrown: unknown): boolean {
	for (let at = thrown; at instanceof Error; at = at.cause)
		if (SHORTAGES.has((at as NodeJS.ErrnoException).code)) return true;
	return false;
}

/**
 * For who takes what cannot be read for what is not there.
 * @throws what it is given, where that is a shortage
 */
export function unlessShortage(thrown: unknown): undefined {
	if (isShortage(thrown)) throw thrown;
	return undefined;
}
