import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { FolderStore } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import { pullBundle } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Broker } from "./broker.ts";
import { openStore } from "./open-store.ts";
import { S3Store } from "./store-s3.ts";
import { StoreServer } from "./store-server.ts";
import { connect, makeSample } from "./testing.ts";

/** s3rver brings no types. */
interface Server {
	run(): Promise<{ port: number }>;
	close(): Promise<void>;
}
const S3rver = createRequire(import.meta.url)("s3rver") as new (
	options: object,
) => Server;
const KEYS = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };

async function setUp(t: ExecutionContext) {
	const root = await temporaryDir(t);
	const server = new S3rver({
		address: "127.0.0.1",
		port: 0,
		silent: true,
		directory: join(root, "s3"),
		configureBuckets: [{ name: "voices" }],
	});
	const { port } = await server.run();
	t.teardown(() => server.close());
	const endpoint = `http://127.0.0.1:${port}`;
	return { root, endpoint, sample: await makeSample(root) };
}

test("a bundle goes into S3 and comes out of it over MQTT, whole", async (t) => {
	const { root, endpoint, sample } = await setUp(t);
	const store = openStore("s3://voices/en/v1", {
		AWS_ACCESS_KEY_ID: "S3RVER",
		AWS_SECRET_ACCESS_KEY: "S3RVER",
		AWS_ENDPOINT_URL: endpoint,
	});
	t.is(await store.put(sample.dir, sample.trust), sample.digest);
	t.is(await store.put(sample.dir, sample.trust), sample.digest, "again");
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const server = new StoreServer({
		source: store,
		broker: { url: broker.url },
	});
	await server.start();
	t.teardown(() => server.stop());
	const link = await connect(broker.url, "jetson-1");
	t.teardown(() => link.stop());
	const into = new FolderStore(join(root, "device"));
	const { counters } = await pullBundle({
		link,
		fleet: "home",
		device: "jetson-1",
		store: "store",
		digest: sample.digest,
		into,
		trust: sample.trust,
	});
	t.is(counters.blocks, sample.blocks + 1);
	t.is(counters.tampered, 0);
	await into.checkout(sample.digest, join(root, "voice"), sample.trust);
});

test("what is not there is undefined, past the end is undefined", async (t) => {
	const { endpoint, sample } = await setUp(t);
	const store = new S3Store({ bucket: "voices", endpoint, ...KEYS });
	t.is(await store.readManifest("0".repeat(64)), undefined);
	t.is(await store.readBlock("0".repeat(64), 0), undefined);
	await store.put(sample.dir, sample.trust);
	const found = await sample.source.readManifest(sample.digest);
	t.deepEqual(await store.readManifest(sample.digest), found);
	const { files } = JSON.parse(found?.bytes.toString() ?? "{}") as {
		files: { sha256: string; blocks: string[] }[];
	};
	for (const { sha256, blocks } of files) {
		for (const index of blocks.keys())
			t.deepEqual(
				await store.readBlock(sha256, index),
				await sample.source.readBlock(sha256, index),
			);
		t.is(await store.readBlock(sha256, 16 * blocks.length), undefined);
	}
});

test("a server that lies about sizes and knows no ranges ends all the same, with what was asked for", async (t) => {
	const endless = createServer((_, reply) => {
		// no length; it would never end
		reply.writeHead(200);
		const piece = Buffer.alloc(1 << 20, 7);
		const more = () => {
			if (!reply.destroyed) reply.write(piece, () => setImmediate(more));
		};
		reply.on("error", () => undefined);
		more();
	});
	await new Promise<void>((resolve) => endless.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		endless.closeAllConnections();
		endless.close();
	});
	const { port } = endless.address() as AddressInfo;
	const store = new S3Store({
		...{ bucket: "b", endpoint: `http://127.0.0.1:${port}`, ...KEYS },
	});
	const digest = "0".repeat(64);
	t.is((await store.readBlock(digest, 17))?.byteLength, 65_536);
	await t.throwsAsync(store.readManifest(digest), { code: "E_FILE_FORMAT" });
});

test("a refusal ends at once and names no secret; a silent server ends too", async (t) => {
	const { endpoint, sample } = await setUp(t);
	const wrong = new S3Store({
		// s3rver checks no signatures; a bucket that is not there is refused too
		bucket: "nowhere",
		endpoint,
		accessKeyId: "S3RVER",
		secretAccessKey: "not-the-secret",
	});
	const error = await t.throwsAsync(wrong.put(sample.dir, sample.trust), {
		code: "E_PULL",
		message: /404 to PUT/,
	});
	t.notRegex(String(error?.stack), /not-the-secret/);
	t.throws(() => openStore("s3://", {}), { code: "E_USAGE" });
	t.throws(() => openStore("s3://voices", {}), { code: "E_KEY" });
	const gone = new S3Store({
		bucket: "b",
		endpoint: "http://127.0.0.1:9",
		...KEYS,
	});
	await t.throwsAsync(gone.readBlock("0".repeat(64), 0), { code: "E_PULL" });
});

test("a bucket whose objects are missing or damaged is mended by putting the bundle in again", async (t) => {
	const { root, endpoint, sample } = await setUp(t);
	const store = new S3Store({ bucket: "voices", endpoint, ...KEYS });
	await store.put(sample.dir, sample.trust);
	const found = await store.readManifest(sample.digest);
	const { files } = JSON.parse(found?.bytes.toString() ?? "{}") as {
		files: { sha256: string; size: number }[];
	};
	const [first] = files;
	const name = `blobs/sha256/${first?.sha256}`;
	const at = `${endpoint}/voices/`;
	const put = (to: string, body: Buffer) =>
		fetch(`${at}${to}`, { method: "PUT", body: new Uint8Array(body) });
	const damages: (() => Promise<unknown>)[] = [
		() => store.removeBlob(first?.sha256 ?? ""),
		() => put(name, Buffer.alloc(first?.size ?? 0, 7)),
		() => put(name, Buffer.of(1)),
		() => put(`bundles/${sample.digest}/manifest.json`, Buffer.from("{}")),
		() => store.forget(sample.digest),
	];
	const into = new FolderStore(join(root, "copy"));
	await into.put(sample.dir, sample.trust);
	for (const damage of damages) {
		await damage();
		t.is(await store.put(sample.dir, sample.trust), sample.digest);
		const fresh = new S3Store({ bucket: "voices", endpoint, ...KEYS });
		t.deepEqual(await fresh.readManifest(sample.digest), found);
		t.deepEqual(
			await fresh.readBlock(first?.sha256 ?? "", 0),
			await into.readBlock(first?.sha256 ?? "", 0),
		);
	}
});
