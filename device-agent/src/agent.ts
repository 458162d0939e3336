import { EventEmitter, once } from "node:events";
import { cpus } from "node:os";
import { checkId, createLog, systemClock, WattvoxError } from "@wattvox/core";
import { deviceClassOf, readBoard } from "@wattvox/energy";
import type { Reported } from "@wattvox/link";
import { BoardWatch } from "./board-watch.ts";
import { ByteBudget } from "./byte-budget.ts";
import { DevicePower } from "./device-power.ts";
import { EngineCarrier } from "./engine/carrier.ts";
import { Engines } from "./engine/engines.ts";
import { Executor } from "./executor.ts";
import { FlooredClock, Floors, SOFTWARE_FLOOR } from "./floors.ts";
import { HeldVoices } from "./held-voices.ts";
import { Inbox } from "./inbox.ts";
import type { Finding } from "./joules/figures.ts";
import { JoulesGate } from "./joules/joules-gate.ts";
import { lockDir } from "./lock.ts";
import type { AgentOptions } from "./options.ts";
import { type AgentStatus, Reporter } from "./reporter.ts";
import type { VoiceAt } from "./speaker/messages.ts";
import { checkPlayer } from "./speaker/player.ts";
import { SpeakerProcess } from "./speaker/speaker-process.ts";
import { DeviceState } from "./state.ts";
import { TrustKeeper } from "./trust-keeper.ts";
import { Uplink } from "./uplink.ts";
import { checkVoiceBounds } from "./voice-bounds.ts";
import { Wishes } from "./wishes.ts";
import { Work } from "./work.ts";

interface Events {
	/** What it runs, or how far it is with that, has changed. */
	reported: [Reported];
}

/**
 * The agent of one device: takes signed wishes, brings voices, lets them prove themselves, and keeps
 * a speaker process speaking. It puts the parts together; deciding is the planner's, doing the executor's,
 * and what goes round between them is {@link Work}.
 *
 * INVARIANTS
 * - There is always a voice that can speak, unless none ever arrived.
 * - The speaker is its own process; no pull, verification, trial, build or refit runs in it.
 * - The active voice changes only after its golden sentences passed.
 * - Nothing unverified is ever loaded, and no desired state below the floor is ever obeyed.
 * - Speech needs no broker: the agent starts, speaks and restarts its speaker without one.
 * - Every step can be broken off at any point and taken up again from what is on disk.
 */
export class Agent extends EventEmitter<Events> {
	readonly #o: AgentOptions;
	readonly #state: DeviceState;
	readonly #wishes: Wishes;
	readonly #trust: TrustKeeper;
	readonly #speaker: SpeakerProcess;
	readonly #uplink: Uplink;
	readonly #carrier: EngineCarrier | undefined;
	readonly #engines: Engines | undefined;
	readonly #reporter: Reporter;
	readonly #power: DevicePower;
	readonly #board: BoardWatch;
	readonly #joules: JoulesGate;
	readonly #voices: HeldVoices;
	readonly #work: Work;
	readonly #inbox: Inbox;
	#unlock: (() => Promise<void>) | undefined;

	constructor(options: AgentOptions) {
		super();
		const { fleet, device, dataDir, threads = 1, trust } = options;
		checkId(fleet, "fleet id");
		checkId(device, "device id");
		checkPlayer(options.playback ?? {});
		const bounds = checkVoiceBounds(options);
		this.#o = options;
		const deviceClass = checkId(
			options.deviceClass ??
				deviceClassOf(readBoard(options.hostRoot).model, cpus()[0]?.model),
			"device class",
		);
		const clock = new FlooredClock(options.clock ?? systemClock);
		const floors = new Floors(dataDir, trust);
		clock.hold(() => floors.time);
		const log = options.log ?? createLog("agent");
		const self = { fleet, device, clock };
		const state = new DeviceState(dataDir);
		this.#state = state;
		this.#trust = new TrustKeeper({ trust, state, floors, log });
		this.#wishes = new Wishes(state, { fleet, device }, trust, floors);
		const budget =
			options.dailyBytes === undefined
				? {}
				: { budget: new ByteBudget(dataDir, options.dailyBytes, clock) };
		const link = (signal: AbortSignal) => this.#uplink.link(signal);
		if (options.engine) {
			const { engine: settings, builder } = options;
			const carrier = new EngineCarrier({
				...{ ...self, ...budget, deviceClass, dataDir, trust, log, link },
				...(builder && { builder }),
				store: () => this.#wishes.current?.store,
				busy: () => this.#speaker.speaking,
			});
			this.#carrier = carrier;
			this.#engines = new Engines({
				...{ dataDir, settings, trust, carrier, threads, log, clock },
				station: () =>
					`a build station of class ${deviceClass} in store ${this.#wishes.current?.store ?? "(none named yet)"}`,
			});
		}
		this.#voices = new HeldVoices({
			state,
			log,
			engineOf: (digest) => this.#engines?.ready(digest),
			onOffers: () => this.#speaker.offer(),
			onDamage: () => this.#wake(),
		});
		this.#speaker = new SpeakerProcess({
			offers: () => this.#voices.offers,
			verify: (digest) => this.#voices.verify(digest),
			onAsideTrouble: (...trouble) => this.#voices.withdraw(...trouble),
			aside: bounds.aside,
			onEnd: (how) =>
				log.warn({ how }, "the speaker ended and is started anew"),
			tensorrt: options.engine?.shim ?? null,
			onEngineTrouble: (digest, _, reason) =>
				this.#engines?.blame(digest, reason),
			port: options.port ?? 8420,
			threads,
			maxWaiting: options.maxWaiting ?? 16,
			playback: options.playback ?? {},
			clock,
			voice: () => this.#voice(),
			onChange: () => {
				this.#power.reporter?.voiceMayHaveChanged();
				this.#wake();
			},
			onUtterance: (event) => {
				if (event.kind === "begin") this.#joules.disturb();
				this.#power.reporter?.heard(event);
			},
		});
		this.#uplink = new Uplink({
			broker: {
				timeFloor: () => Math.max(SOFTWARE_FLOOR, floors.time),
				...options.broker,
			},
			...self,
			log,
			onDesired: (payload) => this.#inbox.desired(payload),
			onRoots: (payload) => this.#inbox.roots(payload),
			onDenied: () => this.#reporter.say(),
			onReady: () => {
				this.#reporter.again();
				this.#power.reporter?.report();
			},
		});
		this.#reporter = new Reporter({
			clock,
			state,
			speaker: this.#speaker,
			uplink: this.#uplink,
			seen: () => ({
				desired: this.#wishes.current,
				stale: this.#work.stale,
				active: this.#work.active,
				rejected: this.#work.rejected,
				speaker: this.#speaker,
				deviceClass,
				measured: this.#power.reporter?.measured,
				board: this.#board.told,
				engine: this.#work.engine,
				joules: this.#finding,
				runtime: this.#speaker.runtime,
				denied: this.#uplink.denied,
			}),
			offers: () => this.#voices.offers,
			engineOf: (digest) => this.#engines?.ready(digest)?.id ?? null,
			onChange: (reported) => this.emit("reported", reported),
		});
		this.#power = new DevicePower({
			device,
			deviceClass,
			source: options.power,
			hostRoot: options.hostRoot,
			dataDir,
			// while a speaker is started anew it has none; it will have this one
			voice: () => this.#speaker.digest ?? this.#work.active?.digest ?? null,
			publish: (kind, message) => this.#uplink.publish(kind, message, false),
			online: () => this.#uplink.ready,
			everyMs: options.powerEveryMs ?? 60_000,
			clock,
			log,
		});
		this.#board = new BoardWatch({
			read: () => readBoard(options.hostRoot),
			clock,
			everyMs: options.powerEveryMs ?? 60_000,
			onChange: () => this.#reporter.say(),
		});
		const limits = options.limits ?? {};
		const joules = new JoulesGate({
			...{ dataDir, clock, log, threads },
			source: () => this.#power.source,
			board: () => readBoard(options.hostRoot),
			speaking: () => this.#speaker.speaking,
			limits: (bundle) => {
				const wish = this.#wishes.current;
				return { ...limits, ...(wish?.bundle === bundle && wish.limits) };
			},
			tensorrt: options.engine?.shim ?? null,
			...options.joules,
		});
		this.#joules = joules;
		this.#work = new Work({
			joules,
			clock,
			log,
			state,
			wishes: this.#wishes,
			trust: this.#trust,
			speaker: this.#speaker,
			engines: this.#engines,
			voices: this.#voices,
			reporter: this.#reporter,
			retryMs: options.retryMs,
			executor: new Executor({
				...self,
				trust,
				...budget,
				state,
				speaker: this.#speaker,
				engines: this.#engines,
				joules,
				voices: this.#voices,
				threads,
				limits,
				link,
				goodKept: bounds.goodKept,
				onProgress: (done, total) => this.#reporter.progress(done, total),
				onAgain: (again) => log.info(again, "blocks are asked for again"),
				onStuck: (why) => this.#work.stuck(why),
				deadlines: options.deadlines,
				onTrial: (bundle, result) => this.#reporter.trial(bundle, result),
			}),
		});
		this.#inbox = new Inbox({
			wishes: this.#wishes,
			trust: this.#trust,
			work: this.#work,
			reporter: this.#reporter,
			log,
			onNews: () => this.#wake(),
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
			await this.#trust.recall();
			await this.#wishes.recall();
			await this.#work.recall();
			await this.#joules.recall();
			await this.#power.start();
			this.#board.start();
			await this.#speaker.start(signal);
		} catch (thrown) {
			await this.stop();
			throw thrown;
		}
		this.#uplink.start();
		this.#work.start();
	}

	/** Ends the speaker after its requests, and says goodbye to the broker. Idempotent. */
	async stop(): Promise<void> {
		this.#board.stop();
		await this.#work.stop();
		await this.#speaker.stop();
		await this.#power.stop();
		await this.#carrier?.stop();
		await this.#uplink.stop();
		await this.#reporter.stop();
		await this.#power.close();
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
			const refused = this.#work.rejected.get(bundle);
			const wished = this.#wishes.current;
			if (
				refused &&
				wished?.bundle === bundle &&
				refused.revision >= wished.revision
			)
				throw new WattvoxError(refused.code, refused.message);
			await once(this, "reported", { signal }).catch((thrown) => {
				throw signal?.aborted ? signal.reason : thrown;
			});
		}
	}

	/** What the active voice's joules came to; nothing before the device has its sensor. */
	get #finding(): Finding | undefined {
		const digest = this.#work.active?.digest;
		return digest !== undefined && this.#power.source
			? this.#joules.finding(digest, this.#speaker.runtime)
			: undefined;
	}

	/** What a new speaker process is to load. */
	#voice(): VoiceAt | null {
		const digest = this.#work.active?.digest;
		if (digest === undefined) return null;
		const engine = this.#engines?.ready(digest);
		const dir = this.#state.voiceDir(digest);
		return { digest, dir, ...(engine && { engine }) };
	}

	#wake(): void {
		this.#work.wake();
		this.#reporter.say();
	}
}
