import {
	newKey,
	type PrivateKey,
	RootTrust,
	rootFileBytes,
	rootKeyEntry,
	signRoot,
	trustKeys,
} from "@wattvox/bundle";
import { systemClock } from "@wattvox/core";
import { publish } from "@wattvox/fleet";
import { Link, topic } from "@wattvox/link";
import test from "ava";
import { fleet, reported, say } from "./_agent-fleet.test.ts";

function root(
	version: number,
	by: PrivateKey,
	release: PrivateKey,
	commands: PrivateKey,
) {
	return signRoot(
		{
			...{ format: "wattvox-root/1", version },
			...{ created: "2026-01-01T00:00:00Z", expires: "2090-01-01T00:00:00Z" },
			keys: Object.fromEntries(
				[by, release, commands].map((k) => rootKeyEntry(k.publicKey)),
			),
			roles: {
				root: { keys: [by.id], threshold: 1 },
				...{ release: [release.id], fleet: [commands.id], builder: [] },
			},
		},
		[by],
	);
}

test("release and fleet key were stolen: a new root ends what they may, in whatever order it comes", async (t) => {
	const f = await fleet(t);
	const [r, stolen, thief, fresh, chief] = [
		...[newKey(), newKey(), newKey(), newKey(), newKey()],
	] as [PrivateKey, PrivateKey, PrivateKey, PrivateKey, PrivateKey];
	const first = root(1, r, stolen, thief);
	const both = rootFileBytes([first, root(2, r, fresh, chief)]);
	const trust = () => RootTrust.open(rootFileBytes([first]));
	const agent = await f.agent({ trust: trust() });
	let revision = 0;
	const tell = (path: string, by: PrivateKey, signer: PrivateKey) =>
		publish(path, f.store, {
			...{ fleet: "f", devices: ["d1"], key: by, revision: ++revision },
			...{ trust: trustKeys([signer.publicKey]), broker: { url: f.url } },
		});
	const bundle = (name: string, seed: number, by: PrivateKey) =>
		f.bundle(name, { seed }, undefined, by);
	const old = await bundle("old", 1, stolen);
	await tell(old.path, thief, stolen);
	await agent.speaksWith(old.digest);

	// what the new keys sign comes before the root that names them
	const good = await bundle("good", 2, fresh);
	await tell(good.path, chief, fresh);
	const early = await reported(agent, (now) => now.reason !== undefined);
	t.is(early.reason?.code, "E_SIGNATURE");
	t.is(early.bundle, old.digest);
	const hub = new Link({ url: f.url, clientId: "hub" });
	await hub.start();
	f.ends.push(() => hub.stop());
	const at = topic("f", "d1", "root");
	await hub.publish(at, both, { qos: 1, retain: true });
	await agent.speaksWith(good.digest);
	t.is((await reported(agent, (now) => !now.reason)).revision, 2);

	// the stolen release key under an honest command, and the stolen fleet key
	const evil = await bundle("evil", 3, stolen);
	await tell(evil.path, chief, stolen);
	const held = await reported(
		agent,
		(now) => now.revision === 3 && now.state === "failed",
	);
	t.is(held.reason?.code, "E_SIGNATURE");
	t.is((await say(agent)).bundle, good.digest);
	await tell(old.path, thief, stolen);
	await reported(agent, (now) => /not trusted/.test(now.reason?.message ?? ""));
	t.is(agent.status().reported.revision, 3);

	// the next process begins with the root that was given, and knows the newer one
	await agent.stop();
	await hub.publish(at, Buffer.alloc(0), { qos: 1, retain: true });
	const again = await f.agent({ trust: trust() });
	await again.speaksWith(good.digest);
	await tell(good.path, thief, fresh);
	const after = await reported(
		again,
		(now) => now.reason?.code === "E_SIGNATURE",
	);
	t.is(after.revision, 3);
	await tell(good.path, chief, fresh);
	await reported(again, (now) => now.revision === revision && !now.reason);
});

test("answers that were forged in the store's name keep no bundle away once they end", async (t) => {
	let forged = 3;
	const f = await fleet(t, {
		server: (store) => ({
			source: {
				readBlock: (digest, index) => store.readBlock(digest, index),
				async readManifest(digest) {
					const found = await store.readManifest(digest);
					if (!found || forged-- <= 0) return found;
					// unreadable; another's signature; another manifest under its own good signature
					const signature = String(found.signature);
					if (forged === 2) return { ...found, signature: Buffer.from("{}") };
					if (forged === 1)
						return {
							...found,
							signature: Buffer.from(
								signature.replace(/"signature":"..../, '"signature":"AAAA'),
							),
						};
					const bytes = Buffer.from(found.bytes);
					bytes[10] = (bytes[10] ?? 0) ^ 1;
					return { ...found, bytes };
				},
			},
		}),
	});
	const agent = await f.agent();
	const good = await f.bundle("good");
	const told: string[] = [];
	agent.on("reported", (now) => told.push(now.reason?.code ?? ""));
	await f.publish(good.path);
	await agent.speaksWith(good.digest);
	t.true(told.includes("E_SIGNATURE"));
	t.true(forged < 0);
});

test("a clock that was ahead for a while keeps no bundle away, and asks the store for nothing twice", async (t) => {
	const f = await fleet(t);
	let ahead = 300 * 365 * 24 * 3_600_000;
	const agent = await f.agent({
		clock: { ...systemClock, wall: () => systemClock.wall() + ahead },
	});
	const good = await f.bundle("good");
	// a desired state without an expiry: what has expired by this clock is the bundle
	await publish(good.path, f.store, {
		...{ fleet: "f", devices: ["d1"], key: f.key, trust: f.trust },
		...{
			broker: { url: f.url },
			revision: 1,
			validMs: 400 * 365 * 24 * 3_600_000,
		},
	});
	const late = await reported(agent, (now) => now.state === "failed");
	t.is(late.reason?.code, "E_EXPIRED");
	const blocks = f.server.counters?.blocks;
	// it is looked at again and again meanwhile
	for (let n = 0; n < 2; n++) {
		await reported(agent, (now) => now.state === "pulling");
		await reported(agent, (now) => now.state === "failed");
	}
	t.is(f.server.counters?.blocks, blocks);
	ahead = 0;
	await agent.speaksWith(good.digest);
	t.pass();
});
