import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BlockSource, type Trust, trustKeys } from "@wattvox/bundle";
import { DeviceState } from "@wattvox/device-agent/testing";
import { pullBundle } from "@wattvox/link";
import { wire } from "./disk-wire.ts";
import { ME, WINDOW, type World } from "./disk-world.ts";
import type { Findings } from "./simulated-disk.ts";

/** Attempts to harm a device, each on one of its own. */
export class Attempts {
	readonly world: World;
	readonly trust: Trust;
	readonly findings: Findings = { faults: 0, violations: [] };
	readonly #name: string;

	/** @param name of their folders, in the world's */
	constructor(world: World, name: string) {
		this.world = world;
		this.trust = trustKeys([world.key.publicKey]);
		this.#name = name;
	}

	/** @param body says what is wrong afterwards; so does what it throws */
	async attempt(
		what: string,
		body: (state: DeviceState, dir: string) => Promise<string | undefined>,
	): Promise<void> {
		const number = this.findings.faults++;
		const dir = join(this.world.dir, `${this.#name}-${number}`);
		const state = new DeviceState(dir);
		await state.prepare();
		const wrong = await body(state, dir).catch(
			(thrown) => `ends with ${(thrown as Error).message}`,
		);
		if (wrong) this.findings.violations.push(`${what}: ${wrong}`);
		await rm(dir, { recursive: true, force: true });
	}

	/** Pulls a bundle over a wire that never fails. @returns blocks that were sent */
	async pull(
		state: DeviceState,
		source: BlockSource,
		digest: string,
	): Promise<number> {
		const { server, link } = await wire(source);
		await pullBundle({
			...{ link, ...ME, store: "s", digest, into: state.store },
			...{ trust: this.trust, window: WINDOW },
		});
		return server.counters.blocks;
	}
}

/** The code that it fails with. */
export function code(work: Promise<unknown> | (() => unknown)) {
	const begun = typeof work === "function" ? (async () => work())() : work;
	return begun.then(
		() => "no error",
		(thrown) => String((thrown as { code?: string }).code),
	);
}

/** Says what is wrong when it is not what it should be. */
export function unless<T>(is: T, should: T, what: string): string | undefined {
	return is === should ? undefined : `${what} ${is}`;
}

/** The world's store, with a change to the blocks that it sends. */
export function tap(
	{ store }: World,
	change: (
		sha: string,
		index: number,
		block: Buffer,
	) => Promise<void> | void = () => undefined,
): BlockSource {
	return {
		readManifest: (digest) => store.readManifest(digest),
		async readBlock(sha, index) {
			const block = await store.readBlock(sha, index);
			if (!block) return undefined;
			const copy = Buffer.from(block);
			await change(sha, index, copy);
			return copy;
		},
	};
}

/** Turns one bit. */
export function flip(bytes: Buffer, at: number): void {
	bytes[at] = (bytes[at] ?? 0) ^ 1;
}

/** Turns one bit of a file, and leaves what shares its bytes as it is. */
export async function rot(path: string, at: number): Promise<void> {
	const bytes = await readFile(path);
	flip(bytes, at);
	await rm(path, { force: true });
	await writeFile(path, bytes);
}

/** A signature file that names the same key, and is not that key's. */
export function forged(signature: Uint8Array): Buffer {
	const text = Buffer.from(signature).toString();
	return Buffer.from(
		text.replace(
			/("signature":")(.)/g,
			(_, before, first) => `${before}${first === "A" ? "B" : "A"}`,
		),
	);
}
