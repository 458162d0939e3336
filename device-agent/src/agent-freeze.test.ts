// Freeze: whoever holds back what is new, and shows what is old, gains nothing once that has expired.
import { RootTrust, rotateRoot } from "@wattvox/bundle";
import { systemClock } from "@wattvox/core";
import { publish } from "@wattvox/fleet";
import test from "ava";
import { fleet, reported, say } from "./_agent-fleet.test.ts";

const DAY_MS = 86_400_000;

test("a wish past its expiry begins nothing, and speech goes on", async (t) => {
	const f = await fleet(t);
	const a = await f.bundle("a", { adapterSeed: 1 });
	const b = await f.bundle("b", { adapterSeed: 2 });
	const agent = await f.agent();
	await f.publish(a.path);
	await agent.speaksWith(a.digest);
	const { blocks } = f.server.counters ?? {};
	const wish = { fleet: "f", devices: ["d1"], key: f.key };
	const broker = { url: f.url };
	await publish(b.path, f.store, {
		...{ ...wish, broker, revision: 10, validMs: -1000 },
	});
	const late = await reported(agent, (r) => r.reason?.code === "E_EXPIRED");
	t.regex(late.reason?.message ?? "", /^the desired state expired on/);
	t.is(late.bundle, a.digest);
	t.is(f.server.counters?.blocks, blocks, "nothing was asked for");
	t.is((await say(agent)).bundle, a.digest);
	// the floor rose all the same: nothing below it comes back
	await publish(b.path, f.store, { ...wish, broker, revision: 9 });
	await reported(agent, (r) => /below 10/.test(r.reason?.message ?? ""));
	await publish(b.path, f.store, { ...wish, broker, revision: 11 });
	await agent.speaksWith(b.digest);
	t.pass();
});

test("under a root past its expiry no update is taken, until a newer root comes; speech never asks", async (t) => {
	const f = await fleet(t);
	const a = await f.bundle("a", { adapterSeed: 1 });
	const b = await f.bundle("b", { adapterSeed: 2 });
	const now = Date.now();
	const { publicKey } = f.key;
	const first = rotateRoot(
		undefined,
		{
			add: (["root", "release", "fleet"] as const).map((role) => ({
				role,
				key: publicKey,
			})),
			remove: [],
			...{ created: new Date(now), expires: new Date(now + DAY_MS) },
		},
		[f.key],
	);
	const trust = () => RootTrust.open(first.bytes);
	const before = await f.agent({ trust: trust() });
	await f.publish(a.path);
	await before.speaksWith(a.digest);
	await before.stop();

	const clock = { ...systemClock, wall: () => Date.now() + 2 * DAY_MS };
	const agent = await f.agent({ trust: trust(), clock });
	await agent.speaksWith(a.digest);
	await f.publish(b.path);
	const late = await reported(agent, (r) => r.reason?.code === "E_EXPIRED");
	t.regex(late.reason?.message ?? "", /^the trusted root expired on/);
	t.is((await say(agent)).bundle, a.digest);

	const second = rotateRoot(
		first.bytes,
		{
			add: [{ role: "builder", key: publicKey }],
			remove: [],
			...{ created: new Date(now), expires: new Date(now + 9 * DAY_MS) },
		},
		[f.key],
	);
	await publish(b.path, f.store, {
		...{ fleet: "f", devices: ["d1"], key: f.key, revision: 20 },
		...{ broker: { url: f.url }, roots: second.bytes },
	});
	await agent.speaksWith(b.digest);
	t.is((await say(agent)).bundle, b.digest);
});
