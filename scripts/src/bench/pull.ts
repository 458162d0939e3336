import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, open, rm } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
	FolderStore,
	newKey,
	type PrivateKey,
	type Trust,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { sampleFiles, sampleMeta } from "@wattvox/bundle/testing";
import { table, WattvoxError } from "@wattvox/core";
import { Link, type PullResult, pullBundle } from "@wattvox/link";
import { formatMachine, machineFacts, median } from "./machine.ts";
import { printed, withFolder } from "./printed.ts";

const USAGE = `npm run bench -- pull [options]

  --megabytes N    size of the bundle, at least 100 (default 128)
  --runs N         of each kind, alternating (default 5)
  --dir DIR        the disk to write to (default: here)
  --json           for programs
`;

/** The goals; a pull verifies, so the download it is held to does too. */
const GOAL = { ofHashed: 0.6, ofBundle: 0.05 };

interface Options {
	bytes: number;
	runs: number;
	dir: string;
}

interface Url {
	mqtt: string;
	http: string;
}

/** `bench pull`: what the block protocol costs beside the simplest thing that could work. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			megabytes: { type: "string", default: "128" },
			runs: { type: "string", default: "5" },
			dir: { type: "string", default: "." },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const megabytes = Number(o.megabytes);
	const runs = Number(o.runs);
	if (!(megabytes >= 100) || !(Number.isSafeInteger(runs) && runs > 0))
		throw new WattvoxError("E_USAGE", USAGE);
	await printed(o.json, {
		measure: (note, signal) =>
			withFolder(o.dir, "bench-pull-", (dir) =>
				measurePull({ bytes: megabytes * 1e6, runs, dir }, note, signal),
			),
		report,
	});
}

interface Sample {
	digest: string;
	trust: Trust;
	/** SHA-256 of its largest file, which HTTP serves too. */
	file: string;
}

/** A signed bundle of a made-up voice in the store below `dir`. */
async function makeSample(
	dir: string,
	decoderBytes: number,
	voice: string,
	key: PrivateKey,
): Promise<Sample> {
	const trust = trustKeys([key.publicKey]);
	const files = sampleFiles({ voice, decoderBytes });
	const { digest, manifest } = await writeBundle(
		join(dir, voice),
		files,
		sampleMeta(voice),
		key,
	);
	await new FolderStore(join(dir, "store")).put(join(dir, voice), trust);
	const decoder = manifest.files.find((f) => f.role === "decoder");
	return { digest, trust, file: decoder?.sha256 ?? "" };
}

type Result = Awaited<ReturnType<typeof measurePull>>;

/**
 * Pulls over MQTT and downloads over HTTP of the same file to the same disk, alternating, the far
 * side in a process of its own.
 * @throws WattvoxError as `pullBundle`; the signal's reason
 */
export async function measurePull(
	{ bytes, runs, dir }: Options,
	note: (line: string) => void,
	signal: AbortSignal,
) {
	note(`making a bundle of ${Math.round(bytes / 1e6)} MB ...`);
	const key = newKey();
	const sample = await makeSample(dir, bytes, "ada", key);
	// A second voice on the same base, in the same store.
	const second = await makeSample(dir, bytes, "bob", key);
	const server = fork(new URL("./pull-server.js", import.meta.url), [
		join(dir, "store"),
	]);
	try {
		const url = await new Promise<Url>((resolve, reject) => {
			server.once("message", (m) => resolve(m as Url));
			server.once("exit", () =>
				reject(new WattvoxError("E_BROKER", "the server did not start")),
			);
		});
		const link = new Link({ url: url.mqtt, clientId: "bench" });
		await link.start(signal);
		try {
			const pulls: PullResult[] = [];
			const seconds = {
				mqtt: [] as number[],
				http: [] as number[],
				hashed: [] as number[],
			};
			const from = `${url.http}/${sample.file}`;
			for (let i = 0; i < runs; i++) {
				seconds.http.push(await download(from, dir, signal));
				seconds.hashed.push(await download(from, dir, signal, sample.file));
				const pulled = await pull(link, sample, join(dir, `mqtt-${i}`), signal);
				seconds.mqtt.push(pulled.seconds);
				pulls.push(pulled);
				note(
					`run ${i + 1}: HTTP ${seconds.http[i]?.toFixed(2)} s, MQTT ${pulled.seconds.toFixed(2)} s`,
				);
				if (i > 0) await rm(join(dir, `mqtt-${i}`), { recursive: true });
			}
			const adapter = await pull(link, second, join(dir, "mqtt-0"), signal);
			const resumed = await resume(link, sample, join(dir, "resume"), signal);
			const rate = {
				http: bytes / 1e6 / median(seconds.http),
				hashed: bytes / 1e6 / median(seconds.hashed),
				mqtt: (pulls[0]?.totalBytes ?? 0) / 1e6 / median(seconds.mqtt),
			};
			return {
				machine: machineFacts(),
				megabytes: bytes / 1e6,
				seconds,
				megabytesPerSecond: rate,
				ofHttp: rate.mqtt / rate.http,
				ofHashed: rate.mqtt / rate.hashed,
				newVoiceOfBundle:
					(adapter.totalBytes - adapter.keptBytes) / adapter.totalBytes,
				resume: resumed,
			};
		} finally {
			await link.stop();
		}
	} finally {
		server.disconnect();
	}
}

/**
 * Streams a URL to a file and brings it to disk.
 * @param sha256 hash it on the way and hold it to this; without it nothing is verified
 * @returns seconds
 * @throws WattvoxError E_TAMPERED; the signal's reason
 */
async function download(
	url: string,
	dir: string,
	signal: AbortSignal,
	sha256?: string,
): Promise<number> {
	const path = join(dir, "http.bin");
	const begin = performance.now();
	const [response] = (await once(get(url, { signal }), "response")) as [
		IncomingMessage,
	];
	const hash = sha256 === undefined ? undefined : createHash("sha256");
	const file = await open(path, "w");
	try {
		for await (const chunk of response) {
			hash?.update(chunk);
			await file.write(chunk);
		}
		await file.sync();
	} finally {
		await file.close();
	}
	if (hash && hash.digest("hex") !== sha256)
		throw new WattvoxError("E_TAMPERED", "the download is not the file");
	const seconds = (performance.now() - begin) / 1000;
	await rm(path);
	return seconds;
}

async function pull(
	link: Link,
	sample: Sample,
	root: string,
	signal: AbortSignal,
	onProgress?: (done: number, total: number) => void,
): Promise<PullResult> {
	await mkdir(root, { recursive: true });
	return pullBundle({
		link,
		fleet: "bench",
		device: "bench",
		store: "store",
		digest: sample.digest,
		into: new FolderStore(root),
		trust: sample.trust,
		signal,
		...(onProgress && { onProgress }),
	});
}

/** Breaks a pull off half-way and takes it up again. */
async function resume(
	link: Link,
	sample: Sample,
	root: string,
	signal: AbortSignal,
): Promise<{ doneBefore: number; kept: number; sentAgain: number }> {
	const stop = new AbortController();
	let before = 0;
	const broken = pull(
		link,
		sample,
		root,
		AbortSignal.any([signal, stop.signal]),
		(done, total) => {
			before = done;
			if (done > total / 2) stop.abort(new Error("broken off"));
		},
	);
	await broken.catch((thrown) => {
		if (!stop.signal.aborted) throw thrown;
	});
	const again = await pull(link, sample, root, signal);
	return {
		doneBefore: before,
		kept: again.keptBytes,
		sentAgain: Math.max(0, before - again.keptBytes),
	};
}

function report(r: Result): string {
	const verdict = (ok: boolean) => (ok ? "met" : "MISSED");
	const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
	const rows = [
		["HTTP download, synced", `${r.megabytesPerSecond.http.toFixed(0)} MB/s`],
		[
			"HTTP download, hashed, synced",
			`${r.megabytesPerSecond.hashed.toFixed(0)} MB/s`,
		],
		[
			"MQTT pull, verified, synced",
			`${r.megabytesPerSecond.mqtt.toFixed(0)} MB/s`,
		],
		[
			"MQTT of hashed HTTP",
			percent(r.ofHashed),
			`>= ${percent(GOAL.ofHashed)}`,
			verdict(r.ofHashed >= GOAL.ofHashed),
		],
		["MQTT of HTTP", percent(r.ofHttp)],
		[
			"new voice on a known base, of the bundle",
			percent(r.newVoiceOfBundle),
			`<= ${percent(GOAL.ofBundle)}`,
			verdict(r.newVoiceOfBundle <= GOAL.ofBundle),
		],
		[
			"sent again after a break at half",
			`${(r.resume.sentAgain / 1024).toFixed(0)} KiB`,
		],
	];
	return `${formatMachine(r.machine)}; ${r.megabytes} MB, medians of ${r.seconds.http.length} alternating runs

${table(["", "figure", "goal", "verdict"], rows, ["left", "right", "right"])}
`;
}
