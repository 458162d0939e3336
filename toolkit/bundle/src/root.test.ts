import { WattvoxError } from "@wattvox/core";
import test from "ava";
import { newKey, type PrivateKey } from "./keys.ts";
import { type Root, rootFileBytes, rootKeyEntry, signRoot } from "./root.ts";
import { RootTrust } from "./root-trust.ts";
import { signBytes, verifyBytes } from "./signature.ts";

const body = Buffer.from("{}");

function rootOf(
	version: number,
	roles: {
		root: PrivateKey[];
		release?: PrivateKey[];
		fleet?: PrivateKey[];
		builder?: PrivateKey[];
	},
	threshold = 1,
): Root {
	const { root, release = [], fleet = [], builder = [] } = roles;
	const ids = (keys: PrivateKey[]) => keys.map((k) => k.id);
	return {
		format: "wattvox-root/1",
		version,
		created: "2026-01-01T00:00:00Z",
		expires: "2027-01-01T00:00:00Z",
		keys: Object.fromEntries(
			[...root, ...release, ...fleet, ...builder].map((k) =>
				rootKeyEntry(k.publicKey),
			),
		),
		roles: {
			root: { keys: ids(root), threshold },
			release: ids(release),
			fleet: ids(fleet),
			builder: ids(builder),
		},
	};
}

test("a key signs for its role alone", (t) => {
	const [r, release, fleet] = [newKey(), newKey(), newKey()];
	const root = rootOf(1, { root: [r], release: [release], fleet: [fleet] });
	const trust = RootTrust.open(rootFileBytes([signRoot(root, [r])]));
	t.is(trust.expires, Date.UTC(2027, 0, 1));
	const check = (purpose: "manifest" | "desired" | "engine", by: PrivateKey) =>
		verifyBytes(purpose, body, signBytes(purpose, body, by), trust);
	t.is(check("manifest", release), release.id);
	t.is(check("desired", fleet), fleet.id);
	for (const [purpose, by] of [
		["manifest", fleet],
		["manifest", r],
		["desired", release],
		["engine", release],
	] as const)
		t.throws(() => check(purpose, by), { code: "E_SIGNATURE" });
});

test("a stolen release key is worth nothing after the rotation that drops it", (t) => {
	const [r, stolen, fresh] = [newKey(), newKey(), newKey()];
	const first = signRoot(rootOf(1, { root: [r], release: [stolen] }), [r]);
	const second = signRoot(rootOf(2, { root: [r], release: [fresh] }), [r]);
	const trust = RootTrust.open(rootFileBytes([first]));
	const by = (key: PrivateKey) => signBytes("manifest", body, key);
	t.is(verifyBytes("manifest", body, by(stolen), trust), stolen.id);
	t.true(trust.update(rootFileBytes([first, second])));
	t.false(trust.update(rootFileBytes([first, second])), "once is enough");
	t.throws(() => verifyBytes("manifest", body, by(stolen), trust), {
		code: "E_SIGNATURE",
		message: /not trusted/,
	});
	t.is(verifyBytes("manifest", body, by(fresh), trust), fresh.id);
	// rollback: the old root does not come back
	t.false(trust.update(rootFileBytes([first])));
	t.is(trust.root.version, 2);
	// a device that was away follows the chain from what it was given
	const away = RootTrust.open(rootFileBytes([first]));
	t.true(away.update(trust.bytes));
	t.is(away.root.version, 2);
});

test("a new root needs the old root's keys and its own, each to its threshold", (t) => {
	const [a, b, c, d] = [newKey(), newKey(), newKey(), newKey()];
	const first = signRoot(rootOf(1, { root: [a, b] }, 2), [a, b]);
	const next = rootOf(2, { root: [b, c] }, 2);
	const tries: [string, PrivateKey[], boolean][] = [
		["old keys alone", [a, b], false],
		["new keys alone", [b, c], false],
		["one key twice", [a, a, c, c], false],
		["a stranger", [a, b, d], false],
		["both sides", [a, b, c], true],
	];
	for (const [name, keys, good] of tries) {
		const trust = RootTrust.open(rootFileBytes([first]));
		const file = rootFileBytes([first, signRoot(next, keys)]);
		if (good) t.true(trust.update(file), name);
		else t.throws(() => trust.update(file), { code: "E_SIGNATURE" }, name);
		t.is(trust.root.version, good ? 2 : 1, name);
	}
	// the first root is held to its threshold too
	t.throws(() => RootTrust.open(rootFileBytes([signRoot(next, [b])])), {
		code: "E_SIGNATURE",
	});
});

test("versions follow one by one", (t) => {
	const r = newKey();
	const root = (v: number) => signRoot(rootOf(v, { root: [r] }), [r]);
	const trust = RootTrust.open(rootFileBytes([root(3)]));
	t.throws(() => trust.update(rootFileBytes([root(5)])), {
		code: "E_SIGNATURE",
		message: /does not follow/,
	});
	t.true(trust.update(rootFileBytes([root(4), root(5)])));
	t.is(trust.root.version, 5);
	// what follows counts even where what comes after it does not
	t.throws(() => trust.update(rootFileBytes([root(6), root(9)])), {
		code: "E_SIGNATURE",
	});
	t.is(trust.root.version, 6);
});

test("a root that is changed, or names a key by a false id, is worth nothing", (t) => {
	const [r, release, mallory] = [newKey(), newKey(), newKey()];
	const good = signRoot(rootOf(1, { root: [r], release: [release] }), [r]);
	for (const signed of [
		good.signed.replace("2027", "2099"),
		good.signed.replace(
			rootKeyEntry(release.publicKey)[1],
			rootKeyEntry(mallory.publicKey)[1],
		),
		`${good.signed} `,
	])
		t.throws(() => RootTrust.open(rootFileBytes([{ ...good, signed }])), {
			instanceOf: WattvoxError,
		});
	const lying = rootOf(1, { root: [r], release: [release] });
	lying.keys[release.id] = rootKeyEntry(mallory.publicKey)[1];
	const trust = RootTrust.open(rootFileBytes([signRoot(lying, [r])]));
	t.is(trust.find(release.id, "manifest"), undefined);
	t.throws(() => RootTrust.open(Buffer.from("{}")), { code: "E_FILE_FORMAT" });
	t.throws(() => RootTrust.open(Buffer.alloc(70_000, 32)), {
		code: "E_FILE_FORMAT",
	});
});
