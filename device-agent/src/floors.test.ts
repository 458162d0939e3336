import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	newKey,
	type PrivateKey,
	type Root,
	RootTrust,
	rootFileBytes,
	rootKeyEntry,
	signRoot,
	trustKeys,
} from "@wattvox/bundle";
import { ManualClock } from "@wattvox/core";
import { encodeDesired } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { FlooredClock, Floors } from "./floors.ts";
import { DeviceState } from "./state.ts";
import { Wishes } from "./wishes.ts";

const to = { fleet: "f", device: "d" };

function wish(by: PrivateKey, revision: number, at = "2026-03-01T00:00:00Z") {
	const bundle = "a".repeat(64);
	const body = { v: 1 as const, ...to, bundle, store: "s", revision, at };
	return encodeDesired(body, by);
}

function root(version: number, by: PrivateKey, fleet: PrivateKey[]) {
	const content: Root = {
		format: "wattvox-root/1",
		version,
		created: "2026-01-01T00:00:00Z",
		expires: "2030-01-01T00:00:00Z",
		keys: Object.fromEntries(
			[by, ...fleet].map((k) => rootKeyEntry(k.publicKey)),
		),
		roles: {
			root: { keys: [by.id], threshold: 1 },
			release: [],
			fleet: fleet.map((k) => k.id),
			builder: [],
		},
	};
	return signRoot(content, [by]);
}

async function folder(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

test("a stolen fleet key takes its floors along: fast-forward does not last", async (t) => {
	const dir = await folder(t);
	const [r, stolen, other, fresh] = [newKey(), newKey(), newKey(), newKey()];
	const first = root(1, r, [stolen, other]);
	const trust = RootTrust.open(rootFileBytes([first]));
	const floors = new Floors(dir, trust);
	const state = new DeviceState(dir);
	await state.prepare();
	const wishes = new Wishes(state, to, trust, floors);
	wishes.hear(wish(other, 5));
	await wishes.keep();
	t.is(
		wishes.hear(wish(stolen, Number.MAX_SAFE_INTEGER, "9000-01-01T00:00:00Z")),
		"new",
	);
	await wishes.keep();
	t.is(floors.time, Date.UTC(9000, 0, 1));
	t.like(wishes.hear(wish(other, 6)), { code: "E_SIGNATURE" });

	trust.update(rootFileBytes([first, root(2, r, [other, fresh])]));
	t.is(wishes.current, null, "what a withdrawn key wanted is wanted no more");
	t.is(floors.time, Date.UTC(2026, 2, 1));
	// rollback below what the honest key had signed stays impossible
	t.like(wishes.hear(wish(other, 4)), { code: "E_SIGNATURE" });
	t.like(wishes.hear(wish(stolen, Number.MAX_SAFE_INTEGER)), {
		code: "E_SIGNATURE",
	});
	t.is(wishes.hear(wish(fresh, 6)), "new");
	await wishes.keep();

	const later = RootTrust.open(rootFileBytes([first]));
	t.is(await state.recallRoots(later), undefined);
	t.is(later.root.version, 1, "roots are kept by the agent's own step");
	await state.setRoots(trust);
	t.is(await state.recallRoots(later), undefined);
	t.is(later.root.version, 2);
	const again = new Floors(dir, later);
	await again.recall();
	t.is(again.revision, 6);
});

test("time never runs below what was signed, nor stands still there", async (t) => {
	const dir = await folder(t);
	const key = newKey();
	const trust = trustKeys([key.publicKey]);
	// a board without a battery
	const base = new ManualClock(0);
	const clock = new FlooredClock(base);
	const floors = new Floors(dir, trust);
	clock.hold(() => floors.time);
	t.is(clock.wall(), 0);
	const state = new DeviceState(dir);
	await state.prepare();
	const wishes = new Wishes(state, to, trust, floors);
	wishes.hear(wish(key, 1));
	await wishes.keep();
	const march = Date.UTC(2026, 2, 1);
	t.is(clock.wall(), march);
	await base.advance(60_000);
	t.is(clock.wall(), march + 60_000);
	// switched off and on: 1970 again, and the floor still holds
	const after = new FlooredClock(new ManualClock(0));
	const kept = new Floors(dir, trust);
	await kept.recall();
	after.hold(() => kept.time);
	t.is(after.wall(), march);
	// a clock that is ahead is believed, and raises nothing
	const ahead = new FlooredClock(new ManualClock(Date.UTC(2040, 0, 1)));
	ahead.hold(() => kept.time);
	t.is(ahead.wall(), Date.UTC(2040, 0, 1));
	t.is(kept.time, march);
});
