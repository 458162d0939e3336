import { X509Certificate } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
	inspectBundle,
	MANIFEST,
	MANIFEST_SIGNATURE,
	newKey,
	openBundle,
	openSealed,
	type PrivateKey,
	type Root,
	RootTrust,
	rootFileBytes,
	rootKeyEntry,
	seal,
	signRoot,
	trustKeys,
} from "@wattvox/bundle";
import { Floors, Wishes } from "@wattvox/device-agent/testing";
import {
	AUTHORITY,
	issue,
	readCertificates,
	SERVER,
	whyNotTrusted,
} from "@wattvox/link/testing";
import { Attempts, code, flip, forged, tap, unless } from "./disk-attempts.ts";
import { ME, type World } from "./disk-world.ts";
import type { Findings } from "./simulated-disk.ts";

/** What somebody signed who is not trusted, under the name of a key that is; and other things than were asked for. */
export async function strangers(world: World): Promise<Findings> {
	const a = new Attempts(world, "stranger");
	const [ada = "", bob = ""] = world.digests;
	const mine = await world.store.readManifest(ada);
	const other = await world.store.readManifest(bob);
	if (!mine || !other) throw new Error("nothing to forge");
	const nobodys = { bytes: mine.bytes, signature: forged(mine.signature) };

	await a.attempt("a manifest on its way", async (state) => {
		const source = { ...tap(world), readManifest: async () => nobodys };
		const end = await code(a.pull(state, source, ada));
		return unless(end, "E_SIGNATURE", "the pull ends with");
	});

	await a.attempt(
		"another bundle under the name of this one",
		async (state) => {
			const source = { ...tap(world), readManifest: async () => other };
			const end = await code(a.pull(state, source, ada));
			return unless(end, "E_TAMPERED", "the pull ends with");
		},
	);

	await a.attempt("a folder", async (state) => {
		const dir = join(state.dir, "copy");
		await world.store.checkout(ada, dir, a.trust);
		await writeFile(join(dir, MANIFEST_SIGNATURE), nobodys.signature);
		const { signature } = await inspectBundle(dir, a.trust);
		if (signature !== "bad") return `its signature is shown as ${signature}`;
		const end = await code(openBundle(dir, a.trust));
		return unless(end, "E_SIGNATURE", "it is opened with");
	});

	await a.attempt("a manifest that lies in the store", async (state) => {
		const dir = join(state.store.root, "bundles", ada);
		await mkdir(dir, { recursive: true });
		// not even parsed: what a stranger wrote is not to reach the parser
		await writeFile(join(dir, MANIFEST), "no manifest");
		await writeFile(join(dir, MANIFEST_SIGNATURE), mine.signature);
		const end = await code(
			state.store.checkout(ada, state.voiceDir(ada), a.trust),
		);
		return unless(end, "E_SIGNATURE", "it is laid out with");
	});

	await a.attempt("a voice whose key was withdrawn", async (state) => {
		const dir = state.voiceDir(ada);
		await world.store.checkout(ada, dir, a.trust);
		const later = trustKeys([newKey().publicKey]);
		const end = await code(state.checkSigner(ada, later));
		return unless(end, "E_SIGNATURE", "its signer is checked with");
	});

	await a.attempt("a voice that lies under another's name", async (state) => {
		await world.store.checkout(bob, state.voiceDir(ada), a.trust);
		const end = await code(state.checkSigner(ada, a.trust));
		return unless(end, "E_TAMPERED", "its signer is checked with");
	});

	await a.attempt("a wish", async (state, dir) => {
		const wishes = new Wishes(state, ME, a.trust, new Floors(dir, a.trust));
		const said = wishes.hear(forged(world.wish(2)));
		return said === "new" ? "it is obeyed" : undefined;
	});

	await a.attempt("a root", async () => {
		const [first, next] = [rootOf(1, world.key), rootOf(2, world.key)];
		const trust = RootTrust.open(rootFileBytes([first]));
		const { signed, signatures } = next;
		const [signature] = JSON.parse(
			forged(Buffer.from(JSON.stringify(signatures))).toString(),
		);
		const bad = rootFileBytes([{ signed, signatures: [signature] }]);
		const end = await code(() => trust.update(bad));
		return unless(end, "E_SIGNATURE", "it is followed with");
	});

	await a.attempt("a root that lists a key under another's name", async () => {
		const liar = { ...newKey(), id: world.key.id };
		const bytes = rootFileBytes([rootOf(1, liar)]);
		const end = await code(() => RootTrust.open(bytes));
		return unless(end, "E_SIGNATURE", "it is followed with");
	});

	await a.attempt("an attestation", async () => {
		const sealed = seal("attestation", { v: 1 }, world.key);
		const { signature } = openSealed("attestation", forged(sealed), a.trust);
		return unless(signature, "bad", "its signature is shown as");
	});

	await a.attempt("a broker's certificate, without a clock", async (_, dir) => {
		const years: [number, number] = [2040, 2050];
		const make = (name: string, more: object) =>
			issue({ dir: join(dir, name), years, extensions: AUTHORITY, ...more });
		const authority = await make("authority", {});
		const by = { by: authority, extensions: SERVER };
		const raw = new X509Certificate((await make("broker", by)).cert).raw;
		const judge = (leaf: Buffer) =>
			whyNotTrusted({
				...{ leaf: new X509Certificate(leaf), above: [] },
				...{ anchors: readCertificates(authority.cert), host: "127.0.0.1" },
				floor: Date.UTC(2042, 0, 1),
			});
		const good = judge(raw);
		if (good !== undefined) return `a good one is refused: ${good}`;
		// the last byte is of the signature
		flip(raw, raw.byteLength - 1);
		return judge(raw) === undefined ? "it is trusted" : undefined;
	});
	return a.findings;
}

function rootOf(version: number, key: PrivateKey) {
	const [, raw] = rootKeyEntry(key.publicKey);
	const ids = [key.id];
	const root: Root = {
		...{ format: "wattvox-root/1" as const, version },
		...{ created: "2026-01-01T00:00:00Z", expires: "2126-01-01T00:00:00Z" },
		keys: { [key.id]: raw },
		roles: {
			...{ root: { keys: ids, threshold: 1 } },
			...{ release: ids, fleet: ids, builder: ids },
		},
	};
	return signRoot(root, [key]);
}
