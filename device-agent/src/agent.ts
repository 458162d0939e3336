import { EventEmitter } from "node:events";
import { cpus } from "node:os";
import { checkTrustTime, RootTrust } from "@wattvox/bundle";
import {
	asWattvoxError,
	checkId,
	createLog,
	type Log,
	systemClock,
	WattvoxError,
} from "@wattvox/core";
import {
	deviceClassOf,
	openPowerSource,
	type PowerSource,
	readBoard,
} from "@wattvox/energy";
import type { Desired, Reported } from "@wattvox/link";
import { Bell } from "./bell.ts";
import { ByteBudget } from "./byte-budget.ts";
import { Engines } from "./engine/engines.ts";
import { Executor } from "./executor.ts";
import { FlooredClock, Floors } from "./floors.ts";
import { lockDir } from "./lock.ts";
import type { AgentOptions } from "./options.ts";
import {
	type Active,
	type EngineView,
	plan,
	type Reason,
	type Rejected,
	type Step,
} from "./planner.ts";
import { PowerBuffer } from "./power-buffer.ts";
import { PowerReporter } from "./power-reporter.ts";
import { type AgentStatus, Reporter } from "./reporter.ts";
import { Retry, repeats } from "./retry.ts";
import type { VoiceAt } from "./speaker/messages.ts";
import { checkPlayer } from "./speaker/player.ts";
import { SpeakerProcess } from "./speaker/speaker-process.ts";
import { DeviceState } from "./state.ts";
import { Uplink } from "./uplink.ts";
import { Wishes } from "./wishes.ts";

interface Events {
	/** What it runs, or how far it is with that, has changed. */
	reported: [Reported];
}

/** Between two looks while updates wait for a clock or a newer root, ms. */
const STALE_MS = 30_000;

/**
 * The agent of one device: takes signed wishes, brings voices, lets them prove themselves, and keeps
 * a speaker process speaking.
 *
 * INVARIANTS
 * - There is always a voice that can speak, unless none ever arrived.
 * - The speaker is its own process; no pull, verification or trial runs in it.
 * - The active voice changes only after its golden sentences passed.
 * - Nothing unverified is ever loaded, and no desired state below the floor is ever obeyed.
 * - Speech needs no broker: the agent starts, speaks and restarts its speaker without one.
 * - Every step can be broken off at any point and taken up again from what is on disk.
 */
export class Agent extends EventEmitter<Events> {
	readonly #o: AgentOptions;
	readonly #deviceClass: string;
	readonly #clock: FlooredClock;
	readonly #floors: Floors;
	readonly #log: Log;
	readonly #state: DeviceState;
	readonly #wishes: Wishes;
	readonly #speaker: SpeakerProcess;
	readonly #uplink: Uplink;
	readonly #executor: Executor;
	readonly #engines: Engines | undefined;
	/** Breaks off the search for an engine: an update is worth more. */
	#searching: AbortController | undefined;
	readonly #reporter: Reporter;
	readonly #retry: Retry;
	readonly #bell: Bell;
	readonly #stop = new AbortController();
	readonly #passed = new Set<string>();
	#active: Active | null = null;
	#rejected = new Map<string, Rejected>();
	#power: PowerReporter | undefined;
	#ownSource: PowerSource | undefined;
	#unlock: (() => Promise<void>) | undefined;
	#working: Promise<void> | undefined;
	#rootsKept = 0;

	constructor(options: AgentOptions) {
		super();
		const { fleet, device, threads = 1, trust } = options;
		checkId(fleet, "fleet id");
		checkId(device, "device id");
		checkPlayer(options.playback ?? {});
		this.#o = options;
		this.#deviceClass = checkId(
			options.deviceClass ??
				deviceClassOf(readBoard(options.hostRoot).model, cpus()[0]?.model),
			"device class",
		);
		this.#clock = new FlooredClock(options.clock ?? systemClock);
		this.#floors = new Floors(options.dataDir, trust);
		this.#clock.hold(() => this.#floors.time);
		this.#log = options.log ?? createLog("agent");
		this.#bell = new Bell(this.#clock);
		this.#retry = new Retry(this.#clock, options.retryMs);
		this.#state = new DeviceState(options.dataDir);
		this.#wishes = new Wishes(
			this.#state,
			{ fleet, device },
			trust,
			this.#floors,
		);
		this.#engines =
			options.engine &&
			new Engines({
				dataDir: options.dataDir,
				settings: options.engine,
				trust,
				threads,
				log: this.#log,
			});
		this.#speaker = new SpeakerProcess({
			tensorrt: options.engine?.shim ?? null,
			onEngineTrouble: (digest, _, reason) =>
				this.#engines?.blame(digest, reason),
			port: options.port ?? 8420,
			threads,
			maxWaiting: options.maxWaiting ?? 16,
			playback: options.playback ?? {},
			clock: this.#clock,
			voice: () => this.#active && this.#at(this.#active.digest),
			onChange: () => {
				this.#power?.voiceMayHaveChanged();
				this.#wake();
			},
			onUtterance: (event) => this.#power?.heard(event),
		});
		this.#uplink = new Uplink({
			broker: options.broker,
			fleet,
			device,
			clock: this.#clock,
			log: this.#log,
			onDesired: (payload) => this.#wish(payload),
			onRoots: (payload) => this.#follow(payload),
			onReady: () => {
				this.#reporter.again();
				this.#power?.report();
				this.#power?.catchUp().catch(() => undefined);
			},
		});
		this.#reporter = new Reporter({
			clock: this.#clock,
			state: this.#state,
			speaker: this.#speaker,
			uplink: this.#uplink,
			seen: () => ({
				desired: this.#wishes.current,
				stale: this.#stale(),
				active: this.#active,
				rejected: this.#rejected,
				speaker: this.#speaker,
				deviceClass: this.#deviceClass,
				measured: this.#power?.measured,
				engine: this.#engineView(),
				runtime: this.#speaker.runtime,
			}),
			onChange: (reported) => this.emit("reported", reported),
		});
		this.#executor = new Executor({
			fleet,
			device,
			trust,
			clock: this.#clock,
			...(options.dailyBytes !== undefined && {
				budget: new ByteBudget(
					options.dataDir,
					options.dailyBytes,
					this.#clock,
				),
			}),
			state: this.#state,
			speaker: this.#speaker,
			engines: this.#engines,
			threads,
			limits: options.limits ?? {},
			link: (signal) => this.#uplink.link(signal),
			onProgress: (done, total) => this.#reporter.progress(done, total),
			onTrial: (bundle, result) => this.#reporter.trial(bundle, result),
		});
	}

	/** Address of the speech API. */
	get url(): string {
		return `http://127.0.0.1:${this.#speaker.port}`;
	}

	/**
	 * Starts: resolves when the speech API listens. The broker is looked for in the background.
	 * @throws WattvoxError E_BUSY (folder or port taken), E_OUTPUT; the signal's reason
	 */
	async start(signal?: AbortSignal): Promise<void> {
		await this.#state.prepare();
		this.#unlock = await lockDir(this.#o.dataDir);
		try {
			await this.#recallTrust();
			await this.#wishes.recall();
			this.#active = await this.#state.recallActive((digest) =>
				this.#log.error({ bundle: digest }, "the active voice is damaged"),
			);
			await this.#startPower();
			await this.#speaker.start(signal);
		} catch (thrown) {
			await this.stop();
			throw thrown;
		}
		this.#uplink.start();
		this.#working = this.#work();
	}

	/** Ends the speaker after its requests, and says goodbye to the broker. Idempotent. */
	async stop(): Promise<void> {
		this.#stop.abort(new WattvoxError("E_INTERRUPTED", "the agent stops"));
		this.#bell.ring();
		await this.#working;
		await this.#speaker.stop();
		await this.#power?.stop();
		await this.#uplink.stop();
		await this.#reporter.stop();
		await this.#ownSource?.close();
		await this.#unlock?.();
	}

	status(): AgentStatus {
		return this.#reporter.status();
	}

	/**
	 * Waits until the device speaks with a bundle.
	 * @throws WattvoxError by the reason when the bundle is rejected; the signal's reason
	 */
	async speaksWith(bundle: string, signal?: AbortSignal): Promise<void> {
		for (;;) {
			signal?.throwIfAborted();
			if (this.#speaker.digest === bundle) return;
			const refused = this.#rejected.get(bundle);
			if (
				refused &&
				this.#wishes.current?.bundle === bundle &&
				refused.revision >= this.#wishes.current.revision
			)
				throw new WattvoxError(refused.code, refused.message);
			await new Promise<void>((resolve, reject) => {
				const abort = () => {
					this.off("reported", heard);
					reject(signal?.reason);
				};
				const heard = () => {
					signal?.removeEventListener("abort", abort);
					resolve();
				};
				signal?.addEventListener("abort", abort, { once: true });
				this.once("reported", heard);
			});
		}
	}

	/** The roots and floors of earlier runs, before anything is believed by them. */
	async #recallTrust(): Promise<void> {
		const { trust } = this.#o;
		if (trust instanceof RootTrust) {
			const broken = await this.#state.recallRoots(trust);
			if (broken) this.#log.error({ code: broken.code }, broken.message);
			this.#rootsKept = trust.root.version;
		}
		await this.#floors.recall();
	}

	/** Hears of newer roots. They count at once and are on disk before the next step. */
	#follow(payload: Buffer): void {
		const { trust } = this.#o;
		if (!(trust instanceof RootTrust)) return;
		try {
			if (!trust.update(payload)) return;
			this.#log.info({ version: trust.root.version }, "a new root is trusted");
			this.#retry.reset();
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			this.#log.warn({ code }, `refused: ${message}`);
			this.#reporter.trouble({ code, message });
		}
		this.#wake();
	}

	async #keepRoots(): Promise<void> {
		const { trust } = this.#o;
		if (!(trust instanceof RootTrust)) return;
		const { version } = trust.root;
		if (version === this.#rootsKept) return;
		await this.#state.setRoots(trust);
		this.#rootsKept = version;
	}

	/** Why no update may begin. */
	#stale(): Reason | null {
		const now = this.#clock.wall();
		const expires = this.#wishes.current?.expires;
		if (expires !== undefined && Date.parse(expires) <= now)
			return {
				code: "E_EXPIRED",
				message: `the desired state expired on ${expires}`,
			};
		try {
			checkTrustTime(this.#o.trust, now);
			return null;
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			return { code, message };
		}
	}

	#at(digest: string): VoiceAt {
		const engine = this.#engines?.ready(digest);
		const dir = this.#state.voiceDir(digest);
		return { digest, dir, ...(engine && { engine }) };
	}

	#engineView(): EngineView | null {
		return this.#active && this.#engines
			? this.#engines.view(this.#active.digest)
			: null;
	}

	async #startPower(): Promise<void> {
		let source = this.#o.power;
		if (!source) {
			const { hostRoot: root } = this.#o;
			source = (await openPowerSource(root === undefined ? {} : { root }))
				.source;
			this.#ownSource = source;
		}
		this.#power = new PowerReporter({
			device: this.#o.device,
			deviceClass: this.#deviceClass,
			source,
			// while a speaker is started anew it has none; it will have this one
			voice: () => this.#speaker.digest ?? this.#active?.digest ?? null,
			publish: (message) => this.#uplink.publish("power", message, false),
			online: () => this.#uplink.ready,
			buffer: new PowerBuffer(this.#o.dataDir),
			everyMs: this.#o.powerEveryMs ?? 60_000,
			clock: this.#clock,
		});
		await this.#power.start();
	}

	/** Looks, plans and executes until the agent stops. */
	async #work(): Promise<void> {
		const { signal } = this.#stop;
		while (!signal.aborted) {
			this.#bell.reset();
			try {
				const step = plan(await this.#look());
				this.#reporter.step(step);
				if (!step || step.do === "wait")
					await this.#bell.wait(step?.until ?? this.#lookAgain());
				else await this.#perform(step, signal);
			} catch (thrown) {
				// The disk cannot be read or written: nothing to be done but to look again later.
				this.#trouble(asWattvoxError(thrown));
				await this.#bell.wait(this.#retry.later());
			}
		}
	}

	/** A clock that was put right rings no bell. */
	#lookAgain(): number | undefined {
		return this.#stale() ? this.#clock.monotonic() + STALE_MS : undefined;
	}

	async #look() {
		await this.#keepRoots();
		await this.#wishes.keep();
		this.#active = await this.#state.active();
		this.#rejected = await this.#state.rejected();
		const { up, digest, failed, engine } = this.#speaker;
		return {
			now: this.#clock.monotonic(),
			desired: this.#wishes.current,
			stale: this.#stale(),
			active: this.#active,
			stored: new Set(await this.#state.store.bundles()),
			staged: new Set(await this.#state.store.stagedBundles()),
			laidOut: await this.#state.laidOut(),
			passed: this.#passed,
			rejected: this.#rejected,
			speaker: { up, digest, failed, engine },
			engine: this.#engineView(),
			retryAt: this.#retry.at,
		};
	}

	async #perform(step: Step, signal: AbortSignal): Promise<void> {
		this.#log.info({ step }, "step");
		if (step.do === "engine") return this.#search(step, signal);
		const wished = this.#wishes.current;
		try {
			await this.#executor.execute(step, signal);
			if (step.do === "try") this.#passed.add(step.digest);
			if (step.do === "fall-back") this.#passed.delete(step.from);
			if (step.do === "activate") this.#reporter.trouble(undefined);
			this.#retry.reset();
		} catch (thrown) {
			if (!signal.aborted)
				await this.#failed(step, wished, asWattvoxError(thrown));
		}
	}

	/** Looks for an engine until an update comes in between; what failed is not an error of the voice. */
	async #search(step: Step, signal: AbortSignal): Promise<void> {
		const searching = new AbortController();
		this.#searching = searching;
		try {
			const either = AbortSignal.any([signal, searching.signal]);
			await this.#executor.execute(step, either);
		} catch (thrown) {
			if (signal.aborted || searching.signal.aborted) return;
			const { code, message } = asWattvoxError(thrown);
			if (step.do === "engine")
				this.#engines?.blame(step.digest, { code, message });
		} finally {
			this.#searching = undefined;
		}
	}

	/** A failure that would only repeat rejects the bundle; any other is tried again later. */
	async #failed(
		step: Step,
		wished: Desired | null,
		error: WattvoxError,
	): Promise<void> {
		// What the speaker could not load is in the view already, and planned for.
		if (step.do === "swap" && this.#speaker.failed) return;
		this.#trouble(error, step);
		if (wished && repeats(step, error)) {
			const { code, message } = error;
			const rejected = await this.#state.rejected();
			const { bundle, revision } = wished;
			await this.#state.setRejected(
				rejected.set(bundle, { code, message, revision }),
			);
			this.#reporter.trouble(undefined);
			return;
		}
		this.#retry.later((error as { retryAfterMs?: number }).retryAfterMs);
	}

	#trouble({ code, message }: WattvoxError, step?: Step): void {
		this.#log.warn({ code, ...(step && { step }) }, message);
		this.#reporter.trouble({ code, message });
	}

	#wake(): void {
		this.#bell.ring();
		this.#reporter.say();
	}

	#wish(payload: Buffer): void {
		const heard = this.#wishes.hear(payload);
		if (heard === "known") return;
		if (heard === "new") {
			this.#reporter.trouble(undefined);
			this.#retry.reset();
			this.#searching?.abort();
			this.#wake();
			return;
		}
		this.#log.warn({ code: heard.code }, `refused: ${heard.message}`);
		this.#reporter.trouble(heard);
	}
}
