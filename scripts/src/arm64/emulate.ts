import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FolderStore, newKey, publicPem, writeBundle } from "@wattvox/bundle";
import { systemClock } from "@wattvox/core";
import type { Reported } from "@wattvox/link";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import { type Attempt, attempts, fine, type Tried } from "./attempts.ts";
import { Emulation, listen } from "./emulation.ts";
import { FleetHere } from "./fleet-here.ts";

/** Emulation is some 20 times slower than a processor. */
const STEP_MS = 300_000;

/**
 * Tries the agent's archive for 64-bit ARM under qemu-user, step by step: each is tried whatever became
 * of the one before.
 * @param say is told of each step as it ends
 * @throws WattvoxError E_FILE_MISSING when there is nothing to try with; the signal's reason
 */
export async function emulate(
	archive: string,
	say: (tried: Tried) => void,
	signal: AbortSignal,
): Promise<Tried[]> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-emulate-"));
	const { all, attempt } = attempts(STEP_MS, say, signal);
	try {
		const machine = new Emulation(dir);
		await machine.prepare(archive, signal);
		const run = (what: string, args: readonly string[], computes = false) =>
			attempt(what, async (by) => fine(await machine.run(args, by)), computes);
		await run("Node starts", ["-p", VERSIONS]);
		await run("a worker thread", ["-e", WORKER]);
		await run("wattvox-agent --help", [AGENT, "--help"]);
		const made = await sample(dir);
		const script = join(machine.release, "try-bundle.mjs");
		await writeFile(script, TRY_BUNDLE);
		await run("keys, signatures, a bundle verified", [
			...[script, made.bundle, made.trust, join(dir, "store-there")],
		]);
		await run("ONNX Runtime loads", ["-p", LOAD_ONNX_RUNTIME], true);
		await run("wattvox-agent doctor", [AGENT, "doctor"], true);
		await withBroker(dir, machine, made, attempt);
		return all;
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}

const AGENT = "node_modules/@wattvox/device-agent/bin/wattvox-agent.js";
const VERSIONS =
	'[process.version, process.arch, "OpenSSL " + process.versions.openssl].join(", ")';
const WORKER =
	'new (require("worker_threads").Worker)("console.log(\'runs\')", { eval: true })';
const LOAD_ONNX_RUNTIME =
	'Object.keys(require("onnxruntime-node")).length + " names"';
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

/** A small voice, signed here. */
async function sample(dir: string) {
	const key = newKey();
	const [bundle, trust] = [join(dir, "bundle"), join(dir, "fleet.pub")];
	const files = tinyVoice({ name: "emulated" });
	const voice = await Voice.load(files);
	const golden = await makeGolden(voice, ["All is well."], BASE_MEL);
	await voice.dispose();
	const sources = tinyBundle.sources(files, golden);
	const meta = tinyBundle.meta("emulated");
	const { digest } = await writeBundle(bundle, sources, meta, key);
	await writeFile(trust, publicPem(key.publicKey));
	return { key, bundle, trust, digest };
}

/** The agent itself, at a broker and a store that run here. */
async function withBroker(
	dir: string,
	machine: Emulation,
	{ key, bundle, trust, digest }: Awaited<ReturnType<typeof sample>>,
	attempt: Attempt,
): Promise<void> {
	const fleet = new FleetHere(dir, key);
	const data = join(dir, "data");
	try {
		await fleet.start();
		const agent = machine.start([
			...[AGENT, "run", "--broker", fleet.url, "--data", data],
			...["--trust", trust, "--fleet", fleet.fleet],
			...["--device", fleet.device, "--port", "0"],
			...["--limit", "real-time-factor=100000", "--limit", "underruns=100000"],
		]);
		const said = listen(agent);
		const gone = new AbortController();
		agent.once("exit", (code, by) =>
			gone.abort(new Error(`the agent ended with ${by ?? code}`)),
		);
		const until = async (limit: AbortSignal, holds: () => boolean) => {
			while (!holds())
				await systemClock.sleep(100, AbortSignal.any([limit, gone.signal]));
		};
		await attempt("the agent starts, its speech API listens", async (limit) => {
			await until(limit, () => /speaking on \S+/.test(said()));
			return /speaking on \S+/.exec(said())?.[0] ?? "";
		});
		await attempt("it connects to a broker", async (limit) => {
			await until(limit, () => fleet.online);
			return "presence announced, desired state subscribed";
		});
		await attempt("it pulls a signed bundle and verifies it", async (limit) => {
			await fleet.wish(bundle);
			const there = new FolderStore(join(data, "store"));
			while (!(await there.readManifest(digest)))
				await systemClock.sleep(100, AbortSignal.any([limit, gone.signal]));
			return fleet.sent;
		});
		await attempt(
			"the voice passes its trial and speaks",
			async (limit) => {
				const { state, reason } = await settled(limit);
				if (state !== "active")
					throw new Error(`${state}: ${reason?.code} ${reason?.message}`);
				return "active";
			},
			true,
		);
		async function settled(limit: AbortSignal): Promise<Reported> {
			const ends = ["active", "failed"];
			await until(limit, () => ends.includes(fleet.reported?.state ?? ""));
			return fleet.reported as Reported;
		}
		await attempt("it stops when it is told to", async (limit) => {
			agent.kill("SIGTERM");
			while (!gone.signal.aborted) await systemClock.sleep(50, limit);
			if (agent.exitCode === 0 || agent.exitCode === 130)
				return `ended with ${agent.exitCode}`;
			throw gone.signal.reason;
		});
		if (agent.exitCode === null) agent.kill("SIGKILL");
	} finally {
		await fleet.stop();
	}
}
