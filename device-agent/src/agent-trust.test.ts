import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
	newKey,
	type PrivateKey,
	RootTrust,
	rootFileBytes,
	rootKeyEntry,
	signRoot,
} from "@wattvox/bundle";
import { systemClock } from "@wattvox/core";
import { publish } from "@wattvox/fleet";
import { Link, topic } from "@wattvox/link";
import test from "ava";
import { fleet, reported, say } from "./_agent-fleet.test.ts";

const DAY = 24 * 3_600_000;

test("freeze: a desired state and a root past their expiry begin no update; speech goes on, and newer ones are obeyed", async (t) => {
	const f = await fleet(t);
	const keeper = newKey();
	const begin = Date.now();
	const iso = (ms: number) => new Date(begin + ms).toISOString();
	const root = (version: number, days: number, by: PrivateKey) =>
		signRoot(
			{
				...{ format: "wattvox-root/1", version },
				...{ created: iso(-DAY), expires: iso(days * DAY) },
				keys: Object.fromEntries(
					[by, f.key].map((k) => rootKeyEntry(k.publicKey)),
				),
				roles: {
					root: { keys: [by.id], threshold: 1 },
					...{ release: [f.key.id], fleet: [f.key.id], builder: [] },
				},
			},
			[by],
		);
	const first = root(1, 20, keeper);
	let days = 0;
	const options = () => ({
		trust: RootTrust.open(rootFileBytes([first])),
		clock: { ...systemClock, wall: () => systemClock.wall() + days * DAY },
	});
	const agent = await f.agent(options());
	let revision = 0;
	const tell = (path: string, validDays: number) =>
		publish(path, f.store, {
			...{ fleet: "f", devices: ["d1"], key: f.key, trust: f.trust },
			...{ broker: { url: f.url }, revision: ++revision },
			validMs: validDays * DAY,
		});
	const good = await f.bundle("good");
	await tell(good.path, 90);
	await agent.speaksWith(good.digest);
	const { requests } = f.server.counters ?? {};

	// ten days later a broker shows what stood for two
	days = 10;
	const frozen = await f.bundle("frozen", { seed: 2 });
	await tell(frozen.path, 2);
	const late = await reported(agent, (now) => now.revision === 2);
	t.is(late.reason?.code, "E_EXPIRED");
	t.is(late.bundle, good.digest);
	t.is((await say(agent)).bundle, good.digest);

	// the root's own expiry, in the next process
	await agent.stop();
	days = 30;
	const again = await f.agent(options());
	await again.speaksWith(good.digest);
	const next = await f.bundle("next", { seed: 3 });
	await tell(next.path, 90);
	const held = await reported(again, (now) => now.revision === 3);
	t.is(held.reason?.code, "E_EXPIRED");
	t.is((await say(again)).bundle, good.digest);
	t.is(
		f.server.counters?.requests,
		requests,
		"the store was asked for nothing",
	);

	const hub = new Link({ url: f.url, clientId: "hub" });
	await hub.start();
	f.ends.push(() => hub.stop());
	const newer = rootFileBytes([first, root(2, 400, keeper)]);
	await hub.publish(topic("f", "d1", "root"), newer, { qos: 1, retain: true });
	await again.speaksWith(next.digest);
});

test("mix and match: a manifest, and blocks, of other bundles that are well signed come to nothing", async (t) => {
	const swapped = { manifest: "", block: "" };
	const f = await fleet(t, {
		server: (store) => ({
			source: {
				readManifest: (digest) =>
					store.readManifest(swapped.manifest || digest),
				readBlock: (digest, index) =>
					swapped.block
						? store.readBlock(swapped.block, 0)
						: store.readBlock(digest, index),
			},
		}),
	});
	const agent = await f.agent();
	const old = await f.bundle("old");
	await f.publish(old.path);
	await agent.speaksWith(old.digest);
	const next = await f.bundle("next", { seed: 2 });
	swapped.manifest = old.digest;
	await f.publish(next.path);
	const told = await reported(agent, (now) => now.state === "failed");
	t.is(told.reason?.code, "E_TAMPERED");
	t.regex(told.reason?.message ?? "", /this is not bundle/);
	// now the right manifest, and for every block one of the old bundle's
	const manifest = await f.store.readManifest(old.digest);
	swapped.block = JSON.parse(String(manifest?.bytes)).files[0].sha256;
	swapped.manifest = "";
	const mixed = await reported(agent, (now) =>
		/never what was signed/.test(now.reason?.message ?? ""),
	);
	t.is(mixed.bundle, old.digest);
	t.is((await say(agent)).bundle, old.digest);
	swapped.block = "";
	await agent.speaksWith(next.digest);
});

test("a device's bytes of a day are counted across restarts, and the next day goes on", async (t) => {
	const f = await fleet(t);
	let day = 0;
	const good = await f.bundle("good");
	const manifest = JSON.parse(
		await readFile(join(good.path, "manifest.json"), "utf8"),
	) as { files: { size: number }[] };
	const size = manifest.files.reduce((sum, file) => sum + file.size, 0);
	const options = {
		dailyBytes: Math.round(size / 2),
		clock: { ...systemClock, wall: () => systemClock.wall() + day * DAY },
	};
	await f.publish(good.path);
	const spent = async () => {
		const agent = await f.agent(options);
		const told = await reported(agent, (now) => now.state === "failed");
		t.is(told.reason?.code, "E_BUDGET");
		await agent.stop();
		return f.server.counters?.bytes ?? 0;
	};
	const first = await spent();
	t.true(first > 0 && first <= options.dailyBytes + 65_536, "the manifest too");
	t.is(await spent(), first);
	day = 1;
	const agent = await f.agent({ ...options, dailyBytes: 2 * size + 300_000 });
	await agent.speaksWith(good.digest);
});
