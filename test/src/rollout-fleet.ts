import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type PrivateKey, writeBundle, writeKeys } from "@wattvox/bundle";
import { filesOf, readBase } from "@wattvox/cloud-trainer";
import { loadRollout, saveRollout } from "@wattvox/fleet";
import {
	decode,
	filter,
	Link,
	parseTopic,
	type Reported,
	zReported,
} from "@wattvox/link";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle } from "@wattvox/synth/testing";

const path = (relative: string) =>
	fileURLToPath(new URL(relative, import.meta.url));
const CLI = path("../../toolkit/cli/dist/main.js");
const BASE = path("../../models/base-en/");
const BOARD = path("../../toolkit/energy/fixtures/orin-nano/");

/** Between two sentences of a device that talks. */
const PAUSE_MS = 400;

/** `wattvox` in a process of its own. */
export class Command {
	readonly child: ChildProcess;
	out = "";
	/** What it told on standard error. */
	err = "";
	readonly code: Promise<number | null>;
	#heard: (() => void)[] = [];

	constructor(argv: readonly string[]) {
		const child = spawn(process.execPath, [CLI, ...argv], {
			stdio: ["ignore", "pipe", "pipe"],
			env: { ...process.env, XDG_CONFIG_HOME: "/nonexistent" },
		});
		this.child = child;
		child.stdout.on("data", (d) => {
			this.out += d;
		});
		child.stderr.on("data", (d) => {
			this.err += d;
			for (const wake of this.#heard.splice(0)) wake();
		});
		this.code = new Promise((resolve, reject) => {
			child.on("error", reject);
			child.on("close", (code) => {
				for (const wake of this.#heard.splice(0)) wake();
				resolve(code);
			});
		});
	}

	/** Waits until it has told something, from the place on that `from` is in. */
	async told(what: RegExp, from = 0): Promise<string> {
		for (;;) {
			const found = what.exec(this.err.slice(from));
			if (found) return found[0];
			const { exitCode, signalCode } = this.child;
			if (exitCode !== null || signalCode !== null)
				throw new Error(`ended before it told ${what}:\n${this.err}`);
			await new Promise<void>((resolve) => this.#heard.push(resolve));
		}
	}

	async end(signal: NodeJS.Signals): Promise<number | null> {
		this.child.kill(signal);
		return this.code;
	}
}

/** A device: an agent and its speaker, with a power monitor whose watts the test sets. */
export class Device {
	readonly name: string;
	readonly #dir: string;
	readonly #argv: readonly string[];
	#child: ChildProcess | undefined;
	#url = "";
	#talking: Promise<void> | undefined;
	#quiet = new AbortController();

	constructor(name: string, dir: string, argv: readonly string[]) {
		this.name = name;
		this.#dir = dir;
		this.#argv = argv;
	}

	/** @param sensor false: the machine has none, its joules are an estimate */
	async start(sensor = true): Promise<void> {
		const root = join(this.#dir, "root");
		await mkdir(root, { recursive: true });
		if (sensor) {
			await cp(BOARD, root, { recursive: true });
			await this.watts(10);
		}
		const data = join(this.#dir, "data");
		const [broker = "", fleet = "", key = ""] = this.#argv;
		const child = fork(
			path("./rollout-agent.js"),
			[broker, fleet, this.name, data, key, root],
			{ execArgv: [] },
		);
		this.#child = child;
		const [url] = await once(child, "message");
		this.#url = String(url);
	}

	/** What its monitor shows from now on; the other rails of the board do not count. */
	async watts(watts: number): Promise<void> {
		const hwmon = "root/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1";
		const put = async (name: string, value: number) => {
			const file = join(this.#dir, hwmon, name);
			await writeFile(`${file}.new`, `${value}\n`);
			await rename(`${file}.new`, file);
		};
		await put("in1_input", 5000);
		await put("curr1_input", Math.round(watts * 200));
	}

	/**
	 * Says one sentence after the other until it is told to stop, with pauses, or the devices that share this
	 * machine would leave no time for anything else.
	 */
	talk(): void {
		this.#quiet = new AbortController();
		const { signal } = this.#quiet;
		this.#talking = (async () => {
			while (!signal.aborted)
				try {
					const reply = await fetch(`${this.#url}/v1/audio/speech`, {
						method: "POST",
						headers: { "content-type": "application/json" },
						body: JSON.stringify({ input: "The kettle is on, and so on." }),
						signal,
					});
					await reply.arrayBuffer();
					await delay(PAUSE_MS, undefined, { signal });
				} catch {
					// it went away; the next request, or the next test, will tell
					await new Promise((resolve) => setImmediate(resolve));
				}
		})();
	}

	/** Ends the talk. */
	async hush(): Promise<void> {
		this.#quiet.abort();
		await this.#talking;
	}

	async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
		await this.hush();
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const gone = once(child, "exit");
		child.kill(signal);
		await gone;
	}
}

/** A made voice. */
export interface Made {
	path: string;
	digest: string;
}

/** A fleet on one machine: `wattvox fleet serve` and devices, all of it real processes. */
export class RolloutFleet {
	readonly dir: string;
	readonly devices = new Map<string, Device>();
	/** What devices say. */
	readonly said = new Map<string, Reported>();
	readonly #commands: Command[] = [];
	#key: PrivateKey | undefined;
	#serve: Command | undefined;
	#link: Link | undefined;
	#url = "";
	#heard: (() => void)[] = [];

	constructor(dir: string) {
		this.dir = dir;
	}

	/** @param broker one that runs already; without it `fleet serve` brings its own */
	async start(broker?: string): Promise<void> {
		this.#key = (await writeKeys(join(this.dir, "keys"), "fleet")).key;
		this.#serve = this.command([
			...["fleet", "serve", "--store", join(this.dir, "store")],
			...["--data", join(this.dir, "data"), "--http-port", "0"],
			...(broker ? ["--broker", broker] : ["--port", "0"]),
		]);
		const told = await this.#serve.told(/serving .* on mqtt:\S+(?=\s)/);
		this.#url = told.slice(told.lastIndexOf(" ") + 1);
		const link = new Link({
			url: this.#url,
			clientId: "publish-test",
			connectTimeoutMs: 60_000,
		});
		await link.subscribe(filter("reported", "home"), (name, payload) => {
			const device = parseTopic(name)?.device;
			const reported = decode(zReported, payload);
			if (device && reported) this.said.set(device, reported);
			for (const wake of this.#heard.splice(0)) wake();
		});
		await link.start();
		this.#link = link;
	}

	/** Of its broker. */
	get url(): string {
		return this.#url;
	}

	/** Runs `wattvox`. */
	command(argv: readonly string[]): Command {
		const command = new Command(argv);
		this.#commands.push(command);
		return command;
	}

	/** `wattvox rollout ...` to its end. @returns its JSON result */
	async rollout(
		...argv: string[]
	): Promise<{ code: number | null; json: unknown; err: string }> {
		const data = ["--data", join(this.dir, "data"), "--json"];
		const ran = this.command(["rollout", ...argv, ...data]);
		const code = await ran.code;
		const json = ran.out ? JSON.parse(ran.out) : undefined;
		return { code, json, err: ran.err };
	}

	/** What every command that drives a rollout takes. */
	get driving(): string[] {
		return [
			...["--data", join(this.dir, "data"), "--broker", this.#url],
			...["--key", join(this.dir, "keys", "fleet.key")],
		];
	}

	/** Everything that `publish` and `rollout start` take beside the bundle. */
	get publishing(): string[] {
		return ["--fleet", "home", "--store", join(this.dir, "store")];
	}

	/** Where rollouts are kept. */
	get rollouts(): string {
		return join(this.dir, "data", "rollouts");
	}

	/** Brings a device of a rollout that nobody drives to its deadline. */
	async deadlinePasses(id: string, device: string): Promise<void> {
		const state = await loadRollout(this.rollouts, id);
		const progress = state.devices[device];
		if (progress?.deadline == null)
			throw new Error(`${device} has no deadline in rollout ${id}`);
		progress.deadline = Date.now();
		await saveRollout(this.rollouts, state);
	}

	get power(): string[] {
		return ["fleet", "power", "--data", join(this.dir, "data"), "--json"];
	}

	/** A device that is about to be started. */
	device(name: string): Device {
		const trust = join(this.dir, "keys", "fleet.pub");
		const argv = [this.#url, "home", trust];
		const device = new Device(name, join(this.dir, name), argv);
		this.devices.set(name, device);
		return device;
	}

	/** Tells devices to speak with a voice, and waits until they do. */
	async publish(voice: Made, names: readonly string[]): Promise<void> {
		const ran = this.command([
			...["publish", voice.path, ...this.publishing],
			...this.driving.slice(2),
			...names.flatMap((name) => ["--device", name]),
		]);
		if ((await ran.code) !== 0) throw new Error(ran.err);
		for (const name of names) await this.speaks(name, voice.digest);
	}

	/** Waits until a device says that it speaks with a voice. */
	async speaks(name: string, digest: string): Promise<void> {
		await this.until(() => {
			const said = this.said.get(name);
			return said?.state === "active" && said.bundle === digest;
		});
	}

	async until(met: () => boolean): Promise<void> {
		while (!met())
			await new Promise<void>((resolve) => this.#heard.push(resolve));
	}

	/**
	 * A voice of the shipped base as a signed bundle.
	 * @param which of the base's own speakers
	 * @param goldenBy whose sentences it has to match; its own by default
	 */
	async voice(name: string, which: number, goldenBy = which): Promise<Made> {
		const base = await readBase(BASE);
		const of = (n: number) => {
			const speaker = Float32Array.from(Object.values(base.voices)[n] ?? []);
			return filesOf(base, BASE, name, speaker, "student");
		};
		const spoken = await Voice.load(await of(goldenBy));
		const golden = await makeGolden(spoken, ["All is well."], BASE_MEL);
		await spoken.dispose();
		const files = await of(which);
		const to = join(this.dir, name);
		const { digest } = await writeBundle(
			to,
			tinyBundle.sources(files, golden),
			{ ...tinyBundle.meta(name), sampleRate: files.config.sampleRate },
			this.#key as PrivateKey,
		);
		return { path: to, digest };
	}

	/** Ends all of it. @returns what `fleet serve` ended with */
	async stop(): Promise<number | null> {
		await Promise.all([...this.devices.values()].map((d) => d.end()));
		await this.#link?.stop();
		const code = (await this.#serve?.end("SIGTERM")) ?? null;
		for (const { child } of this.#commands) child.kill("SIGKILL");
		await Promise.all(this.#commands.map((c) => c.code));
		await rm(this.dir, { recursive: true, force: true, maxRetries: 5 });
		return code;
	}
}
