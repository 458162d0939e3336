import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
	BLOCK_BYTES,
	type BlockSource,
	bundleDigest,
	MANIFEST,
	MANIFEST_MAX_BYTES,
	MANIFEST_SIGNATURE,
	type ManifestFiles,
	openBundle,
	ReadAhead,
	sha256,
	type Trust,
	zDigest,
} from "@wattvox/bundle";
import { retry, WattvoxError } from "@wattvox/core";
import { AwsClient } from "aws4fetch";

export interface S3StoreOptions {
	bucket: string;
	/** Before every name; "" for none. */
	prefix?: string;
	/** Address of an S3-compatible server, path style. Default: AWS in `region`. */
	endpoint?: string;
	/** Default "us-east-1". */
	region?: string;
	accessKeyId: string;
	secretAccessKey: string;
	sessionToken?: string;
	signal?: AbortSignal;
}

/** Attempts at one request; other answers than 5xx and 429 are not asked for again. */
const ATTEMPTS = 4;
const REQUEST_MS = 30_000;
/** In the answer to ListObjectsV2; a digest needs no escapes. */
const MANIFEST_KEY =
	/<Key>[^<]*bundles\/([0-9a-f]{64})\/manifest\.json<\/Key>/g;
const CONTINUED = /<NextContinuationToken>([^<]+)<\/NextContinuationToken>/;

/**
 * A content-addressed store in an S3 bucket, with the names of `FolderStore`:
 * ```
 * PREFIX/blobs/sha256/<hex>
 * PREFIX/bundles/<digest>/manifest.json|sig    put last, so it exists only when its blobs do
 * ```
 * Blocks are read by range, in pieces of 1 MiB of which the last few are kept.
 */
export class S3Store implements BlockSource {
	readonly #o: S3StoreOptions;
	readonly #client: AwsClient;
	/** Of the bucket. */
	readonly #bucket: string;
	/** Before every name; ends with a slash where there is one. */
	readonly #prefix: string;
	readonly #base: string;
	readonly #readAhead: ReadAhead;

	constructor(options: S3StoreOptions) {
		const { bucket, prefix = "", region = "us-east-1" } = options;
		const endpoint = options.endpoint ?? `https://s3.${region}.amazonaws.com`;
		this.#o = options;
		this.#client = new AwsClient({
			accessKeyId: options.accessKeyId,
			secretAccessKey: options.secretAccessKey,
			...(options.sessionToken !== undefined && {
				sessionToken: options.sessionToken,
			}),
			service: "s3",
			region,
			// ours knows the signal
			retries: 0,
		});
		const path = prefix.split("/").filter(Boolean);
		this.#prefix = path.map((part) => `${part}/`).join("");
		this.#bucket = `${endpoint.replace(/\/+$/, "")}/${bucket}`;
		this.#base = [this.#bucket, ...path].join("/");
		this.#readAhead = new ReadAhead(8, 1 << 20, (name, at, length) =>
			this.#range(name, at, length),
		);
	}

	/**
	 * Takes a bundle in. Files the bucket already has are not sent again; what is missing there, or is not
	 * what was signed, is put in its place. So a store is mended by publishing again. The bucket's ETag says
	 * what it holds where that is an MD5, as after every upload from here; otherwise the object is read.
	 * @returns the bundle's digest
	 * @throws as `openBundle`; WattvoxError E_PULL (the server refuses, or does not answer)
	 */
	async put(
		bundleDir: string,
		trust: Trust,
		signal?: AbortSignal,
	): Promise<string> {
		const bundle = await openBundle(bundleDir, trust, signal ? { signal } : {});
		const { digest, manifest } = bundle;
		for (const file of manifest.files) {
			const name = `blobs/sha256/${file.sha256}`;
			const bytes = await readFile(join(bundle.dir, file.name));
			if (sha256(bytes) !== file.sha256)
				throw new WattvoxError("E_TAMPERED", `${file.name} changes under us`);
			if (!(await this.#holds(name, bytes, signal)))
				await this.#put(name, bytes, signal);
		}
		const at = `bundles/${digest}`;
		const manifestBytes = await readFile(join(bundle.dir, MANIFEST));
		if (bundleDigest(manifestBytes) !== digest)
			throw new WattvoxError("E_TAMPERED", `${bundleDir} changes under us`);
		const signature = await readFile(join(bundle.dir, MANIFEST_SIGNATURE));
		const held = await this.readManifest(digest).catch(notThere);
		if (held?.bytes.equals(manifestBytes) && held.signature.equals(signature))
			return digest;
		await this.#put(`${at}/${MANIFEST_SIGNATURE}`, signature, signal);
		await this.#put(`${at}/${MANIFEST}`, manifestBytes, signal);
		return digest;
	}

	async readManifest(digest: string): Promise<ManifestFiles | undefined> {
		const at = `bundles/${digest}`;
		const bytes = await this.#get(`${at}/${MANIFEST}`, MANIFEST_MAX_BYTES);
		if (!bytes) return undefined;
		const signature = await this.#get(`${at}/${MANIFEST_SIGNATURE}`, 4096);
		return signature && { bytes, signature };
	}

	async readBlock(digest: string, index: number): Promise<Buffer | undefined> {
		const name = `blobs/sha256/${digest}`;
		const at = index * BLOCK_BYTES;
		const block = await this.#readAhead.read(name, at, BLOCK_BYTES);
		return block.byteLength > 0 ? block : undefined;
	}

	/** Digests of the bundles that are here whole. @throws WattvoxError E_PULL */
	async bundles(): Promise<string[]> {
		const found: string[] = [];
		let next: string | undefined = "";
		while (next !== undefined) {
			const query = new URLSearchParams({
				...{ "list-type": "2", prefix: `${this.#prefix}bundles/` },
				...(next && { "continuation-token": next }),
			});
			const reply = await this.#askAt(`${this.#bucket}?${query}`, "the list");
			const xml = await reply.text();
			for (const [, digest] of xml.matchAll(MANIFEST_KEY))
				if (digest) found.push(digest);
			next = CONTINUED.exec(xml)?.[1]?.replaceAll("&amp;", "&");
		}
		return found.sort();
	}

	/** Takes a bundle out and leaves its blobs. @throws WattvoxError E_PULL */
	async forget(digest: string): Promise<void> {
		const at = `bundles/${zDigest.parse(digest)}`;
		// the manifest first: without it there is no bundle
		for (const name of [MANIFEST, MANIFEST_SIGNATURE])
			await this.#delete(`${at}/${name}`);
	}

	/** Removes a blob, whether a bundle lists it or not. @throws WattvoxError E_PULL */
	removeBlob(sha256: string): Promise<void> {
		return this.#delete(`blobs/sha256/${zDigest.parse(sha256)}`);
	}

	async #delete(name: string): Promise<void> {
		const reply = await this.#ask(name, { method: "DELETE" }, [404]);
		await reply.body?.cancel();
	}

	/** Bytes of an object from `at`; empty where there are none. */
	async #range(name: string, at: number, length: number): Promise<Buffer> {
		const range = `bytes=${at}-${at + length - 1}`;
		const reply = await this.#ask(name, { headers: { range } }, [404, 416]);
		if (reply.status === 404 || reply.status === 416) {
			await reply.body?.cancel();
			return Buffer.alloc(0);
		}
		// a server that knows no ranges sends all of it
		return readPart(reply, reply.status === 206 ? 0 : at, length);
	}

	async #get(name: string, most: number): Promise<Buffer | undefined> {
		const reply = await this.#ask(name, {}, [404]);
		if (reply.status === 404) {
			await reply.body?.cancel();
			return undefined;
		}
		const bytes = await readPart(reply, 0, most + 1);
		if (bytes.byteLength > most)
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`${name} has more than ${most} bytes`,
			);
		return bytes;
	}

	/** Whether the bucket has an object of just these bytes. */
	async #holds(
		name: string,
		bytes: Buffer,
		signal?: AbortSignal,
	): Promise<boolean> {
		const head = await this.#ask(name, { method: "HEAD" }, [404], signal);
		if (head.status === 404) return false;
		if (Number(head.headers.get("content-length")) !== bytes.byteLength)
			return false;
		const tag = /^"([0-9a-f]{32})"$/.exec(head.headers.get("etag") ?? "")?.[1];
		const md5 = createHash("md5").update(bytes).digest("hex");
		if (tag === md5) return true;
		// an MD5 of something else, or no MD5: of an upload in parts, or one that the bucket encrypts
		const reply = await this.#ask(name, {}, [404], signal);
		if (reply.status === 404) return false;
		return bytes.equals(await readPart(reply, 0, bytes.byteLength + 1));
	}

	async #put(name: string, bytes: Buffer, signal?: AbortSignal): Promise<void> {
		const body = new Uint8Array(bytes);
		const reply = await this.#ask(name, { method: "PUT", body }, [], signal);
		await reply.body?.cancel();
	}

	#ask(
		name: string,
		init: RequestInit,
		fine: readonly number[],
		signal?: AbortSignal,
	): Promise<Response> {
		return this.#askAt(`${this.#base}/${name}`, name, init, fine, signal);
	}

	async #askAt(
		url: string,
		name: string,
		init: RequestInit = {},
		fine: readonly number[] = [],
		signal?: AbortSignal,
	): Promise<Response> {
		const stop = signal ?? this.#o.signal;
		return retry(
			async () => {
				const limit = AbortSignal.timeout(REQUEST_MS);
				const both = stop ? AbortSignal.any([stop, limit]) : limit;
				let reply: Response;
				try {
					reply = await this.#client.fetch(url, {
						...init,
						signal: both,
					});
				} catch (cause) {
					stop?.throwIfAborted();
					throw new WattvoxError("E_PULL", `the store does not answer`, {
						cause,
					});
				}
				if (reply.ok || fine.includes(reply.status)) return reply;
				await reply.body?.cancel();
				throw Object.assign(
					new WattvoxError(
						"E_PULL",
						`the store answers ${reply.status} to ${init.method ?? "GET"} ${name}`,
					),
					{ final: reply.status < 500 && reply.status !== 429 },
				);
			},
			{
				limit: ATTEMPTS,
				...(stop && { signal: stop }),
				retryable: (thrown) => !(thrown as { final?: boolean }).final,
			},
		);
	}
}

/**
 * Part of an answer, and no more of it in memory, whatever its headers say.
 * @param from bytes that are passed over
 * @param most bytes; fewer where the answer ends
 * @throws WattvoxError E_PULL (it breaks off)
 */
async function readPart(
	reply: Response,
	from: number,
	most: number,
): Promise<Buffer> {
	const pieces: Uint8Array[] = [];
	let at = 0;
	let length = 0;
	try {
		for await (const piece of (reply.body ?? []) as AsyncIterable<Uint8Array>) {
			const found = piece.subarray(Math.max(0, from - at));
			at += piece.byteLength;
			const wanted = found.subarray(0, most - length);
			if (wanted.byteLength > 0) pieces.push(wanted);
			length += wanted.byteLength;
			if (length === most) break;
		}
	} catch (cause) {
		throw new WattvoxError("E_PULL", "the store's answer broke off", { cause });
	}
	return Buffer.concat(pieces, length);
}

/** What is damaged is as good as not there; that the server does not answer is another matter. */
function notThere(thrown: unknown): undefined {
	if (thrown instanceof WattvoxError && thrown.code === "E_FILE_FORMAT")
		return undefined;
	throw thrown;
}
