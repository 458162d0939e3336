export * from "./bundle.ts";
export * from "./canonical.ts";
export { type Disk, removeDirAtomic, systemDisk } from "./disk.ts";
export * from "./engine-head.ts";
export * from "./engine-shelf.ts";
export { type FileHashes, hashBytes, hashPath } from "./hash.ts";
export * from "./inspect.ts";
export {
	checkTrustTime,
	loadPrivateKey,
	loadPublicKey,
	newKey,
	type PrivateKey,
	type PublicKey,
	privatePem,
	publicPem,
	type Trust,
	trustKeys,
	writeKeys,
} from "./keys.ts";
export * from "./load-trust.ts";
export * from "./manifest.ts";
export * from "./names.ts";
export * from "./partial.ts";
export { ReadAhead, type ReadPiece } from "./read-ahead.ts";
export * from "./root.ts";
export * from "./root-trust.ts";
export * from "./rotate.ts";
export * from "./sealed.ts";
export * from "./signature.ts";
export * from "./store.ts";
export * from "./write.ts";
