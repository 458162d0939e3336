import { spawn } from "node:child_process";
import {
	mkdtemp,
	readdir,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readWav } from "@wattvox/speech";
import test from "ava";

const CLI = fileURLToPath(
	new URL("../../toolkit/cli/dist/main.js", import.meta.url),
);

interface Ended {
	code: number | null;
	stdout: string;
	stderr: string;
	/** Processes of its group that were still there when it had ended. */
	left: string[];
}

/** Processes of a group, zombies aside: [pid and command], by /proc/PID/stat. */
async function groupOf(leader: number): Promise<string[]> {
	const found: string[] = [];
	for (const pid of await readdir("/proc")) {
		if (!/^\d+$/.test(pid)) continue;
		const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
		const end = line.lastIndexOf(")");
		const [state, , group] = line.slice(end + 2).split(" ");
		if (Number(group) === leader && state !== "Z")
			found.push(line.slice(0, end + 1));
	}
	return found;
}

/**
 * Runs `wattvox` in a process group of its own, as a terminal does.
 * @param stopAt where standard error says this, Ctrl-C is pressed: the whole group hears it
 */
async function wattvox(argv: string[], stopAt?: RegExp): Promise<Ended> {
	const child = spawn(process.execPath, [CLI, ...argv], {
		detached: true,
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, XDG_CONFIG_HOME: "/nonexistent" },
	});
	const group = child.pid as number;
	let [stdout, stderr, stopped] = ["", "", false];
	child.stdout.on("data", (d) => {
		stdout += d;
	});
	child.stderr.on("data", (d) => {
		stderr += d;
		if (stopAt === undefined || stopped || !stopAt.test(stderr)) return;
		stopped = true;
		process.kill(-group, "SIGINT");
	});
	const code = await new Promise<number | null>((resolve, reject) => {
		child.on("error", reject);
		// Both pipes are closed as well: no child of it holds them.
		child.on("close", resolve);
	});
	return { code, stdout, stderr, left: await groupOf(group) };
}

const rms = (samples: Float32Array) =>
	Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);

// One way through the whole, since each stage needs the one before: Ctrl-C while training, Ctrl-C while
// a device pulls and tries the voice, and then to the end.
test("the demonstration: interrupted twice, it goes on, speaks, and reports", async (t) => {
	t.timeout(1_500_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-demo-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const out = join(dir, "out");
	const argv = (...more: string[]) => [
		...["demo", "--out", out, "--workload", "0"],
		...["--text", "The quick brown fox sees a lazy dog."],
		...more,
	];

	const training = await wattvox(argv("--steps", "90"), /fine-tune: \d+\/90/);
	t.is(training.code, 130, training.stderr);
	t.deepEqual(training.left, []);
	t.regex(training.stderr, /E_INTERRUPTED.*its state is kept/);
	t.is(training.stdout, "");
	const kept = await readdir(join(out, "run"));
	t.true(kept.includes("teacher-lora.ckpt"), kept.join());
	t.false(kept.includes("teacher-adapter"));

	const pulling = await wattvox(
		argv("--steps", "1"),
		/publish and pull \.\.\./,
	);
	t.is(pulling.code, 130, pulling.stderr);
	t.deepEqual(pulling.left, []);
	t.regex(pulling.stderr, /going on with the run/);
	const made = (path: string) => stat(join(out, path)).then((s) => s.mtimeMs);
	const adapter = "run/student-adapter/adapter_model.safetensors";
	const before = await made(adapter);

	const ended = await wattvox(argv("--steps", "1"));
	t.is(ended.code, 0, ended.stderr);
	t.deepEqual(ended.left, []);
	t.regex(ended.stderr, /going on with the run/);
	for (const stage of [
		"prepare",
		"fine-tune",
		"distil",
		"export",
		"publish and pull",
		"speak",
		"together",
	])
		t.regex(ended.stdout, new RegExp(`^${stage}  .*\\d`, "m"));
	t.regex(ended.stdout, /verified, golden sentences within/);
	const memory = /^peak memory: \d\.\d\d GB.*$/m.exec(ended.stdout)?.[0];
	t.truthy(memory);
	t.log(memory);
	// Trained already: the same weights, not new ones.
	t.true((await made(adapter)) >= before);

	// The device's own account of what it said, against the files.
	const row = /^this-machine .*$/m.exec(ended.stdout)?.[0].split(/\s{2,}/);
	let seconds = 0;
	for (const [name, words] of [
		["sentence-1.wav", 9],
		["sentence-2.wav", 11],
		["sentence-3.wav", 8],
		["held-out.wav", undefined],
	] as const) {
		const { samples, sampleRate } = readWav(await readFile(join(out, name)));
		const long = samples.length / sampleRate;
		seconds += long;
		t.is(sampleRate, 16000);
		t.true(rms(samples) > 0.01, `${name} is silent`);
		if (words)
			t.true(long > 0.15 * words && long < 0.9 * words, `${name}: ${long} s`);
	}
	t.is(row?.[1], "4", ended.stdout);
	t.true(Math.abs(Number(row?.[2]) - seconds) < 0.1, `${row} for ${seconds}`);

	const report = await readFile(join(out, "report.html"), "utf8");
	t.regex(report, /The quick brown fox sees a lazy dog/);
	t.regex(report, /Peak memory/);
	t.notRegex(report, /\b(undefined|NaN)\b/);
	t.is(report.match(/<audio/g)?.length, 5);

	const trust = join(out, "keys", "builder.pub");
	const inspect = ["inspect", join(out, "voice"), "--json", "--trust", trust];
	const inspected = await wattvox(inspect);
	t.is(inspected.code, 0, inspected.stderr);
	t.like(JSON.parse(inspected.stdout), { signature: "trusted", problems: [] });
	// What the check above is worth: one byte less and it fails.
	const graph = join(out, "voice", "text.onnx");
	await writeFile(graph, (await readFile(graph)).subarray(1));
	const tampered = await wattvox(inspect);
	t.is(tampered.code, 4);
	t.regex(tampered.stdout + tampered.stderr, /E_TAMPERED/);
});
