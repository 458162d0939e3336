import { constants } from "node:fs";
import { chmod, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
	FolderStore,
	newKey,
	sha256,
	systemDisk,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import { WattvoxError } from "@wattvox/core";
import {
	type Budget,
	decodeDesired,
	encodeBlock,
	filter,
	type PullOptions,
	pullBundle,
	topic,
} from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Broker } from "./broker.ts";
import { publish } from "./publish.ts";
import { StoreServer } from "./store-server.ts";
import { connect, makeSample, tapped } from "./testing.ts";

async function setUp(
	t: ExecutionContext,
	options: {
		decoderBytes?: number;
		tap?: Parameters<typeof tapped>[1];
		serve?: boolean;
		/** The store in the broker's process talks to it directly. */
		direct?: boolean;
	} = {},
) {
	const root = await temporaryDir(t);
	const sample = await makeSample(root, options);
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const server = new StoreServer({
		source: options.tap ? tapped(sample.source, options.tap) : sample.source,
		broker: options.direct
			? broker
			: { url: broker.url, reconnectMs: { base: 20, max: 100 } },
	});
	if (options.serve !== false) await server.start();
	t.teardown(() => server.stop());
	const link = await connect(broker.url, "jetson-1");
	t.teardown(() => link.stop());
	const into = new FolderStore(join(root, "device"));
	const pull = (more: Partial<PullOptions> = {}) =>
		pullBundle({
			link,
			fleet: "home",
			device: "jetson-1",
			store: "store",
			digest: sample.digest,
			into,
			trust: sample.trust,
			...more,
		});
	return { root, ...sample, broker, server, link, into, pull };
}

test("publish, pull, verify: the bundle arrives whole, and arrives once", async (t) => {
	const s = await setUp(t);
	const { digest, revision } = await publish(s.dir, s.source, {
		fleet: "home",
		devices: ["jetson-1"],
		revision: 7,
		key: s.key,
		broker: { url: s.broker.url },
	});
	t.is(digest, s.digest);
	t.is(revision, 7);
	const payload = await new Promise<Buffer>((resolve, reject) => {
		s.link
			.subscribe(topic("home", "jetson-1", "desired"), (_, p) => resolve(p))
			.catch(reject);
	});
	const me = { fleet: "home", device: "jetson-1" };
	const desired = decodeDesired(payload, me, s.trust);
	t.like(desired, { bundle: s.digest, revision: 7, store: "store" });

	const progress: number[] = [];
	const result = await s.pull({ onProgress: (done) => progress.push(done) });
	t.like(result, { keptBytes: 0, totalBytes: s.bytes, signer: s.key.id });
	t.like(result.counters, {
		blocks: s.blocks + 1,
		stray: 0,
		tampered: 0,
		stalls: 0,
	});
	t.is(progress.at(-1), s.bytes);
	t.deepEqual(
		progress,
		[...progress].sort((a, b) => a - b),
	);
	const bundle = await s.into.checkout(digest, join(s.root, "voice"), s.trust);
	t.is(bundle.digest, digest);
	t.deepEqual(await readdir(join(s.into.root, "partial")), []);

	const again = await s.pull();
	t.is(again.counters.asked, 0);
	t.is(again.keptBytes, s.bytes);
});

test("a store beside the broker needs no connection, and listens no more when it stops", async (t) => {
	let blocks = 0;
	const s = await setUp(t, {
		direct: true,
		decoderBytes: 2_000_000,
		tap: (_sha256, _index, block) => {
			blocks++;
			return block;
		},
	});
	t.is(s.broker.clients, 1, "the device alone");
	const result = await s.pull();
	t.like(result.counters, { blocks: s.blocks + 1, stray: 0, stalls: 0 });
	t.is(blocks, s.blocks);
	const bob = await makeSample(s.root, { voice: "bob", key: s.key });
	await s.server.stop();
	const unheard = s.pull({ digest: bob.digest, stallMs: 50, stallLimit: 1 });
	await t.throwsAsync(unheard, { code: "E_TIMEOUT" });
	await s.server.start();
	t.like((await s.pull({ digest: bob.digest })).counters, { tampered: 0 });
});

test("a second voice on a known base moves its own files only", async (t) => {
	const s = await setUp(t);
	await s.pull();
	const bob = await makeSample(s.root, { voice: "bob", key: s.key });
	const result = await s.pull({ digest: bob.digest });
	t.is(result.counters.blocks, 1 + 2, "manifest, adapter, voice.json");
	t.true(result.keptBytes > 0.9 * result.totalBytes);
});

test("a changed model moves its changed blocks alone, wherever the others stand", async (t) => {
	const s = await setUp(t, { decoderBytes: 4_000_000 });
	await s.pull();
	const files = sampleFiles({ decoderBytes: 4_000_000 });
	const decoder = files.find((f) => f.role === "decoder");
	if (!decoder || !("bytes" in decoder)) return t.fail();
	// one block grows at the front, one byte changes further back
	const bytes = Buffer.concat([Buffer.alloc(65_536, 1), decoder.bytes]);
	bytes[3_000_000] = (bytes[3_000_000] ?? 0) ^ 1;
	const dir = join(s.root, "changed");
	const changed = files.map((f) => (f === decoder ? { ...f, bytes } : f));
	const { digest } = await writeBundle(dir, changed, sampleMeta(), s.key);
	await s.source.put(dir, s.trust);
	const before = s.server.counters?.bytes ?? 0;
	const result = await s.pull({ digest });
	t.is(result.counters.blocks, 1 + 2, "manifest and two blocks");
	t.true(result.copiedBytes > 3_900_000);
	const moved = (s.server.counters?.bytes ?? 0) - before;
	t.log(`moved ${moved} of ${result.totalBytes} bytes`);
	t.true(moved < 0.05 * result.totalBytes, `${moved}`);
	await s.into.checkout(digest, join(s.root, "voice"), s.trust);
});

test("a damaged neighbour is no source", async (t) => {
	const s = await setUp(t, { decoderBytes: 1_000_000 });
	await s.pull();
	const files = sampleFiles({ decoderBytes: 1_000_000 });
	const decoder = files.find((f) => f.role === "decoder");
	if (!decoder || !("bytes" in decoder)) return t.fail();
	const bytes = Buffer.concat([decoder.bytes, Buffer.from("more")]);
	const dir = join(s.root, "changed");
	const changed = files.map((f) => (f === decoder ? { ...f, bytes } : f));
	const { digest } = await writeBundle(dir, changed, sampleMeta(), s.key);
	await s.source.put(dir, s.trust);
	const path = s.into.blobPath(sha256(decoder.bytes));
	await chmod(path, 0o644);
	const rotten = Buffer.from(decoder.bytes);
	rotten[70_000] = (rotten[70_000] ?? 0) ^ 1;
	await writeFile(path, rotten);
	const result = await s.pull({ digest });
	t.is(result.counters.blocks, 1 + 2, "manifest, the rotten one, the last");
	await s.into.checkout(digest, join(s.root, "voice"), s.trust);
});

test("a budget ends a pull before it is overspent, and the next day goes on", async (t) => {
	const s = await setUp(t, { decoderBytes: 1_000_000 });
	let left = 500_000;
	const budget: Budget = {
		async reserve(bytes) {
			if (left < 66_048) throw new WattvoxError("E_BUDGET", "spent");
			const reserved = Math.min(bytes, left);
			left -= reserved;
			return reserved;
		},
		async settle(reserved, received) {
			left += reserved - received;
		},
	};
	await t.throwsAsync(s.pull({ budget }), { code: "E_BUDGET" });
	t.true(left >= 0, `${left}`);
	const spent = s.server.counters?.bytes ?? 0;
	t.true(spent > 400_000 && spent <= 520_000, `${spent}`);
	left = 10_000_000;
	const result = await s.pull({ budget });
	t.true(result.keptBytes > 400_000);
	t.is(
		(s.server.counters?.blocks ?? 0) - 1,
		s.blocks,
		"no block was sent twice",
	);
});

test("a pull yields to speech: one block at a time while somebody speaks", async (t) => {
	let busy = false;
	let inFlight = 0;
	let most = 0;
	const s = await setUp(t, { decoderBytes: 2_000_000 });
	const link: PullOptions["link"] = {
		get ready() {
			return s.link.ready;
		},
		onReady: (fn) => s.link.onReady(fn),
		onLost: (fn) => s.link.onLost(fn),
		subscribe: (on, handler, signal) =>
			s.link.subscribe(
				on,
				(...message) => {
					inFlight--;
					handler(...message);
				},
				signal,
			),
		publish(name, payload) {
			inFlight += JSON.parse(payload.toString()).blocks.length;
			if (busy) most = Math.max(most, inFlight);
			return s.link.publish(name, payload);
		},
	};
	const result = await s.pull({
		link,
		window: 8,
		busy: () => busy,
		onProgress: (done, total) => {
			busy = done > total / 4 && done < (total * 3) / 4;
		},
	});
	t.is(result.counters.blocks, s.blocks + 1);
	t.is(most, 1);
});

test("the broker goes mid-pull and comes back: at most one window is sent twice", async (t) => {
	const window = 4;
	let outage: Promise<void> | undefined;
	const s = await setUp(t, { decoderBytes: 3_000_000 });
	const { port } = s.broker;
	let broker = s.broker;
	t.teardown(() => broker.stop());
	const result = await s.pull({
		window,
		stallMs: 2000,
		onProgress(done, total) {
			if (done < total / 2) return;
			outage ??= (async () => {
				await broker.stop();
				broker = await Broker.start({ port });
			})();
		},
	});
	await outage;
	t.truthy(outage);
	t.true(result.counters.lost >= 1);
	t.is(result.counters.blocks, s.blocks + 1);
	const twice = (s.server.counters?.blocks ?? 0) - (s.blocks + 1);
	t.log(`sent twice: ${twice} blocks of a window of ${window}`);
	t.true(twice <= window, `${twice}`);
	await s.into.checkout(s.digest, join(s.root, "voice"), s.trust);
});

test("a pull that was stopped resumes from the blocks on disk", async (t) => {
	const window = 4;
	const s = await setUp(t, { decoderBytes: 3_000_000 });
	const stop = new AbortController();
	await t.throwsAsync(
		s.pull({
			window,
			signal: stop.signal,
			onProgress: (done, total) => {
				if (done > total / 2) stop.abort(new Error("stopped"));
			},
		}),
		{ message: "stopped" },
	);
	t.deepEqual(await s.into.bundles(), []);
	const result = await s.pull({ window });
	t.true(result.keptBytes > result.totalBytes / 2);
	const twice = (s.server.counters?.blocks ?? 0) - (s.blocks + 1);
	t.true(twice <= window, `${twice}`);
});

test("a block damaged on its way is asked for again", async (t) => {
	let damaged = 0;
	const s = await setUp(t, {
		tap(_, index, block) {
			if (index === 1 && damaged++ === 0) block[5] = (block[5] ?? 0) ^ 0x80;
			return block;
		},
	});
	const result = await s.pull();
	t.is(result.counters.tampered, 1);
	t.deepEqual(await s.into.bundles(), [s.digest]);
});

test("a block that never is what was signed ends with E_TAMPERED", async (t) => {
	const s = await setUp(t, {
		tap(_, index, block) {
			return index === 1 ? Buffer.alloc(block.byteLength) : block;
		},
	});
	await t.throwsAsync(s.pull(), { code: "E_TAMPERED", message: /block 1 of/ });
	t.deepEqual(await s.into.bundles(), []);
	// a short answer is no better
	const t2 = await setUp(t, { tap: (_, __, block) => block.subarray(1) });
	await t.throwsAsync(t2.pull(), { code: "E_TAMPERED" });
});

test("a wrong signature ends the pull before any file is asked for", async (t) => {
	const s = await setUp(t);
	const trust = trustKeys([newKey().publicKey]);
	const error = await t.throwsAsync(s.pull({ trust }), { code: "E_SIGNATURE" });
	t.regex(error?.message ?? "", /not trusted/);
	t.is(s.server.counters?.blocks, 1, "the manifest alone");
	t.deepEqual(await readdir(s.into.root).catch(() => []), []);
});

test("mix and match: another bundle's manifest, well signed, is not the one that was asked for", async (t) => {
	const s = await setUp(t, { serve: false });
	const other = await makeSample(s.root, {
		...{ voice: "berta", decoderBytes: 70_000, key: s.key },
	});
	const server = new StoreServer({
		source: {
			readManifest: () => s.source.readManifest(other.digest),
			readBlock: (sha256, index) => s.source.readBlock(sha256, index),
		},
		broker: { url: s.broker.url },
	});
	await server.start();
	t.teardown(() => server.stop());
	await t.throwsAsync(s.pull(), { code: "E_TAMPERED", message: /not bundle/ });
	t.is(server.counters?.blocks, 1, "none of its files was asked for");
	t.deepEqual(await s.into.bundles(), []);
});

test("what a damaged disk left of the manifest does not block later pulls", async (t) => {
	const s = await setUp(t);
	const found = await s.source.readManifest(s.digest);
	if (!found) return t.fail();
	await s.into.stage(found.bytes, found.signature);
	const staged = join(s.into.root, "partial", s.digest, "manifest.json");
	await writeFile(staged, "{}");
	const result = await s.pull();
	t.is(result.counters.blocks, s.blocks + 1);
});

test("an expired bundle is not pulled", async (t) => {
	const s = await setUp(t);
	const clock = {
		wall: () => Date.UTC(2200, 0, 1),
		monotonic: () => performance.now(),
		sleep: (ms: number) => new Promise<void>((r) => setTimeout(r, ms)),
	};
	await t.throwsAsync(s.pull({ clock }), { code: "E_EXPIRED" });
	await t.notThrowsAsync(s.pull({ clock, allowExpired: true }));
});

test("a bundle the store does not hold ends with E_PULL", async (t) => {
	const s = await setUp(t);
	const digest = "0".repeat(64);
	await t.throwsAsync(s.pull({ digest }), { code: "E_PULL" });
});

test("a store that is not there ends with E_TIMEOUT, after a limit of tries", async (t) => {
	const s = await setUp(t, { serve: false });
	let asked = 0;
	let last: () => void = () => undefined;
	const heardAll = new Promise<void>((resolve) => {
		last = resolve;
	});
	const spy = await connect(s.broker.url, "spy");
	t.teardown(() => spy.stop());
	await spy.subscribe(filter("pull", "home"), (_, payload) => {
		if (payload.length > 0) asked++;
		else last();
	});
	await t.throwsAsync(s.pull({ stallMs: 20, stallLimit: 3 }), {
		code: "E_TIMEOUT",
	});
	// what it asked reaches the spy before what is sent after it
	await s.link.publish(topic("home", "jetson-1", "pull"), Buffer.alloc(0), {
		qos: 1,
	});
	await heardAll;
	t.is(asked, 3);
});

test("a broker that stays away ends with E_BROKER", async (t) => {
	const s = await setUp(t, { decoderBytes: 2_000_000 });
	let gone: Promise<void> | undefined;
	await t.throwsAsync(
		s.pull({
			offlineMs: 300,
			onProgress(done, total) {
				if (done > total / 3) gone ??= s.broker.stop();
			},
		}),
		{ code: "E_BROKER" },
	);
	await gone;
	t.deepEqual(await s.into.bundles(), []);
	t.true((await readdir(join(s.into.root, "partial"))).length > 0);
});

test("an unwritable place ends with E_OUTPUT", async (t) => {
	const s = await setUp(t);
	await writeFile(join(s.root, "file"), "");
	const into = new FolderStore(join(s.root, "file", "store"));
	await t.throwsAsync(s.pull({ into }), { code: "E_OUTPUT" });
});

test("too little room is said before the first block", async (t) => {
	const s = await setUp(t);
	const disk = { ...systemDisk, free: async () => 1000 };
	const into = new FolderStore(join(s.root, "small"), { disk });
	await t.throwsAsync(s.pull({ into }), {
		code: "E_DISK_FULL",
		message: /1000/,
	});
	t.is(s.server.counters?.blocks, 1, "the manifest alone");
});

test("a disk that fills up mid-pull ends with E_DISK_FULL and resumes with room", async (t) => {
	const s = await setUp(t);
	let room = 3;
	const disk: typeof systemDisk = {
		...systemDisk,
		async open(path, flags, mode) {
			const handle = await systemDisk.open(path, flags, mode);
			if (!(flags & constants.O_RDWR)) return handle;
			const writev = handle.writev.bind(handle);
			handle.writev = (async (pieces: readonly Uint8Array[], at: number) => {
				if (room-- > 0) return writev(pieces.slice(0, 1), at);
				throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
			}) as typeof handle.writev;
			return handle;
		},
	};
	const into = new FolderStore(s.into.root, { disk });
	await t.throwsAsync(s.pull({ into }), { code: "E_DISK_FULL" });
	t.deepEqual(await s.into.bundles(), []);
	const result = await s.pull();
	t.is(result.counters.blocks, s.blocks - 3);
});

test("forged answers and requests change nothing", async (t) => {
	const s = await setUp(t, { decoderBytes: 1_000_000 });
	const mallory = await connect(s.broker.url, "mallory");
	t.teardown(() => mallory.stop());
	const mine = topic("home", "jetson-1", "block");
	for (const bytes of [
		Buffer.from([]),
		Buffer.from([0xff, 0xff, 1]),
		Buffer.from("not a block"),
		encodeBlock(
			{ v: 1, id: "x", kind: "blob", digest: "0".repeat(64), index: 0 },
			Buffer.alloc(10),
		),
	])
		await mallory.publish(mine, bytes, { qos: 1 });
	const ask = topic("home", "jetson-1", "pull");
	for (const text of ["", "{}", '{"v":1,"store":"store","blocks":[-1]}'])
		await mallory.publish(ask, Buffer.from(text), { qos: 1 });
	const result = await s.pull();
	t.is(result.counters.blocks, s.blocks + 1);
	t.is(s.server.counters?.invalid, 3);
});

test("two pulls of one bundle at once: the second is told so", async (t) => {
	const s = await setUp(t);
	const first = s.pull();
	await t.throwsAsync(s.pull(), { code: "E_BUSY" });
	await first;
});

test("publish refuses what is not signed by a trusted key, and tells nobody", async (t) => {
	const s = await setUp(t);
	const seen: string[] = [];
	await s.link.subscribe(filter("desired"), (name) => seen.push(name));
	const base = {
		fleet: "home",
		devices: ["jetson-1"],
		broker: { url: s.broker.url },
	};
	await t.throwsAsync(publish(s.dir, s.source, { ...base, key: newKey() }), {
		code: "E_SIGNATURE",
	});
	await t.throwsAsync(
		publish(s.dir, s.source, { ...base, key: s.key, devices: ["a/b"] }),
		{ code: "E_USAGE" },
	);
	t.deepEqual(seen, []);
});
