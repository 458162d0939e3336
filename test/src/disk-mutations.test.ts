import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { MUTATIONS } from "./disk-mutations.ts";
import { type Mutation, PACKAGES, packageDir } from "./mutant.ts";

/** Where bytes are flushed, hashed, or held to a signature. */
const CALLS =
	/(?:\.sync|\.datasync|\bf(?:data)?sync(?:Sync)?)\(|\b(?:syncDir|sha256|createHash|hashWhole|hashFile|hashPath|hashBytes|signatureHolds|verifyBytes|bundleDigest)\(|\bverify\((?=null\b|\w+\.publicKey)/g;

/** Calls that neither flush nor hold anything to anything: they compute what others compare. */
const COMPUTES: Readonly<Record<string, readonly string[]>> = {
	// which block of a damaged file is named; a bundle's name
	"bundle/dist/bundle.js": ["bundleDigest(", "hashFile("],
	"bundle/dist/engine-head.js": ["sha256("],
	"bundle/dist/hash.js": [
		...["createHash(", "sha256(", "hashFile(", "createHash("],
		...["sha256(", "sha256("],
	],
	// a key's id, a bundle's name, and what all of these call
	"bundle/dist/keys.js": ["sha256("],
	"bundle/dist/manifest.js": ["sha256("],
	"bundle/dist/names.js": ["createHash("],
	// the name under which a manifest is kept
	"bundle/dist/store.js": ["bundleDigest("],
	// makes up bytes
	"bundle/dist/testing.js": ["sha256(", "sha256(", "hashBytes("],
	// what is written into a manifest
	"bundle/dist/write.js": ["bundleDigest(", "hashBytes(", "hashFile("],
	// compared in constant time: words that open a door, no bytes that rot
	"fleet/dist/broker-acl.js": ["createHash("],
	"fleet/dist/server/auth.js": ["createHash(", "createHash(", "createHash("],
	// which devices come first
	"fleet/dist/rollout/spec.js": ["createHash("],
	// compared on its next line, which is taken out
	"fleet/dist/store-s3.js": ["createHash("],
	// what is written into an engine's key, entry or head; the name of a timing cache
	"device-agent/dist/engine/attempt.js": ["sha256("],
	"device-agent/dist/engine/engine-cache.js": ["sha256(", "createHash("],
	"device-agent/dist/engine/pack-for.js": ["sha256(", "sha256("],
	"device-agent/dist/engine/pack.js": ["hashBytes("],
	"device-agent/dist/engine/refits.js": ["hashPath("],
};

/** From where to where a mutation reaches. */
function reach(text: string, { find, nth = 0 }: Mutation): [number, number] {
	let at = -1;
	for (let n = 0; n <= nth; n++) at = text.indexOf(find, at + 1);
	return [at, at + find.length];
}

/** Calls in a file's text that no mutation takes out, in their order. */
function untouched(text: string, mutations: readonly Mutation[]): string[] {
	const ranges = mutations.map((mutation) => reach(text, mutation));
	const found: string[] = [];
	for (const { index, 0: call } of text.matchAll(CALLS)) {
		const before = text.slice(text.lastIndexOf("\n", index) + 1, index);
		if (/function $|^\s*(?:\/\/|\*)/.test(before)) continue;
		if (!ranges.some(([from, to]) => from <= index && index < to))
			found.push(call);
	}
	return found;
}

test("every flush and every check on a device is taken out by a test, or only computes", async (t) => {
	const seen = new Set<string>();
	for (const name of [...PACKAGES, "fleet", "runtime"]) {
		const dist = join(packageDir(name), "dist");
		const paths = await readdir(dist, { recursive: true });
		for (const path of paths.filter((p) => /(?<!\.test)\.js$/.test(p))) {
			const file = `${name}/dist/${path}`;
			const text = await readFile(join(dist, path), "utf8");
			const mutations = MUTATIONS.filter((m) => m.file === file);
			t.deepEqual(untouched(text, mutations), COMPUTES[file] ?? [], file);
			seen.add(file);
		}
	}
	const computed = Object.values(COMPUTES).flat().join();
	t.notRegex(computed, /sync|verify|Holds|hashWhole/, "these do more");
	for (const file of Object.keys(COMPUTES)) t.true(seen.has(file), file);
});

test("a call that is neither taken out nor explained is found", (t) => {
	const text = "await handle.sync();\n// sha256(x)\nawait handle.sync();";
	const mutation = {
		...{
			what: "a",
			part: "damage" as const,
			file: "core/dist/files.js" as const,
		},
		...{ find: "await handle.sync();", nth: 1, replace: "" },
	};
	t.deepEqual(untouched(text, [mutation]), [".sync("]);
	t.deepEqual(untouched(text, [mutation, { ...mutation, nth: 0 }]), []);
});
