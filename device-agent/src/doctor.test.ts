import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	newKey,
	publicPem,
	rootFileBytes,
	rootKeyEntry,
	signRoot,
} from "@wattvox/bundle";
import { Broker } from "@wattvox/fleet";
import { LEASH } from "@wattvox/runtime/tensorrt";
import { lacks, standIn } from "@wattvox/runtime/testing";
import test, { type ExecutionContext } from "ava";
import {
	type Diagnosis,
	type DoctorOptions,
	diagnose,
	formatDiagnosis,
	writeDiagnosis,
} from "./doctor.ts";
import { findPlayers } from "./speaker/player.ts";

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-doctor-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}
const found = ({ findings }: Diagnosis) =>
	Object.fromEntries(findings.map((f) => [f.what, f]));

test("a machine that has all: what it has is named, broker and keys too", async (t) => {
	const dir = await folder(t);
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const key = join(dir, "release.pub");
	await writeFile(key, publicPem(newKey().publicKey));
	const result = await diagnose({
		dataDir: join(dir, "data"),
		trust: [key],
		broker: { url: broker.url },
		device: "kitchen",
	});
	const by = found(result);
	t.true(result.ok, formatDiagnosis(result));
	t.is(result.worst, undefined);
	t.regex(by["onnx runtime"]?.found ?? "", /computes/);
	t.regex(by.broker?.found ?? "", /answers in/);
	t.regex(by.keys?.found ?? "", /plain keys/);
	t.is(by.agent?.found, "never ran here");
	t.regex(by.playback?.found ?? "", /sound card/);
	t.regex(by.clock?.found ?? "", /^20\d\d-/);
});

test("what is wrong is named with its code, and the rest is still looked at", async (t) => {
	const dir = await folder(t);
	await writeFile(join(dir, "file"), "");
	const wrong: DoctorOptions = {
		dataDir: join(dir, "file"),
		trust: [join(dir, "none.pub")],
		broker: {
			url: "mqtt://127.0.0.1:1",
			username: "kitchen",
			password: "a-password",
			connectTimeoutMs: 300,
		},
		now: () => Date.UTC(1970, 0, 1, 0, 5),
	};
	const result = await diagnose(wrong);
	const by = found(result);
	t.false(result.ok);
	t.is(result.worst?.code, "E_KEY", "the clock's floor needs the keys");
	for (const [what, code] of [
		["clock", "E_KEY"],
		["disk", "E_OUTPUT"],
		["keys", "E_KEY"],
		["broker", "E_BROKER"],
	] as const) {
		t.false(by[what]?.ok, what);
		t.true(by[what]?.found.startsWith(`${code}: `), by[what]?.found);
	}
	t.true(by.memory?.ok);
	t.regex(formatDiagnosis(result), /^broker +PROBLEM E_BROKER/m);
	const clock = await diagnose({ now: wrong.now as () => number });
	t.regex(found(clock).clock?.found ?? "", /^E_CLOCK: it shows 1970/);
	const report = join(dir, "report.json");
	await writeDiagnosis(report, result);
	const text = await readFile(report, "utf8");
	t.false(text.includes("a-password"));
	t.like(JSON.parse(text), {
		v: 1,
		ok: false,
		versions: { node: process.versions.node },
	});
});

const compiled = lacks("gcc", ...LEASH) ? test.skip : test;
compiled("TensorRT is looked at where there is a shim", async (t) => {
	const looked = async (shim: string) => {
		const result = await diagnose({ shim });
		return { worst: result.worst?.code, ...found(result).tensorrt };
	};
	const good = await looked(await standIn());
	t.true(good.ok, good.found);
	t.regex(good.found ?? "", /^TensorRT \d+\.\d+\.\d+.*, compute capability /);
	t.false("tensorrt" in found(await diagnose()), "nobody asked for it");
	const none = await looked("/nowhere/libwattvox_trt.so");
	t.false(none.ok);
	t.is(none.worst, "E_TENSORRT");
	// a library that takes its process along
	const crash = await looked(await standIn("crash-open"));
	t.false(crash.ok);
	t.is(crash.worst, "E_ENGINE_CRASH");
});

test("what the agent speaks by is told, and why that is no engine", async (t) => {
	const dir = await folder(t);
	const said = async (runtime: unknown) => {
		const reported = { v: 1, bundle: "b".repeat(64), state: "active", runtime };
		const status = { pid: 1, connected: false, reported };
		await writeFile(join(dir, "status.json"), JSON.stringify(status));
		return found(await diagnose({ dataDir: dir })).agent?.found ?? "";
	};
	t.regex(await said({ name: "tensorrt" }), /, by TensorRT, not connected$/);
	const reason = { code: "E_ENGINE_NONE", message: "none is here" };
	t.regex(
		await said({ name: "onnxruntime", reason }),
		/, by ONNX Runtime, no engine: E_ENGINE_NONE: none is here, not connected$/,
	);
});

test("a root that has expired is told, and a clock behind it", async (t) => {
	const dir = await folder(t);
	const key = newKey();
	const root = {
		...{ format: "wattvox-root/1" as const, version: 1 },
		...{ created: "2026-03-01T00:00:00Z", expires: "2026-04-01T00:00:00Z" },
		keys: Object.fromEntries([rootKeyEntry(key.publicKey)]),
		roles: {
			root: { keys: [key.id], threshold: 1 },
			...{ release: [], fleet: [], builder: [] },
		},
	};
	const path = join(dir, "root.json");
	await writeFile(path, rootFileBytes([signRoot(root, [key])]));
	const at = async (iso: string) =>
		found(
			await diagnose({
				dataDir: dir,
				trust: [path],
				now: () => Date.parse(iso),
			}),
		);
	const good = await at("2026-03-15T00:00:00Z");
	t.is(good.keys?.found, "root 1, good until 2026-04-01T00:00:00Z");
	const late = await at("2026-05-01T00:00:00Z");
	t.regex(late.keys?.found ?? "", /^E_EXPIRED: root 1 has expired/);
	const early = await at("2026-02-01T00:00:00Z");
	t.regex(early.clock?.found ?? "", /^E_CLOCK: .* 2026-03-01/);

	// the agent followed a newer one, so that is what it goes by
	const next = {
		...{ ...root, version: 2 },
		...{ created: "2026-05-01T00:00:00Z", expires: "2026-06-01T00:00:00Z" },
	};
	const chain = [signRoot(root, [key]), signRoot(next, [key])];
	await writeFile(join(dir, "roots.json"), rootFileBytes(chain));
	const followed = await at("2026-05-15T00:00:00Z");
	t.is(followed.keys?.found, "root 2, good until 2026-06-01T00:00:00Z");
	t.true(followed.clock?.ok);
	const before = await at("2026-04-15T00:00:00Z");
	t.regex(before.clock?.found ?? "", /^E_CLOCK: .* 2026-05-01/);
	await writeFile(join(dir, "roots.json"), "{}");
	const broken = await at("2026-03-15T00:00:00Z");
	t.regex(broken.keys?.found ?? "", /^E_FILE_FORMAT: .*root file/);
});

test("players are found where they are installed, PipeWire's first", async (t) => {
	const dir = await folder(t);
	await mkdir(join(dir, "bin"));
	for (const name of ["aplay", "pw-cat"])
		await writeFile(join(dir, "bin", name), "", { mode: 0o755 });
	const players = findPlayers({ PATH: join(dir, "bin") });
	t.deepEqual(
		players.map((p) => p.system),
		["PipeWire", "ALSA"],
	);
	t.true(players[1]?.args(16_000).includes("16000"));
	t.deepEqual(findPlayers({ PATH: dir }), []);
});
