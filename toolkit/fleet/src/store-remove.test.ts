import { createRequire } from "node:module";
import { join } from "node:path";
import { FolderStore, newKey, trustKeys, writeBundle } from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import { Link, topic } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Broker } from "./broker.ts";
import { openStore, type Store } from "./open-store.ts";
import { publish } from "./publish.ts";
import { saveRollout } from "./rollout/files.ts";
import { beginning, ROLLOUT_DEFAULTS } from "./rollout/spec.ts";
import {
	bundleUses,
	planRemoval,
	removeBundles,
	storedBundles,
} from "./store-remove.ts";
import { connect } from "./testing.ts";

/** s3rver brings no types. */
const S3rver = createRequire(import.meta.url)("s3rver") as new (
	options: object,
) => { run(): Promise<{ port: number }>; close(): Promise<void> };

async function stores(t: ExecutionContext) {
	const root = await temporaryDir(t);
	const server = new S3rver({
		...{ address: "127.0.0.1", port: 0, silent: true },
		directory: join(root, "s3"),
		configureBuckets: [{ name: "voices" }],
	});
	const { port } = await server.run();
	t.teardown(() => server.close());
	const env = {
		...{ AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" },
		AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
	};
	const [key, dir] = [newKey(), (name: string) => join(root, name)];
	/** The voice's own file and those that all have. */
	const make = async (voice: string) => {
		const own = { role: "energy" as const, name: "own.json" };
		const sources = [
			...sampleFiles().filter((f) => f.name !== own.name),
			{ ...own, bytes: Buffer.from(`{"of": "${voice}"}`) },
		];
		const path = dir(`bundle-${voice}`);
		const { digest } = await writeBundle(path, sources, sampleMeta(voice), key);
		return { path, digest };
	};
	return {
		...{ root, key, make, trust: trustKeys([key.publicKey]) },
		kinds: {
			folder: openStore(dir("store")),
			s3: openStore("s3://voices/en/v1", env),
		} satisfies Record<string, Store>,
		bare: openStore("s3://voices", env),
	};
}

test("a bundle goes with the files that only it lists, from a folder and from S3", async (t) => {
	t.timeout(240_000);
	const { kinds, bare, make, trust } = await stores(t);
	const [ada, bob] = [await make("ada"), await make("bob")];
	for (const [kind, store] of Object.entries(kinds)) {
		await store.put(ada.path, trust);
		await store.put(bob.path, trust);
		const listed = await storedBundles(store);
		t.deepEqual(
			listed.map((b) => b.digest).toSorted(),
			[ada.digest, bob.digest].toSorted(),
			kind,
		);
		for (const b of listed) t.true(b.ownBytes > 0 && b.ownBytes < b.bytes);
		const removal = await planRemoval(store, [ada.digest.slice(0, 10)]);
		t.deepEqual(
			removal.bundles.map((b) => b.manifest.voice),
			["ada"],
		);
		t.is(removal.blobs.length, 1);
		t.is(removal.bytes, Buffer.byteLength('{"of": "ada"}'));
		t.is((await store.bundles()).length, 2, "a plan removes nothing");
		await removeBundles(store, removal);
		t.deepEqual(await store.bundles(), [bob.digest]);
		t.is(await store.readManifest(ada.digest), undefined);
		const [gone] = removal.blobs;
		t.is(await store.readBlock(gone?.sha256 ?? "", 0), undefined);
		const [rest] = await storedBundles(store);
		for (const { sha256 } of rest?.manifest.files ?? [])
			t.truthy(await store.readBlock(sha256, 0), "what is left is whole");
		await store.put(ada.path, trust);
		t.is((await store.bundles()).length, 2, "and it may come back");
		const all = await planRemoval(store, [ada.digest, bob.digest]);
		await removeBundles(store, all);
		t.deepEqual(await storedBundles(store), []);
		await t.throwsAsync(planRemoval(store, [ada.digest]), {
			code: "E_FILE_MISSING",
		});
		await t.throwsAsync(planRemoval(store, ["../x"]), {
			code: "E_FILE_MISSING",
		});
	}
	// a bucket without a prefix lists its own bundles, not those below one
	await kinds.s3.put(ada.path, trust);
	await bare.put(bob.path, trust);
	t.deepEqual(await bare.bundles(), [bob.digest]);
	t.deepEqual(await kinds.s3.bundles(), [ada.digest]);
});

test("what is published between plan and removal keeps its files, or is taken out and named", async (t) => {
	t.timeout(240_000);
	const { kinds, make, trust, root } = await stores(t);
	const [ada, bob] = [await make("ada"), await make("bob")];
	const store = kinds.folder;
	await store.put(ada.path, trust);
	const removal = await planRemoval(store, [ada.digest]);
	t.true(removal.blobs.length > 1);
	await store.put(bob.path, trust);
	await removeBundles(store, removal);
	const [rest] = await storedBundles(store);
	t.is(rest?.digest, bob.digest);
	for (const { sha256 } of rest?.manifest.files ?? [])
		t.truthy(await store.readBlock(sha256, 0));

	// later still: while the blobs go
	const slow = new FolderStore(join(root, "slow"));
	await slow.put(ada.path, trust);
	const plan = await planRemoval(slow, [ada.digest]);
	const removeBlob = slow.removeBlob.bind(slow);
	let first = true;
	slow.removeBlob = async (sha256) => {
		if (first) await slow.put(bob.path, trust);
		first = false;
		await removeBlob(sha256);
	};
	await t.throwsAsync(removeBundles(slow, plan), {
		code: "E_BUSY",
		message: new RegExp(`^${bob.digest} was published meanwhile`),
	});
	t.deepEqual(await slow.bundles(), []);
	await slow.put(bob.path, trust);
	t.is((await storedBundles(slow)).length, 1);
});

test("devices by their desired state, and rollouts that have not ended, need a bundle", async (t) => {
	t.timeout(240_000);
	const { kinds, make, key, root } = await stores(t);
	const [ada, bob] = [await make("ada"), await make("bob")];
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const { url } = broker;
	await publish(ada.path, kinds.folder, {
		...{ fleet: "home", devices: ["kitchen"], key, broker: { url } },
	});
	const spec = {
		...{ ...ROLLOUT_DEFAULTS, fleet: "home", store: "store", devices: [] },
		...{ bundle: bob.digest, previous: ada.digest },
	};
	for (const status of ["running", "held", "done", "aborted"] as const)
		await saveRollout(root, {
			...beginning({ ...spec, id: status }, [], 0),
			status,
		});
	const link = await connect(url, "asks");
	t.teardown(() => link.stop());
	const never = new AbortController().signal;
	const { uses, devices } = await bundleUses(link, root, never);
	t.is(devices, 1);
	const by = (digest: string) =>
		uses
			.filter((u) => u.bundle === digest)
			.map((u) => u.by)
			.toSorted();
	t.deepEqual(by(ada.digest), [
		"device home/kitchen",
		"rollout held (held)",
		"rollout running (running)",
	]);
	t.deepEqual(by(bob.digest), [
		"rollout held (held)",
		"rollout running (running)",
	]);
	// a broker that shows reports but no desired states, as one does to an account that may not read them
	const device = new Link({ url, clientId: "porch", connectTimeoutMs: 60_000 });
	await device.start();
	t.teardown(() => device.stop());
	const reported = { v: 1, bundle: null, revision: 3, state: "idle" };
	await device.publish(
		topic("home", "porch", "reported"),
		Buffer.from(JSON.stringify({ ...reported, at: "2026-01-01T00:00:00Z" })),
		{ qos: 1, retain: true },
	);
	await t.throwsAsync(bundleUses(link, root, never), {
		code: "E_BROKER",
		message: /^home\/porch follows a desired state/,
	});
});
