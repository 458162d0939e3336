import { join } from "node:path";
import {
	type BlockSource,
	EngineShelf,
	FolderStore,
	type Trust,
} from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import { S3Store } from "./store-s3.ts";

/** A store that bundles are put into and served from. */
export interface Store extends BlockSource {
	/**
	 * Takes a bundle in.
	 * @returns the bundle's digest
	 */
	put(bundleDir: string, trust: Trust, signal?: AbortSignal): Promise<string>;
	/** Digests of the bundles that are here whole. */
	bundles(): Promise<string[]>;
	/** Takes a bundle out and leaves its blobs. */
	forget(digest: string): Promise<void>;
	/** Removes a blob, whether a bundle lists it or not; fine where there is none. */
	removeBlob(sha256: string): Promise<void>;
}

/**
 * Where a store's engines are: in its own folder, or for a bucket in the fleet's folder.
 * @param data the fleet's folder
 */
export function engineShelf(store: Store, data: string): EngineShelf {
	return store instanceof FolderStore
		? store.engines
		: new EngineShelf(join(data, "engines"));
}

/**
 * A store by its address: a folder, or `s3://bucket/prefix` with the usual variables
 * (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL).
 * @throws WattvoxError E_USAGE, E_KEY (no credentials)
 */
export function openStore(
	address: string,
	env: NodeJS.ProcessEnv = process.env,
): Store {
	if (!address.startsWith("s3:")) return new FolderStore(address);
	const found = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,62})(?:\/([\w./-]*))?$/.exec(
		address,
	);
	if (!found?.[1])
		throw new WattvoxError("E_USAGE", `${address} is not s3://bucket/prefix`);
	const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret } = env;
	if (!id || !secret)
		throw new WattvoxError(
			"E_KEY",
			"a store in S3 needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
		);
	return new S3Store({
		bucket: found[1],
		prefix: found[2] ?? "",
		accessKeyId: id,
		secretAccessKey: secret,
		...(env.AWS_SESSION_TOKEN && { sessionToken: env.AWS_SESSION_TOKEN }),
		...(env.AWS_REGION && { region: env.AWS_REGION }),
		...(env.AWS_ENDPOINT_URL && { endpoint: env.AWS_ENDPOINT_URL }),
	});
}
