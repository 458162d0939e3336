import { type ChildProcess, fork } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FolderStore, newKey, trustKeys, writeBundle } from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import { type FetchCounters, Link, pullBundle } from "@wattvox/link";

export interface MeasureOptions {
	/** Size of the one file that is moved, bytes. Default 100 MiB. */
	bytes?: number;
	/** Pulls and downloads, alternating. Default 3 of each. */
	runs?: number;
	/** Credit window, blocks. Default: the fetcher's own. */
	window?: number;
	/** Where both sides keep their files. Default: a new folder in the system's own for such. */
	dir?: string;
	signal?: AbortSignal;
}

export interface Measured {
	bytes: number;
	/** MiB per second of each pull over MQTT: verified, on disk, fsynced. */
	mqtt: number[];
	/** MiB per second of each HTTP download of the same file: hashed, on the same disk, fsynced. */
	http: number[];
	/** Median of `mqtt` over median of `http`. */
	ratio: number;
	/** Of the last pull. */
	counters: FetchCounters;
}

/**
 * Measures a pull against an HTTP download of the same file on loopback, alternating, the far side
 * in a process of its own.
 * @throws WattvoxError as `pullBundle`; the signal's reason
 */
export async function measurePull(
	options: MeasureOptions = {},
): Promise<Measured> {
	const { bytes = 100 * 1024 * 1024, runs = 3, signal } = options;
	const root = await mkdtemp(join(options.dir ?? tmpdir(), "wattvox-measure-"));
	let peer: ChildProcess | undefined;
	let link: Link | undefined;
	try {
		const key = newKey();
		const trust = trustKeys([key.publicKey]);
		const { digest, sha256 } = await prepare(root, bytes, key);
		peer = fork(new URL("./measure-peer.js", import.meta.url), [
			join(root, "store"),
		]);
		const urls = await addresses(peer);
		link = new Link({ url: urls.mqtt, clientId: "measure" });
		await link.start(signal);
		const measured: Measured = {
			bytes,
			mqtt: [],
			http: [],
			ratio: 0,
			counters: {} as FetchCounters,
		};
		for (let run = 0; run < runs; run++) {
			const dir = join(root, `device-${run}`);
			const result = await pullBundle({
				link,
				fleet: "measure",
				device: "measure",
				store: "store",
				digest,
				into: new FolderStore(dir),
				trust,
				...(options.window && { window: options.window }),
				...(signal && { signal }),
			});
			measured.counters = result.counters;
			measured.mqtt.push(mib(bytes) / result.seconds);
			await rm(dir, { recursive: true });
			const to = join(root, `http-${run}`);
			const seconds = await download(
				`${urls.http}/${sha256}`,
				to,
				sha256,
				signal,
			);
			measured.http.push(mib(bytes) / seconds);
			await rm(to);
		}
		measured.ratio = median(measured.mqtt) / median(measured.http);
		return measured;
	} finally {
		await link?.stop();
		await end(peer);
		await rm(root, { recursive: true, force: true });
	}
}

/** Bytes that do not compress, in a signed bundle, in a store. */
async function prepare(
	root: string,
	bytes: number,
	key: ReturnType<typeof newKey>,
): Promise<{ digest: string; sha256: string }> {
	const path = join(root, "file");
	await mkdir(root, { recursive: true });
	const handle = await open(path, "w");
	for (let left = bytes; left > 0; left -= 1 << 20)
		await handle.write(randomBytes(Math.min(left, 1 << 20)));
	await handle.close();
	const now = Date.now();
	const { digest, manifest } = await writeBundle(
		join(root, "bundle"),
		[{ role: "decoder", name: "decoder.onnx", path }],
		{
			voice: "measure",
			language: "en",
			sampleRate: 16_000,
			base: { name: "none", digest: null },
			energy: { trainWh: null, gCO2e: null, measured: false },
			consent: { statement: "Random bytes." },
			created: new Date(now).toISOString(),
			expires: new Date(now + 86_400_000).toISOString(),
		},
		key,
	);
	const store = new FolderStore(join(root, "store"));
	await store.put(join(root, "bundle"), trustKeys([key.publicKey]));
	return { digest, sha256: manifest.files[0]?.sha256 ?? "" };
}

/** Streams a URL to a file, hashing on the way, and brings it to disk. @returns seconds */
async function download(
	url: string,
	to: string,
	sha256: string,
	signal?: AbortSignal,
): Promise<number> {
	const begin = performance.now();
	const request = get(url, signal ? { signal } : {});
	const [response] = (await once(request, "response")) as [IncomingMessage];
	const handle = await open(to, "w");
	const hash = createHash("sha256");
	try {
		for await (const chunk of response) {
			hash.update(chunk);
			await handle.write(chunk);
		}
		await handle.sync();
	} finally {
		await handle.close();
	}
	if (hash.digest("hex") !== sha256)
		throw new WattvoxError("E_TAMPERED", "the download is not the file");
	return (performance.now() - begin) / 1000;
}

async function addresses(
	peer: ChildProcess,
): Promise<{ mqtt: string; http: string }> {
	const gone = once(peer, "exit").then(() => {
		throw new WattvoxError("E_BUG", "the far side ended before it was ready");
	});
	gone.catch(() => undefined);
	const [message] = await Promise.race([once(peer, "message"), gone]);
	return message as { mqtt: string; http: string };
}

async function end(peer: ChildProcess | undefined): Promise<void> {
	if (!peer || peer.exitCode !== null || peer.signalCode) return;
	const exit = once(peer, "exit");
	peer.kill("SIGKILL");
	await exit;
}

function mib(bytes: number): number {
	return bytes / 1024 / 1024;
}

/** The middle value; the mean of the two middle ones when their number is even. */
function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	const at = (i: number) => sorted[Math.floor(i)] ?? Number.NaN;
	return (at((sorted.length - 1) / 2) + at(sorted.length / 2)) / 2;
}
