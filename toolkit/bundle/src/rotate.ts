import { WattvoxError } from "@wattvox/core";
import type { PrivateKey, PublicKey } from "./keys.ts";
import {
	type KeyRole,
	parseRootFile,
	type Root,
	rootFileBytes,
	rootKeyEntry,
	type SignedRoot,
	signRoot,
	verifyRoot,
} from "./root.ts";
import { RootTrust } from "./root-trust.ts";

/** What a new root changes of the one before it. */
export interface RootChange {
	add: readonly { role: KeyRole; key: PublicKey }[];
	/** Key ids, or the first characters of one. */
	remove: readonly { role: KeyRole; id: string }[];
	/** Root keys that a root needs. Default: as before, or 1. */
	threshold?: number;
	created: Date;
	expires: Date;
}

/**
 * Makes the next root of a chain, or the first one when `file` is undefined, and signs it.
 * @param keys private root keys: enough of the old root's and of the new one's
 * @returns the root file with the new root at its end
 * @throws WattvoxError E_USAGE (a change that changes nothing there is), E_KEY (too few keys, or others),
 * E_SIGNATURE, E_FILE_FORMAT
 */
export function rotateRoot(
	file: Uint8Array | undefined,
	change: RootChange,
	keys: readonly PrivateKey[],
): { bytes: Buffer; root: Root } {
	const chain: SignedRoot[] = file ? parseRootFile(file) : [];
	const before = file ? RootTrust.open(file).root : undefined;
	const all: Record<string, string> = { ...before?.keys };
	const roles: Record<KeyRole, string[]> = {
		root: [...(before?.roles.root.keys ?? [])],
		release: [...(before?.roles.release ?? [])],
		fleet: [...(before?.roles.fleet ?? [])],
		builder: [...(before?.roles.builder ?? [])],
	};
	for (const { role, id } of change.remove) {
		const found = roles[role].filter((k) => k.startsWith(id));
		if (id.length < 8 || found.length !== 1)
			throw new WattvoxError(
				"E_USAGE",
				`${found.length || "no"} ${role} key begins with "${id}": there are ${short(roles[role])}; give at least 8 characters of one`,
			);
		roles[role] = roles[role].filter((k) => k !== found[0]);
	}
	for (const { role, key } of change.add) {
		const [id, raw] = rootKeyEntry(key);
		all[id] = raw;
		if (!roles[role].includes(id)) roles[role].push(id);
	}
	const used = new Set(Object.values(roles).flat());
	const root: Root = {
		format: "wattvox-root/1",
		version: (before?.version ?? 0) + 1,
		created: change.created.toISOString(),
		expires: change.expires.toISOString(),
		keys: Object.fromEntries(
			Object.entries(all).filter(([id]) => used.has(id)),
		),
		roles: {
			...roles,
			root: {
				keys: roles.root,
				threshold: change.threshold ?? before?.roles.root.threshold ?? 1,
			},
		},
	};
	const signed = signRoot(root, keys);
	for (const by of before ? [before, root] : [root]) checkSigners(by, keys);
	verifyRoot(signed, before);
	return { bytes: rootFileBytes([...chain, signed]), root };
}

/** Says which keys are missing before the signatures are counted. */
function checkSigners(
	{ version, roles: { root } }: Root,
	keys: readonly PrivateKey[],
): void {
	const good = new Set(root.keys.filter((id) => keys.some((k) => k.id === id)));
	if (good.size < root.threshold)
		throw new WattvoxError(
			"E_KEY",
			`${root.threshold} of root ${version}'s root keys (${short(root.keys)}) must sign, and ${good.size} of them sign here`,
		);
}

const short = (ids: readonly string[]): string =>
	ids.map((id) => id.slice(0, 16)).join(", ") || "none";
