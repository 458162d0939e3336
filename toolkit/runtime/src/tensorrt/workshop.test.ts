import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { childrenOf, type WattvoxError } from "@wattvox/core";
import test, { type ExecutionContext } from "ava";
import { tensor } from "../tensor.ts";
import { type Lie, lacks, standIn } from "../testing.ts";
import { affine, arithmetic } from "../tiny-model.ts";
import { LEASH } from "./leash.ts";
import type { BuildProgress, Profile, RefitRequest, Weights } from "./types.ts";
import { workshop } from "./workshop.ts";

const compiled = lacks("gcc", ...LEASH) ? test.skip : test;

const MiB = 2 ** 20;

test.after("no child is left", (t) => {
	t.deepEqual(childrenOf(process.pid), []);
});

const profile: Profile = {
	a: { min: [1, 1], opt: [1, 4], max: [1, 8] },
	b: { min: [1, 1], opt: [1, 4], max: [1, 8] },
	n: { min: [1], opt: [4], max: [8] },
};
const profiles = [profile];
const feeds = [
	{
		a: tensor("float32", [1, 1], Float32Array.of(2)),
		b: tensor("float32", [1, 1], Float32Array.of(3)),
		n: tensor("int64", [1], BigInt64Array.of(4n)),
	},
];

compiled(
	"builds, with progress and a timing cache that grows, and tries the engine",
	async (t) => {
		const shop = workshop(await standIn());
		const facts = await shop.facts();
		const steps: BuildProgress[] = [];
		const built = await shop.buildEngine(arithmetic(), {
			profiles,
			onProgress: (progress) => steps.push(progress),
		});
		t.deepEqual(built.facts, facts);
		t.deepEqual(built.ports.inputs[1], {
			name: "b",
			dtype: "float32",
			shape: [1, "N"],
		});
		t.true(steps.some((step) => step.phase === "build"));
		t.true(built.log.some((line) => line.level === "info"));
		const again = await shop.buildEngine(arithmetic(), {
			profiles,
			timingCache: built.timingCache,
		});
		t.notDeepEqual(again.timingCache, built.timingCache);
		const misfit = await shop.buildEngine(arithmetic(), {
			profiles,
			timingCache: Uint8Array.of(1, 2, 3),
		});
		t.deepEqual(misfit.timingCache, built.timingCache);
		t.true(misfit.log.some((line) => line.level === "warning"));

		const trial = await shop.trial(built.engine, { ports: built.ports, feeds });
		t.is(trial.outputs[0]?.product?.data[0], 6);
		t.is(trial.seconds.length, 1);
		t.true((trial.seconds[0] ?? 0) > 0 && trial.loadSeconds > 0);
	},
);

compiled("a model and an engine may be files", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-workshop-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const shop = workshop(await standIn());
	await writeFile(join(dir, "m.onnx"), arithmetic());
	const { engine } = await shop.buildEngine(join(dir, "m.onnx"), { profiles });
	await writeFile(join(dir, "m.engine"), engine);
	const { outputs } = await shop.trial(join(dir, "m.engine"), { feeds });
	t.is(outputs[0]?.sum?.data[0], 5);
	await t.throwsAsync(shop.buildEngine(join(dir, "none.onnx")), {
		code: "E_FILE_MISSING",
	});
});

compiled("a model that cannot be built says why", async (t) => {
	const shop = workshop(await standIn());
	const bounds = (max: number[]) => [
		{ ...profile, n: { min: [1], opt: [1], max } },
	];
	const bad: [Uint8Array, object, string, RegExp][] = [
		[Uint8Array.of(1, 2, 3), { profiles }, "E_MODEL", /./],
		[arithmetic(), {}, "E_MODEL", /bounds/],
		[arithmetic(), { profiles: bounds([0]) }, "E_MODEL", /"n"/],
		[arithmetic(), { profiles: bounds([1, 1]) }, "E_MODEL", /ranks/],
		[affine("Teleport"), {}, "E_OP_UNSUPPORTED", /Teleport/],
	];
	for (const [model, request, code, message] of bad)
		await t.throwsAsync(shop.buildEngine(model, request), { code, message });
});

const x = tensor("float32", [2], Float32Array.of(1, 2));
const scale = (...w: number[]) => ({
	scale: tensor("float32", [w.length], Float32Array.from(w)),
});

/** A refittable engine's file, by a library that does nothing wrong, and refits of it by another. */
async function refitting(t: ExecutionContext, ...lies: Lie[]) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-workshop-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const [file, out] = [join(dir, "a.plan"), join(dir, "b.plan")];
	const good = await standIn();
	const build = async (refit: boolean) => {
		const made = await workshop(good).buildEngine(affine(), { refit });
		await writeFile(file, made.engine);
	};
	await build(true);
	const shop = workshop(await standIn(...lies));
	return {
		out,
		build,
		refit: (weights: Weights, more: Partial<RefitRequest> = {}) =>
			shop.refit({ engine: file, weights, out, ...more }),
		/** What an engine computes. */
		async y(path = out) {
			const { outputs } = await workshop(good).trial(path, { feeds: [{ x }] });
			return [...(outputs[0]?.y?.data ?? [])];
		},
		file,
	};
}

compiled(
	"a refitted copy is written beside its engine, and can be opened like it",
	async (t) => {
		const { refit, y, file } = await refitting(t);
		t.deepEqual(await y(file), [12, 26]);
		const before = await readFile(file);
		const { seconds, facts } = await refit(scale(5, 5));
		t.true(seconds > 0);
		t.is(facts.tensorrt, "10.3.0.26");
		t.deepEqual(await y(), [15, 30]);
		t.deepEqual(await readFile(file), before);
		// What the engine has not is left out, unless it is needed.
		await refit({ ...scale(1, 1), bias: x }, { needed: ["scale"] });
		t.deepEqual(await y(), [11, 22]);
	},
);

compiled("a refit says what does not fit, and writes nothing", async (t) => {
	const { refit, build, out } = await refitting(t);
	const bad = [
		[scale(1, 2, 3), [], /"scale"/],
		[{ bias: x }, ["bias"], /the weight bias/],
	] as const;
	for (const [weights, needed, message] of bad)
		await t.throwsAsync(refit(weights, { needed }), {
			code: "E_ENGINE_REFIT",
			message,
		});
	await build(false);
	await t.throwsAsync(refit(scale(1, 2)), {
		code: "E_ENGINE_REFIT",
		message: /refitted/,
	});
	await t.throwsAsync(stat(out), { code: "ENOENT" });
});

for (const [lies, code] of [
	[["crash-load"], "E_ENGINE_CRASH"],
	[["crash-refit"], "E_ENGINE_CRASH"],
	[["crash-serialize"], "E_ENGINE_CRASH"],
	[["memory-refit"], "E_MEMORY"],
	[["other-version"], "E_ENGINE_LOAD"],
	[["endless-refit"], "E_TIMEOUT"],
] as [Lie[], string][])
	compiled(`a refit with ${lies} is ${code}, and writes nothing`, async (t) => {
		const { refit, out } = await refitting(t, ...lies);
		const deadline = code === "E_TIMEOUT" && { deadlineMs: 3000 };
		const limits = { memoryBytes: 1024 * MiB, ...deadline };
		await t.throwsAsync(refit(scale(5, 5), limits), { code });
		await t.throwsAsync(stat(out), { code: "ENOENT" });
	});

compiled(
	"what a copy lacks or has wrong shows when it is opened or run",
	async (t) => {
		for (const drops of ["refit-drops", "serialize-drops"] as const) {
			const { refit, y } = await refitting(t, drops);
			await refit(scale(5, 5));
			t.deepEqual(await y(), [12, 26], drops);
		}
		const damaged = await refitting(t, "corrupt");
		await damaged.refit(scale(5, 5));
		await t.throwsAsync(damaged.y(), { code: "E_ENGINE_LOAD" });
	},
);

compiled("a crash anywhere ends the child and nothing else", async (t) => {
	const { engine } = await workshop(await standIn()).buildEngine(affine());
	const crash = { code: "E_ENGINE_CRASH", message: /SIGABRT/ };
	const opening = workshop(await standIn("crash-open"));
	await t.throwsAsync(opening.facts(), crash);
	const building = workshop(await standIn("crash-build"));
	await t.throwsAsync(building.buildEngine(affine()), crash);
	const loading = workshop(await standIn("crash-load"));
	await t.throwsAsync(loading.trial(engine), crash);
	const running = workshop(await standIn("crash-run"));
	await t.throwsAsync(running.trial(engine, { feeds: [{ x }] }), crash);
});

compiled(
	"a build that takes all memory is stopped by its limit, or by the kernel",
	async (t) => {
		const greedy = workshop(await standIn("memory-build"));
		await t.throwsAsync(
			greedy.buildEngine(affine(), { memoryBytes: 1024 * MiB }),
			{ code: "E_MEMORY", message: /memory/ },
		);
		const killed = workshop(await standIn("killed-build"));
		await t.throwsAsync(killed.buildEngine(affine()), {
			code: "E_MEMORY",
			message: /kernel/,
		});
		// Too little for Node itself, which then ends in one way or another.
		const starved = await t.throwsAsync<WattvoxError>(
			greedy.facts({ memoryBytes: 8 * MiB }),
		);
		t.true(["E_MEMORY", "E_ENGINE_CRASH"].includes(starved?.code ?? ""));
	},
);

compiled(
	"a build or a run that never ends is stopped by its deadline or by a signal",
	async (t) => {
		const endless = workshop(await standIn("endless-build"));
		await t.throwsAsync(endless.buildEngine(affine(), { deadlineMs: 1500 }), {
			code: "E_TIMEOUT",
			message: /1.5 s/,
		});
		const stop = new AbortController();
		const building = endless.buildEngine(affine(), {
			signal: stop.signal,
			// It is in the builder when it is stopped.
			onProgress: ({ phase, step }) => {
				if (phase === "build" && step > 2) stop.abort();
			},
		});
		await t.throwsAsync(building, { code: "E_INTERRUPTED" });
		await t.throwsAsync(endless.facts({ signal: stop.signal }), {
			code: "E_INTERRUPTED",
		});
		const hangs = workshop(await standIn("endless-facts"));
		await t.throwsAsync(hangs.facts({ deadlineMs: 1500 }), {
			code: "E_TIMEOUT",
		});
		const { engine } = await workshop(await standIn()).buildEngine(affine());
		const runs = workshop(await standIn("endless-run"));
		await t.throwsAsync(
			runs.trial(engine, { feeds: [{ x }], deadlineMs: 1500 }),
			{ code: "E_TIMEOUT" },
		);
	},
);

compiled(
	"a child whose parent was killed ends too, even one that hangs in native code",
	async (t) => {
		const shim = await standIn("endless-facts");
		const module = new URL("./workshop.js", import.meta.url).href;
		const parent = spawn(
			process.execPath,
			[
				"--input-type=module",
				"--eval",
				`import { workshop } from "${module}"; await workshop("${shim}").facts();`,
			],
			{ stdio: ["ignore", "inherit", "inherit"] },
		);
		const ended = once(parent, "close");
		while (!existsSync(`${shim}.told`)) await sleep(10);
		const [child = 0] = childrenOf(parent.pid as number);
		t.true(child > 0);
		t.teardown(() => running(child) && process.kill(child, "SIGKILL"));
		parent.kill("SIGKILL");
		await ended;
		while (running(child)) await sleep(10);
	},
);

/** Whether there is such a process; one that has ended and that nobody asked after yet is none. */
function running(pid: number): boolean {
	try {
		return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
	} catch {
		return false;
	}
}

compiled("a damaged engine is refused by the trial", async (t) => {
	const shop = workshop(await standIn("corrupt"));
	const { engine } = await shop.buildEngine(affine());
	await t.throwsAsync(shop.trial(engine), { code: "E_ENGINE_LOAD" });
});
