import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
	FolderStore,
	newKey,
	type PrivateKey,
	publicPem,
	writeBundle,
} from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import { type AgentStatus, readStatus } from "@wattvox/device-agent";
import { Broker, publish, StoreServer } from "@wattvox/fleet";
import {
	castFloat,
	decodeSafetensors,
	encodeSafetensors,
	type Tensor,
} from "@wattvox/onnx";
import { BASE_MEL } from "@wattvox/speech";
import {
	type Golden,
	makeGolden,
	parseGolden,
	readVoiceFiles,
	Voice,
	type VoiceFiles,
} from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";

/** One reply of the speech API. */
export interface Reply {
	/** Null: no answer, or one that broke off. */
	status: number | null;
	bundle: string | null;
	bytes: number;
	/** When it was asked for, its first sound came, and its last; of performance.now(). */
	beginAt: number;
	firstAt: number;
	endAt: number;
}

interface Parts {
	dir: string;
	agent: ChildProcess;
	key: PrivateKey;
	broker: Broker;
	server: StoreServer;
	store: FolderStore;
	files: VoiceFiles;
	golden: Golden;
}

/**
 * A fleet of one on loopback: broker and store in this process, and an agent with its speaker as the
 * processes that a device runs.
 */
export class DeviceRig {
	/** Address of the speech API. */
	readonly url: string;
	readonly #p: Parts;
	#revision = 0;

	private constructor(parts: Parts, url: string) {
		this.#p = parts;
		this.url = url;
	}

	/**
	 * @param voice a bundle's folder with an adapter; "tiny" for the tests' own
	 * @param root where its folder is made
	 * @param options more of the agent's
	 */
	static async start(
		voice: string,
		root: string,
		signal: AbortSignal,
		options: readonly string[] = [],
	): Promise<DeviceRig> {
		const { files, golden } = await source(voice, signal);
		const dir = await mkdtemp(join(root, "bench-device-"));
		const key = newKey();
		const trust = join(dir, "fleet.pub");
		await writeFile(trust, publicPem(key.publicKey));
		const store = new FolderStore(join(dir, "store"));
		const broker = await Broker.start({ port: 0 });
		const server = new StoreServer({
			source: store,
			broker: { url: broker.url },
		});
		await server.start();
		// The program itself, as a device starts it: its first line holds Node's options.
		const program = new URL(
			"../../../device-agent/bin/wattvox-agent.js",
			import.meta.url,
		);
		const agent = spawn(
			fileURLToPath(program),
			[
				...["run", "--broker", broker.url, "--fleet", "bench"],
				...["--device", "d1", "--data", join(dir, "d1")],
				...["--trust", trust, "--port", "0"],
				...options,
			],
			{
				stdio: ["ignore", "pipe", "inherit"],
				env: { WATTVOX_LOG: "warn", ...process.env },
			},
		);
		const url = await new Promise<string>((resolve, reject) => {
			createInterface({ input: agent.stdout as NodeJS.ReadableStream }).on(
				"line",
				(line) => {
					const found = /http:\S+/.exec(line)?.[0];
					if (found) resolve(found);
				},
			);
			agent.once("exit", (code) =>
				reject(new WattvoxError("E_BUG", `the agent ended (${code})`)),
			);
		});
		const parts = { dir, agent, key, broker, server, store, files, golden };
		return new DeviceRig(parts, url);
	}

	/**
	 * Writes a bundle of the voice with its adapter a little changed: another voice on the same base.
	 * @returns its folder and digest
	 */
	async bundle(change: number): Promise<{ path: string; digest: string }> {
		const files = { ...this.#p.files };
		if (files.adapter) files.adapter = changed(files.adapter, change);
		const path = join(this.#p.dir, `bundle-${change}`);
		const name = files.config.name;
		const { digest } = await writeBundle(
			path,
			tinyBundle.sources(files, this.#p.golden),
			{ ...tinyBundle.meta(name), sampleRate: files.config.sampleRate },
			this.#p.key,
		);
		return { path, digest };
	}

	/** Puts a bundle into the store and tells the device to speak with it. */
	async publish(path: string, signal: AbortSignal): Promise<void> {
		await publish(path, this.#p.store, {
			fleet: "bench",
			devices: ["d1"],
			key: this.#p.key,
			broker: { url: this.#p.broker.url },
			revision: ++this.#revision,
			signal,
		});
	}

	/** Says something, by the active voice or another, and takes all of the answer. */
	async say(
		input: string,
		signal: AbortSignal,
		voice?: string,
	): Promise<Reply> {
		const reply: Reply = {
			...{ status: null, bundle: null, bytes: 0 },
			...{ beginAt: performance.now(), firstAt: Number.NaN, endAt: Number.NaN },
		};
		// its own signal: fetch leaves its listeners on one that lives on
		const over = new AbortController();
		const abort = () => over.abort(signal.reason);
		signal.addEventListener("abort", abort, { once: true });
		try {
			signal.throwIfAborted();
			const response = await fetch(`${this.url}/v1/audio/speech`, {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ input, voice, response_format: "pcm" }),
				signal: over.signal,
			});
			for await (const chunk of response.body ?? []) {
				if (reply.bytes === 0) reply.firstAt = performance.now();
				reply.bytes += chunk.length;
			}
			reply.status = response.status;
			reply.bundle = response.headers.get("x-wattvox-bundle");
		} catch {
			// No answer: the status stays null, and is counted.
			signal.throwIfAborted();
		} finally {
			signal.removeEventListener("abort", abort);
		}
		reply.endAt = performance.now();
		return reply;
	}

	/** Waits until the device speaks with a bundle. @throws WattvoxError E_GOLDEN when it is refused */
	async speaks(digest: string, signal: AbortSignal): Promise<void> {
		for (;;) {
			const { bundle } = await this.say("Yes.", signal);
			if (bundle === digest) return;
			await this.#throwIfRefused();
			await setTimeout(50, undefined, { signal });
		}
	}

	/**
	 * Waits for the device to refuse what it is to speak with.
	 * @returns null when `over` is aborted before
	 * @throws WattvoxError E_GOLDEN
	 */
	async untilRefused(over: AbortSignal): Promise<null> {
		while (!over.aborted) {
			await this.#throwIfRefused();
			await setTimeout(50, undefined, { signal: over }).catch(() => undefined);
		}
		return null;
	}

	/** @throws WattvoxError E_GOLDEN when it says why it does not run what it should */
	async #throwIfRefused(): Promise<void> {
		const status = await this.status().catch(() => undefined);
		const reason = status?.reported.reason;
		if (reason) throw new WattvoxError("E_GOLDEN", reason.message);
	}

	status(): Promise<AgentStatus> {
		return readStatus(join(this.#p.dir, "d1"));
	}

	/** Process ids of the agent and of its speaker. */
	async pids(): Promise<{ agent: number; speaker: number }> {
		const { pid, speaker } = await this.status();
		if (!speaker.pid) throw new WattvoxError("E_BUG", "the speaker is down");
		return { agent: pid, speaker: speaker.pid };
	}

	/** Ends everything and removes its folder. */
	async stop(): Promise<void> {
		const { exitCode, signalCode } = this.#p.agent;
		if (exitCode === null && signalCode === null) {
			const ended = new Promise((resolve) =>
				this.#p.agent.once("exit", resolve),
			);
			this.#p.agent.kill("SIGTERM");
			await ended;
		}
		await this.#p.server.stop();
		await this.#p.broker.stop();
		await rm(this.#p.dir, { recursive: true, force: true });
	}
}

async function source(
	voice: string,
	signal: AbortSignal,
): Promise<{ files: VoiceFiles; golden: Golden }> {
	if (voice !== "tiny") {
		const golden = await readFile(join(voice, "golden.json"));
		return { files: await readVoiceFiles(voice), golden: parseGolden(golden) };
	}
	const files = tinyVoice({ adapterSeed: 1 });
	const loaded = await Voice.load(files, { signal });
	try {
		const golden = await makeGolden(loaded, ["All is well."], BASE_MEL);
		return { files, golden };
	} finally {
		await loaded.dispose();
	}
}

/** The adapter with each B larger by `change` in a thousand: hardly to be heard, and other bytes. */
function changed(adapter: Uint8Array, change: number): Uint8Array {
	const { tensors, metadata } = decodeSafetensors(adapter);
	for (const [name, tensor] of tensors) {
		if (!name.includes("lora_B")) continue;
		const single = castFloat(tensor, "float32");
		const data = Float32Array.from(
			single.data as Float32Array,
			// More than half precision rounds away, less than a golden sentence notices.
			(x) => x * (1 + change / 1000),
		);
		tensors.set(name, castFloat({ ...single, data } as Tensor, tensor.dtype));
	}
	return encodeSafetensors(tensors, metadata);
}
