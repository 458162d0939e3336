import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { baseBundle } from "../board/voice.ts";
import { attempts, fine, type Tried } from "./attempts.ts";
import { AGENT, EmulatedAgent } from "./emulated-agent.ts";
import { Emulation, type EmulationOptions } from "./emulation.ts";

/** Emulation is some 20 times slower than a processor, and a busy machine slower still. */
const STEP_MS = 600_000;

/**
 * Tries the agent's archive for 64-bit ARM under qemu-user, step by step: each is tried whatever became
 * of the one before.
 * @param say is told of each step as it ends
 * @throws WattvoxError E_FILE_MISSING when there is nothing to try with; the signal's reason
 */
export async function emulate(
	archive: string,
	options: EmulationOptions,
	say: (tried: Tried) => void,
	signal: AbortSignal,
): Promise<Tried[]> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-emulate-"));
	const { all, attempt } = attempts(STEP_MS, say, signal);
	try {
		const machine = new Emulation(dir, options);
		await machine.prepare(archive, signal);
		const run = (what: string, args: readonly string[]) =>
			attempt(what, async (by) => fine(await machine.run(args, by)));
		await run("Node starts", ["-p", VERSIONS]);
		await run("a worker thread", ["-e", WORKER]);
		await run("wattvox-agent --help", [AGENT, "--help"]);
		const made = await baseBundle(dir);
		const script = join(machine.release, "try-bundle.mjs");
		await writeFile(script, TRY_BUNDLE);
		await run("keys, signatures, a bundle verified", [
			...[script, made.bundle, made.trust, join(dir, "store-there")],
		]);
		await run("ONNX Runtime loads", ["-p", LOAD_ONNX_RUNTIME]);
		await run("koffi calls the C library", ["-p", CALL_C]);
		await run("wattvox-agent doctor", [AGENT, "doctor"]);
		await new EmulatedAgent(dir, machine, made, attempt).run();
		return all;
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}

const VERSIONS =
	'[process.version, process.arch, "OpenSSL " + process.versions.openssl].join(", ")';
const WORKER =
	'new (require("worker_threads").Worker)("console.log(\'runs\')", { eval: true })';
const LOAD_ONNX_RUNTIME =
	'Object.keys(require("onnxruntime-node")).length + " names"';
/** Integers, a double and a string, there and back: what power sensors and TensorRT are called by. */
const CALL_C = `
const libc = require("koffi").load("libc.so.6");
const strtod = libc.func("double strtod(const char *, void *)");
const snprintf = libc.func("int snprintf(void *, size_t, const char *, ...)");
const out = Buffer.alloc(64);
const n = snprintf(out, 64, "%d %.3f", "int", 42, "double", strtod("0.125", null));
const said = out.toString("latin1", 0, n);
if (said !== "42 0.125") throw new Error(said);
said + ", C library " + libc.func("const char *gnu_get_libc_version()")()`;
const TRY_BUNDLE = `
import { FolderStore, loadTrust, newKey, openBundle, publicPem, signBytes, trustKeys, verifyBytes } from "@wattvox/bundle";
const [dir, trustFile, into] = process.argv.slice(2);
const key = newKey();
const body = Buffer.from("body");
verifyBytes("desired", body, signBytes("desired", body, key), trustKeys([key.publicKey]));
const trust = await loadTrust([trustFile]);
const { manifest } = await openBundle(dir, trust);
const digest = await new FolderStore(into).put(dir, trust);
await openBundle(dir, trustKeys([key.publicKey])).then(
	() => { throw new Error("another key's bundle was taken"); },
	(refused) => { if (refused.code !== "E_SIGNATURE") throw refused; },
);
console.log(manifest.files.length + " files verified, " + digest.slice(0, 12) + " in a store");
`;
