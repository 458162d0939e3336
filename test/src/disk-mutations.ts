import type { Mutation } from "./mutant.ts";

const FILES = "core/dist/files.js";
const DISK = "bundle/dist/disk.js";
const PARTIAL = "bundle/dist/partial.js";
const STORE = "bundle/dist/store.js";
const BACKLOG = "device-agent/dist/backlog/backlog.js";
const BACKLOG_FILE = "device-agent/dist/backlog/backlog-file.js";

/** Every flush and every check of what a device writes and reads; each is taken out once. */
export const MUTATIONS: readonly Mutation[] = [
	{
		what: "the flush of a state file",
		file: FILES,
		find: "await handle.sync();",
		nth: 1,
		replace: "void 0;",
	},
	{
		what: "the flush of a state file's folder",
		file: FILES,
		find: "await syncDir(dir);",
		replace: "void 0;",
	},
	{
		what: "the flush of a folder's names before it is put in place",
		file: DISK,
		find: "await syncDir(aside);",
		replace: "void 0;",
	},
	{
		what: "the flush after a folder was put in place",
		file: DISK,
		find: "await syncDir(parent);",
		replace: "void 0;",
	},
	{
		what: "the flush of a part file's name",
		file: PARTIAL,
		find: "await syncDir(dirname(path));",
		replace: "void 0;",
	},
	{
		what: "the flush of blocks",
		file: PARTIAL,
		find: "await this.#handle.datasync();",
		replace: "void 0;",
	},
	{
		what: "the flush of what a killed process left",
		file: PARTIAL,
		find: "await handle.datasync();",
		replace: "void 0;",
	},
	{
		what: "the flush of a file that was cut to its length",
		file: PARTIAL,
		find: "await this.#handle.sync();",
		replace: "void 0;",
	},
	{
		what: "the flush of a finished file's name",
		file: PARTIAL,
		find: "await syncDir(dirname(target));",
		replace: "void 0;",
	},
	{
		what: "the flush of a manifest",
		file: STORE,
		find: "await handle.sync();",
		replace: "void 0;",
	},
	{
		what: "the flush of a bundle's name",
		file: STORE,
		find: "await syncDir(dirname(target));",
		replace: "void 0;",
	},
	{
		what: "the hash of a block",
		file: PARTIAL,
		find: "sha256(bytes) === this.#file.blocks[index]",
		replace: "true",
	},
	{
		what: "the hash of a block that an earlier attempt left",
		file: PARTIAL,
		find: "sha256(block) === file.blocks[i]",
		replace: "true",
	},
	{
		what: "the hash of a finished file",
		file: PARTIAL,
		find: "(await hashWhole(this.#handle, signal)) !== this.#file.sha256",
		replace: "false",
	},
	{
		what: "the hash of a file that is laid out",
		file: "bundle/dist/bundle.js",
		find: "(await hashWhole(handle, signal)) === file.sha256",
		replace: "true",
	},
	{
		what: "the signature",
		file: "bundle/dist/signature.js",
		find: "!signatureHolds(purpose, body, signature, key)",
		replace: "false",
	},
	{
		what: "the digest of a manifest that was pulled",
		file: "link/dist/pull.js",
		find: "bundleDigest(bytes) !== digest",
		replace: "false",
	},
	{
		what: "the signature of an engine",
		file: "bundle/dist/engine-head.js",
		find: 'verifyBytes("engine", body, signature, trust)',
		replace: "signature.key",
	},
	{
		what: "the name of an engine that was pulled",
		file: "link/dist/engine-pull.js",
		find: "head.name !== name",
		replace: "false",
	},
	{
		what: "the hash of an engine on the device",
		file: "device-agent/dist/engine/engine-cache.js",
		find: "sha256(bytes) !== entry.sha256",
		replace: "false",
	},
	{
		what: "the checksum of a reading that waits",
		file: BACKLOG_FILE,
		find: "text.slice(0, 9) !== ",
		replace: "false && ",
	},
	{
		what: "the flush of readings",
		file: BACKLOG_FILE,
		find: "handle.datasync()",
		replace: "Promise.resolve()",
	},
	{
		what: "the flush of readings when the agent stops",
		file: BACKLOG_FILE,
		find: "await this.sync();",
		replace: "void 0;",
	},
	{
		what: "the flush of a boot's last reading",
		file: BACKLOG,
		find: "await this.#file.sync();",
		replace: "void 0;",
	},
	{
		what: "the flush of readings after a while",
		file: BACKLOG,
		find: "void this.#next(() => this.#file.sync());",
		replace: "void 0;",
	},
	{
		what: "the floor of revisions",
		file: "device-agent/dist/wishes.js",
		find: "revision < floor",
		replace: "false",
	},
];
