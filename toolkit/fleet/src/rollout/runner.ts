import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PrivateKey } from "@wattvox/bundle";
import {
	asWattvoxError,
	type Clock,
	checkId,
	systemClock,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import {
	decode,
	encodeDesired,
	filter,
	Link,
	type LinkOptions,
	parseTopic,
	topic,
	zPowerMessage,
} from "@wattvox/link";
import { LiveFleet } from "../live/live-fleet.ts";
import { type Offer, type Order, obey, type Seen, step } from "./planner.ts";
import type { RolloutState } from "./spec.ts";
import { SpeechWatch } from "./speech-watch.ts";
import { type RolloutView, rolloutView } from "./view.ts";

export interface RolloutRunnerOptions {
	/** Folder of the rollouts' files. */
	dir: string;
	key: PrivateKey;
	/** The broker and how to get in. */
	broker: Omit<LinkOptions, "clientId" | "presence">;
	/** Between two steps, milliseconds. Default 1000. */
	tickMs?: number;
	/** Told whenever something changed. */
	onChange?: (view: RolloutView) => void;
	onError?: (error: WattvoxError) => void;
	clock?: Clock;
}

/** How long a desired state may bring the update. */
const VALID_MS = 90 * 24 * 3_600_000;

const statePath = (dir: string, id: string) => join(dir, `${id}.json`);
const orderPath = (dir: string, id: string) => join(dir, `${id}.order`);
const pidPath = (dir: string, id: string) => join(dir, `${id}.pid`);

/**
 * Runs one rollout: looks, asks the planner, tells devices.
 *
 * INVARIANTS
 * - What is told is in the state's file first, so a runner that was killed goes on where it stopped,
 *   and tells again what may not have gone out: the same revision, which changes nothing twice.
 * - One runner at a time: a second one is told E_BUSY.
 */
export class RolloutRunner {
	readonly #o: RolloutRunnerOptions;
	readonly #clock: Clock;
	#state: RolloutState;

	constructor(state: RolloutState, options: RolloutRunnerOptions) {
		this.#state = state;
		this.#o = options;
		this.#clock = options.clock ?? systemClock;
	}

	get state(): RolloutState {
		return this.#state;
	}

	/**
	 * Runs until the rollout is done and no failed device may try again, or it is aborted.
	 * @param stay goes on after that, for devices that join later or fall back
	 * @throws WattvoxError E_BUSY, E_BROKER, E_OUTPUT; the signal's reason
	 */
	async run(signal: AbortSignal, stay = false): Promise<RolloutState> {
		const { dir, broker, tickMs = 1000 } = this.#o;
		const { id, fleet } = this.#state.spec;
		await claim(dir, id);
		const link = new Link({
			...broker,
			clientId: `publish-${randomBytes(8).toString("hex")}`,
			queueLimit: 100_000,
		});
		try {
			await link.start(signal);
			const live = new LiveFleet({
				link,
				fleet,
				now: () => this.#clock.wall(),
			});
			// a publisher may not read what is desired; it knows
			await live.start(signal, ["presence", "reported"]);
			const watch = new SpeechWatch();
			await link.subscribe(
				filter("power", fleet),
				(name, payload) => {
					const report = decode(zPowerMessage, payload);
					if (report && parseTopic(name)?.device === report.device)
						watch.heard(report);
				},
				signal,
			);
			await this.#save();
			await this.#tell(link, this.#standing(), signal);
			while (!this.#over(stay)) {
				signal.throwIfAborted();
				try {
					await this.#tick(link, live, watch, signal);
				} catch (thrown) {
					signal.throwIfAborted();
					// such as a broker that is away for a while
					this.#o.onError?.(asWattvoxError(thrown));
				}
				if (!this.#over(stay)) await this.#clock.sleep(tickMs, signal);
			}
			return this.#state;
		} finally {
			await link.stop();
			await rm(pidPath(dir, id), { force: true });
		}
	}

	async #tick(
		link: Link,
		live: LiveFleet,
		watch: SpeechWatch,
		signal: AbortSignal,
	): Promise<void> {
		const now = this.#clock.wall();
		const order = await takeOrder(this.#o.dir, this.#state.spec.id);
		if (order) {
			const obeyed = obey(this.#state, order, now);
			await this.#become(obeyed.state);
			await this.#tell(link, obeyed.offers, signal);
		}
		watch.since(this.#state.settledAt);
		const view = new Map<string, Seen>();
		for (const d of live.devices()) {
			const { online, reported, deviceClass } = d;
			view.set(d.device, {
				...{ online, reported, kind: deviceClass ?? "" },
				speech: watch.of(d.device),
			});
		}
		const next = step(this.#state, view, now);
		await this.#become(next.state);
		await this.#tell(link, next.offers, signal);
	}

	async #become(state: RolloutState): Promise<void> {
		if (state === this.#state) return;
		this.#state = state;
		await this.#save();
	}

	async #save(): Promise<void> {
		await saveRollout(this.#o.dir, this.#state);
		this.#o.onChange?.(rolloutView(this.#state));
	}

	/** What devices have been told and may not have heard. */
	#standing(): Offer[] {
		const { spec, devices, status } = this.#state;
		if (status === "aborted") return [];
		return Object.entries(devices).flatMap(([device, p]) =>
			p.status === "offered" && p.revision !== null
				? [{ device, bundle: spec.bundle, revision: p.revision }]
				: [],
		);
	}

	async #tell(
		link: Link,
		offers: readonly Offer[],
		signal: AbortSignal,
	): Promise<void> {
		const { fleet, store } = this.#state.spec;
		const now = this.#clock.wall();
		const [at, expires] = [now, now + VALID_MS].map((ms) =>
			new Date(ms).toISOString(),
		) as [string, string];
		await Promise.all(
			offers.map(({ device, bundle, revision }) =>
				link.publish(
					topic(fleet, device, "desired"),
					encodeDesired(
						{ v: 1, fleet, device, bundle, store, revision, at, expires },
						this.#o.key,
					),
					{ qos: 1, retain: true, signal },
				),
			),
		);
	}

	#over(stay: boolean): boolean {
		const { status, devices, spec } = this.#state;
		if (status === "aborted") return true;
		if (status !== "done" || stay) return false;
		return Object.values(devices).every(
			(p) =>
				p.status === "good" || (p.status === "failed" && p.tries >= spec.tries),
		);
	}
}

/** @throws WattvoxError E_BUSY when a runner that lives has it */
async function claim(dir: string, id: string): Promise<void> {
	await mkdir(dir, { recursive: true });
	const pid = await runnerOf(dir, id);
	if (pid !== undefined)
		throw new WattvoxError("E_BUSY", `process ${pid} runs rollout ${id}`);
	await writeAtomic(pidPath(dir, id), String(process.pid));
}

/** The process that runs a rollout; undefined when none does. */
export async function runnerOf(
	dir: string,
	id: string,
): Promise<number | undefined> {
	try {
		const pid = Number(
			await readFile(pidPath(dir, checkId(id, "rollout id")), "utf8"),
		);
		if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
		process.kill(pid, 0);
		return pid;
	} catch (thrown) {
		if (thrown instanceof WattvoxError) throw thrown;
		return undefined;
	}
}

/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
export async function saveRollout(
	dir: string,
	state: RolloutState,
): Promise<void> {
	await writeAtomic(statePath(dir, state.spec.id), JSON.stringify(state));
}

/** @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT, E_USAGE (id) */
export async function loadRollout(
	dir: string,
	id: string,
): Promise<RolloutState> {
	let text: string;
	try {
		text = await readFile(statePath(dir, checkId(id, "rollout id")), "utf8");
	} catch (cause) {
		if (cause instanceof WattvoxError) throw cause;
		throw new WattvoxError("E_FILE_MISSING", `there is no rollout ${id}`, {
			cause,
		});
	}
	try {
		const state = JSON.parse(text) as RolloutState;
		if (state.v === 1 && state.spec.id === id) return state;
	} catch {
		// said below
	}
	throw new WattvoxError("E_FILE_FORMAT", `${id} is no rollout's file`);
}

/** Every rollout of a folder, the newest first. */
export async function listRollouts(dir: string): Promise<RolloutState[]> {
	let names: string[] = [];
	try {
		names = await readdir(dir);
	} catch {
		return [];
	}
	const states = await Promise.all(
		names
			.filter((name) => name.endsWith(".json"))
			.map((name) =>
				loadRollout(dir, name.slice(0, -5)).catch(() => undefined),
			),
	);
	return states
		.filter((s) => s !== undefined)
		.sort((a, b) => b.startedAt - a.startedAt);
}

/**
 * Gives an order: to the runner, or to the file when none runs. The latter tells no device: whoever
 * resumes it does.
 * @returns whether a runner will act on it
 */
export async function orderRollout(
	dir: string,
	id: string,
	order: Order,
	now = Date.now(),
): Promise<boolean> {
	const state = await loadRollout(dir, id);
	if (await runnerOf(dir, id)) {
		await writeAtomic(orderPath(dir, id), JSON.stringify(order));
		return true;
	}
	await saveRollout(dir, obey(state, order, now).state);
	return false;
}

async function takeOrder(dir: string, id: string): Promise<Order | undefined> {
	try {
		const order = JSON.parse(
			await readFile(orderPath(dir, id), "utf8"),
		) as Order;
		await rm(orderPath(dir, id));
		return order;
	} catch {
		return undefined;
	}
}
