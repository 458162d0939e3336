import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { FolderStore } from "@wattvox/bundle";
import { systemClock } from "@wattvox/core";
import { readStatus } from "@wattvox/device-agent";
import type { baseBundle } from "../board/voice.ts";
import type { Attempt } from "./attempts.ts";
import { type Emulation, listen } from "./emulation.ts";
import { FleetHere } from "./fleet-here.ts";
import { saysTheSame } from "./same-sound.ts";

/** Of the unpacked archive. */
export const AGENT = "node_modules/@wattvox/device-agent/bin/wattvox-agent.js";
const SENTENCE = "All is well on this board, and nothing is sent anywhere.";

/** The agent itself under emulation, at a broker and a store that run here. */
export class EmulatedAgent {
	readonly #dir: string;
	readonly #machine: Emulation;
	readonly #made: Awaited<ReturnType<typeof baseBundle>>;
	readonly #attempt: Attempt;
	readonly #fleet: FleetHere;
	#agent: ChildProcess | undefined;
	#said: () => string = () => "";
	/** Aborts when the agent ends. */
	#gone = new AbortController();

	constructor(
		dir: string,
		machine: Emulation,
		made: Awaited<ReturnType<typeof baseBundle>>,
		attempt: Attempt,
	) {
		[this.#dir, this.#machine, this.#made] = [dir, machine, made];
		this.#attempt = attempt;
		this.#fleet = new FleetHere(dir, made.key);
	}

	/** Everything, in order. */
	async run(): Promise<void> {
		const fleet = this.#fleet;
		try {
			await fleet.start();
			this.#start(fleet.url);
			await this.#listens("the agent starts, its speech API listens");
			await this.#attempt("it connects to a broker", async (limit) => {
				await this.#until(limit, () => fleet.online);
				return "presence announced, desired state subscribed";
			});
			await this.#attempt("it pulls a signed bundle and verifies it", (limit) =>
				this.#pulls(limit),
			);
			await this.#attempt("the voice passes its trial", (limit) =>
				this.#becomesActive(limit),
			);
			await this.#speaks("it speaks as this machine does");
			await this.#stops("it stops when it is told to");
			await fleet.stop();
			this.#start("mqtt://127.0.0.1:1");
			await this.#listens("it starts again, with no broker");
			await this.#speaks("it speaks as before");
			await this.#stops("it stops with no broker, too");
		} finally {
			this.#end();
			await fleet.stop();
		}
	}

	#start(broker: string): void {
		const { fleet, device } = this.#fleet;
		const agent = this.#machine.start([
			...[AGENT, "run", "--broker", broker, "--data", this.#data],
			...["--trust", this.#made.trust, "--fleet", fleet, "--device", device],
			...["--port", "0", "--limit", "real-time-factor=100000"],
		]);
		const gone = new AbortController();
		agent.once("exit", (code, by) =>
			gone.abort(new Error(`the agent ended with ${by ?? code}`)),
		);
		[this.#agent, this.#said, this.#gone] = [agent, listen(agent), gone];
	}

	async #listens(what: string): Promise<void> {
		await this.#attempt(what, async (limit) => {
			await this.#until(limit, () => this.#port !== undefined);
			return `at port ${this.#port}`;
		});
	}

	async #pulls(limit: AbortSignal): Promise<string> {
		const { bundle, digest } = this.#made;
		await this.#fleet.wish(bundle);
		const there = new FolderStore(join(this.#data, "store"));
		while (!(await there.readManifest(digest))) await this.#pause(limit);
		return this.#fleet.sent;
	}

	async #becomesActive(limit: AbortSignal): Promise<string> {
		const ends = ["active", "failed"];
		const fleet = this.#fleet;
		await this.#until(limit, () => ends.includes(fleet.reported?.state ?? ""));
		const { state, reason } = fleet.reported ?? {};
		if (state !== "active")
			throw new Error(`${state}: ${reason?.code} ${reason?.message}`);
		const { trial } = await readStatus(this.#data);
		return `spectral distance ${trial?.melDistance.toFixed(4)} to the reference`;
	}

	async #speaks(what: string): Promise<void> {
		await this.#attempt(what, async (limit) => {
			const heard = await this.#hears(limit);
			return saysTheSame(heard, this.#made.bundle, SENTENCE);
		});
	}

	/** What the device says, as a WAV file; waits until it has a voice. */
	async #hears(limit: AbortSignal): Promise<Uint8Array> {
		for (;;) {
			const answer = await fetch(
				`http://127.0.0.1:${this.#port}/v1/audio/speech`,
				{
					method: "POST",
					headers: { "content-type": "application/json" },
					body: JSON.stringify({ input: SENTENCE }),
					signal: AbortSignal.any([limit, this.#gone.signal]),
				},
			);
			const bytes = new Uint8Array(await answer.arrayBuffer());
			if (answer.ok) return bytes;
			if (answer.status !== 503)
				throw new Error(`${answer.status}: ${new TextDecoder().decode(bytes)}`);
			await this.#pause(limit);
		}
	}

	async #stops(what: string): Promise<void> {
		await this.#attempt(what, async (limit) => {
			this.#agent?.kill("SIGTERM");
			while (!this.#gone.signal.aborted) await systemClock.sleep(50, limit);
			const code = this.#agent?.exitCode;
			if (code === 0 || code === 130) return `ended with ${code}`;
			throw this.#gone.signal.reason;
		});
		this.#end();
	}

	/** What is left of it after all. */
	#end(): void {
		if (!this.#gone.signal.aborted) this.#agent?.kill("SIGKILL");
	}

	get #data(): string {
		return join(this.#dir, "data");
	}

	/** Of its speech API; undefined before it listens. */
	get #port(): string | undefined {
		return /speaking on \S+:(\d+)/.exec(this.#said())?.[1];
	}

	async #until(limit: AbortSignal, holds: () => boolean): Promise<void> {
		while (!holds()) await this.#pause(limit);
	}

	/** @throws the limit's reason; Error when the agent has ended */
	async #pause(limit: AbortSignal): Promise<void> {
		await systemClock.sleep(100, AbortSignal.any([limit, this.#gone.signal]));
	}
}
