import type { Clock } from "@wattvox/core";
import type { Reported } from "@wattvox/link";
import type { GoldenResult } from "@wattvox/synth";
import { Latest } from "./latest.ts";
import type { Reason, Step } from "./planner.ts";
import { report, type Seen } from "./report.ts";
import {
	type OfferedVoice,
	type Runtime,
	runtimeOf,
} from "./speaker/messages.ts";
import type { SpeakerProcess } from "./speaker/speaker-process.ts";
import type { DeviceState } from "./state.ts";
import type { Denied, Uplink } from "./uplink.ts";

/** What `wattvox-agent status` shows. */
export interface AgentStatus {
	pid: number;
	/** Of the speech API. */
	url: string;
	reported: Reported;
	speaker: {
		up: boolean;
		pid: number | null;
		restarts: number;
		/** What it speaks with. */
		bundle: string | null;
		/** The TensorRT engine that it speaks by; null: ONNX Runtime. */
		engine: string | null;
	};
	/** What requests may ask for, the active one first. An agent before this one wrote none. */
	voices?: HeldVoice[];
	connected: boolean;
	/** Topics that the broker keeps from this device. An agent before this one wrote none. */
	denied?: Denied[];
	/** Figures of the newest trial. */
	trial: (GoldenResult & { bundle: string }) | null;
}

/** A voice on this device that requests may ask for. */
export interface HeldVoice {
	id: string;
	bundle: string;
	base: string;
	active: boolean;
	loaded: boolean;
	/** What computes it; null: it is not loaded. An agent before this one wrote none. */
	runtime?: Runtime | null;
	/** The TensorRT engine that it speaks by, or would if it were loaded now; null: ONNX Runtime. */
	engine?: string | null;
}

export interface ReporterOptions {
	clock: Clock;
	state: DeviceState;
	speaker: SpeakerProcess;
	uplink: Uplink;
	seen: () => Seen;
	/** What requests may ask for. */
	offers: () => readonly OfferedVoice[];
	/** The engine with which a voice would be loaded now; null: none. */
	engineOf: (digest: string) => string | null;
	onChange: (reported: Reported) => void;
}

/** A pull says how far it is in steps of this share. */
const PROGRESS_STEP = 0.05;

/** Says what the device runs, to the fleet and to the status file, whenever that changes. */
export class Reporter {
	readonly #o: ReporterOptions;
	readonly #reports: Latest<Reported>;
	readonly #files: Latest<AgentStatus>;
	#step: Step | undefined;
	#progress: { done: number; total: number } | undefined;
	#trouble: Reason | undefined;
	#trial: AgentStatus["trial"] = null;
	#said = "";

	constructor(options: ReporterOptions) {
		this.#o = options;
		const { uplink, state } = options;
		this.#reports = new Latest((r) => uplink.publish("reported", r, true));
		this.#files = new Latest((status) => state.setStatus(status));
	}

	/** What is being done now. */
	step(step: Step | undefined): void {
		this.#step = step;
		this.#progress = undefined;
		this.say();
	}

	progress(done: number, total: number): void {
		const last = this.#progress?.done ?? -total;
		if (done < total && done - last < total * PROGRESS_STEP) return;
		this.#progress = { done, total };
		this.say();
	}

	/** What is wrong, until something else is said about it. */
	trouble(reason: Reason | undefined): void {
		this.#trouble = reason;
		this.say();
	}

	trial(bundle: string, result: GoldenResult): void {
		this.#trial = { bundle, ...result };
	}

	/** Reports, when there is something new to say. */
	say(): void {
		const reported = this.#report();
		const { speaker, uplink } = this.#o;
		const { at: _, ...rest } = reported;
		const { digest, up, pid, engine } = speaker;
		const link = [uplink.ready, uplink.denials];
		const more = [digest, up, pid, engine, link, this.#voices()];
		const text = JSON.stringify([rest, ...more]);
		if (text === this.#said) return;
		this.#said = text;
		void this.#reports.offer(reported);
		void this.#files.offer(this.status());
		this.#o.onChange(reported);
	}

	/** Reports to a broker that may not know. */
	again(): void {
		this.#said = "";
		this.say();
	}

	status(): AgentStatus {
		const { speaker, uplink } = this.#o;
		return {
			pid: process.pid,
			url: `http://127.0.0.1:${speaker.port}`,
			reported: this.#report(),
			speaker: {
				up: speaker.up,
				pid: speaker.pid ?? null,
				restarts: speaker.restarts,
				bundle: speaker.digest,
				engine: speaker.engine,
			},
			voices: this.#voices(),
			connected: uplink.ready,
			denied: uplink.denials,
			trial: this.#trial,
		};
	}

	/** Ends when what is being written has been. */
	async stop(): Promise<void> {
		await Promise.all([this.#reports.idle(), this.#files.idle()]);
	}

	#voices(): HeldVoice[] {
		const { speaker, offers, engineOf } = this.#o;
		const { digest: now, engine, aside } = speaker;
		return offers().map(({ id, digest, base }) => {
			const here =
				digest === now
					? { engine }
					: aside.loaded.find((l) => l.digest === digest);
			return {
				...{ id, bundle: digest, base, active: digest === now },
				loaded: here !== undefined,
				runtime: here ? runtimeOf(here.engine) : null,
				engine: here ? here.engine : engineOf(digest),
			};
		});
	}

	#report(): Reported {
		return report(this.#o.seen(), {
			step: this.#step,
			progress: this.#progress,
			trouble: this.#trouble,
			at: new Date(this.#o.clock.wall()).toISOString(),
		});
	}
}
