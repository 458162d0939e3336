import { join } from "node:path";
import {
	type BlockSource,
	FolderStore,
	newKey,
	type PrivateKey,
	type Trust,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { sampleFiles, sampleMeta } from "@wattvox/bundle/testing";
import { Link, type LinkOptions } from "@wattvox/link";

/** A signed bundle of a made-up voice and a store that holds it. */
export interface Sample {
	key: PrivateKey;
	trust: Trust;
	/** The bundle's folder. */
	dir: string;
	digest: string;
	source: FolderStore;
	/** Files' size, bytes. */
	bytes: number;
	/** Blocks of all files. */
	blocks: number;
}

/** Makes a {@link Sample} below `root`. */
export async function makeSample(
	root: string,
	options: { voice?: string; decoderBytes?: number; key?: PrivateKey } = {},
): Promise<Sample> {
	const { voice = "ada", key = newKey() } = options;
	const trust = trustKeys([key.publicKey]);
	const dir = join(root, `bundle-${voice}`);
	const { digest, manifest } = await writeBundle(
		dir,
		sampleFiles(options),
		sampleMeta(voice),
		key,
	);
	const source = new FolderStore(join(root, "store"));
	await source.put(dir, trust);
	return {
		key,
		trust,
		dir,
		digest,
		source,
		bytes: manifest.files.reduce((sum, f) => sum + f.size, 0),
		blocks: manifest.files.reduce((sum, f) => sum + f.blocks.length, 0),
	};
}

/** A source that lets a test see and change each block on its way out. */
export function tapped(
	source: BlockSource,
	tap: (sha256: string, index: number, block: Buffer) => Buffer | undefined,
): BlockSource {
	return {
		readManifest: (digest) => source.readManifest(digest),
		readEngine: async (name) => source.readEngine?.(name),
		async readBlock(sha256, index) {
			const block = await source.readBlock(sha256, index);
			return block && tap(sha256, index, Buffer.from(block));
		},
	};
}

/** A started link that comes back quickly. */
export async function connect(
	url: string,
	clientId: string,
	options: Partial<LinkOptions> = {},
): Promise<Link> {
	const link = new Link({
		url,
		clientId,
		reconnectMs: { base: 20, max: 100 },
		// a machine that runs other tests beside this one may take long
		connectTimeoutMs: 60_000,
		...options,
	});
	await link.start();
	return link;
}
