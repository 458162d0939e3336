import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { MUTATIONS } from "./disk-mutations.ts";
import { type Mutation, PACKAGES, packageDir } from "./mutant.ts";

/** Where bytes are flushed, hashed, or held to a signature. */
const CALLS =
	/\.(?:sync|datasync)\(\)|\b(?:syncDir|sha256|hashWhole|hashFile|hashPath|hashBytes|signatureHolds|verifyBytes|bundleDigest)\(/g;

/** Calls that `disk-mutations.ts` does not take out, in their files, and why. */
const ELSEWHERE: Readonly<
	Partial<Record<Mutation["file"], { calls: readonly string[]; why: string }>>
> = {
	"core/dist/files.js": {
		calls: [".sync()"],
		why: "syncDir itself, whose uses are taken out one by one",
	},
	"bundle/dist/bundle.js": {
		calls: ["verifyBytes(", "bundleDigest(", "hashFile("],
		why: "opens a laid-out folder: its signature was held to on the way into the store, and is again here; the others compute",
	},
	"bundle/dist/engine-head.js": {
		calls: ["sha256("],
		why: "a name to compute",
	},
	"bundle/dist/hash.js": {
		calls: ["sha256(", "hashFile(", "sha256(", "sha256("],
		why: "compute what others compare",
	},
	"bundle/dist/inspect.js": {
		calls: ["signatureHolds(", "bundleDigest("],
		why: "`wattvox inspect` reports on a bundle and lets nothing in",
	},
	"bundle/dist/keys.js": { calls: ["sha256("], why: "computes a key's id" },
	"bundle/dist/manifest.js": {
		calls: ["sha256("],
		why: "bundleDigest itself",
	},
	"bundle/dist/root.js": {
		calls: ["signatureHolds("],
		why: "bundle's root.test.ts forges each signature of a root",
	},
	"bundle/dist/sealed.js": {
		calls: ["signatureHolds("],
		why: "attestations: the fleet reads them, no device does",
	},
	"bundle/dist/store.js": {
		calls: ["bundleDigest(", "hashWhole(", "bundleDigest(", "verifyBytes("],
		why: "the publisher's put (store.test.ts damages what it finds there), a name to compute, and a signature that openBundle holds to again",
	},
	"bundle/dist/testing.js": {
		calls: ["sha256(", "sha256(", "hashBytes("],
		why: "makes up bytes",
	},
	"bundle/dist/write.js": {
		calls: ["bundleDigest(", "hashBytes(", "hashFile(", ".sync()"],
		why: "writes a bundle where voices are made, never on a device",
	},
	"link/dist/desired.js": {
		calls: ["verifyBytes("],
		why: "the same verifyBytes as of manifests, which is taken out itself; link's messages.test.ts forges desired states",
	},
	"link/dist/pull.js": {
		calls: ["verifyBytes("],
		why: "verifyBytes is taken out itself, and a stranger's manifest is then noticed here",
	},
	"device-agent/dist/state.js": {
		calls: ["sha256(", "verifyBytes(", "bundleDigest("],
		why: "look at what an active voice has become; the agent's tests damage it",
	},
	"device-agent/dist/speaker/load-voice.js": {
		calls: ["sha256("],
		why: "holds an engine to the digest that it was tried with; engines have tests of their own",
	},
	"device-agent/dist/engine/engine-cache.js": {
		calls: ["sha256(", "syncDir(", "syncDir("],
		why: "computes a digest; the first flush is of the folder that the entry's own flush brings to disk before the entry counts, the second of a folder's name, which the simulated disk keeps at once; an engine that is lost is built or pulled again",
	},
	"device-agent/dist/engine/pack-for.js": {
		calls: ["sha256(", "sha256("],
		why: "whether an engine is this voice's; a wrong one fails its trial",
	},
	"device-agent/dist/engine/pack.js": {
		calls: ["hashBytes(", "sha256("],
		why: "signed engines: pack.test.ts tampers with each part",
	},
	"device-agent/dist/engine/carrier.js": {
		calls: ["hashPath("],
		why: "holds an engine to what was built before it is signed; one that is wrong fails its siblings' trials",
	},
	"device-agent/dist/engine/refits.js": {
		calls: ["hashPath(", "syncDir(", "hashPath("],
		why: "engine-cache.test.ts damages refitted copies; one that is lost is made again",
	},
	"device-agent/dist/engine/attempt.js": {
		calls: ["sha256("],
		why: "computes an engine's key",
	},
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

test("every flush and every check on a device is taken out by a test, or it is said why not", async (t) => {
	const seen = new Set<string>();
	for (const name of PACKAGES) {
		const dist = join(packageDir(name), "dist");
		const paths = await readdir(dist, { recursive: true });
		for (const path of paths.filter((p) => /(?<!\.test)\.js$/.test(p))) {
			const file: Mutation["file"] = `${name}/dist/${path as `${string}.js`}`;
			const text = await readFile(join(dist, path), "utf8");
			const mutations = MUTATIONS.filter((m) => m.file === file);
			const calls = ELSEWHERE[file]?.calls ?? [];
			t.deepEqual(untouched(text, mutations), [...calls], file);
			seen.add(file);
		}
	}
	for (const file of Object.keys(ELSEWHERE)) t.true(seen.has(file), file);
});

test("a call that is neither taken out nor explained is found", (t) => {
	const text = "await handle.sync();\n// sha256(x)\nawait handle.sync();";
	const mutation = {
		...{ what: "a", file: "core/dist/files.js" as const },
		...{ find: "await handle.sync();", nth: 1, replace: "" },
	};
	t.deepEqual(untouched(text, [mutation]), [".sync()"]);
	t.deepEqual(untouched(text, [mutation, { ...mutation, nth: 0 }]), []);
});
