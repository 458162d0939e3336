import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, type WattvoxError } from "@wattvox/core";
import test from "ava";
import { tensor } from "../tensor.ts";
import { lacks, standIn } from "../testing.ts";
import { affine, arithmetic } from "../tiny-model.ts";
import type { BuildProgress, Profile } from "./types.ts";
import { workshop } from "./workshop.ts";

const compiled = lacks("gcc", "prlimit") ? test.skip : test;

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
		t.is(trial.refitSeconds, 0);
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

compiled(
	"a refit replaces weights by name, and says what does not fit",
	async (t) => {
		const shop = workshop(await standIn());
		const x = tensor("float32", [2], Float32Array.of(1, 2));
		const weights = (...w: number[]) => ({
			scale: tensor("float32", [w.length], Float32Array.from(w)),
		});
		const { engine } = await shop.buildEngine(affine(), { refit: true });
		const plain = await shop.trial(engine, { feeds: [{ x }] });
		t.deepEqual(plain.refittable, ["scale", "shift"]);
		t.deepEqual([...(plain.outputs[0]?.y?.data ?? [])], [12, 26]);
		const other = await shop.trial(engine, {
			feeds: [{ x }],
			refit: weights(5, 5),
		});
		t.deepEqual([...(other.outputs[0]?.y?.data ?? [])], [15, 30]);
		t.true(other.refitSeconds > 0);

		const fixed = await shop.buildEngine(affine());
		const bad = [
			[engine, weights(1, 2, 3), /"scale"/],
			[engine, { bias: x }, /"bias"/],
			[fixed.engine, weights(1, 2), /refitted/],
		] as const;
		for (const [plan, refit, message] of bad)
			await t.throwsAsync(shop.trial(plan, { refit }), {
				code: "E_ENGINE_REFIT",
				message,
			});
		const dropping = workshop(await standIn("refit-drops"));
		const dropped = await dropping.trial(engine, {
			feeds: [{ x }],
			refit: weights(5, 5),
		});
		t.deepEqual([...(dropped.outputs[0]?.y?.data ?? [])], [12, 26]);
	},
);

compiled("a crash anywhere ends the child and nothing else", async (t) => {
	const { engine } = await workshop(await standIn()).buildEngine(affine(), {
		refit: true,
	});
	const x = tensor("float32", [2], Float32Array.of(1, 2));
	const crash = { code: "E_ENGINE_CRASH", message: /SIGABRT/ };
	const opening = workshop(await standIn("crash-open"));
	await t.throwsAsync(opening.facts(), crash);
	const building = workshop(await standIn("crash-build"));
	await t.throwsAsync(building.buildEngine(affine()), crash);
	const loading = workshop(await standIn("crash-load"));
	await t.throwsAsync(loading.trial(engine), crash);
	const running = workshop(await standIn("crash-run"));
	await t.throwsAsync(running.trial(engine, { feeds: [{ x }] }), crash);
	const refitting = workshop(await standIn("crash-refit"));
	await t.throwsAsync(refitting.trial(engine, { refit: { scale: x } }), crash);
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
		const { engine } = await workshop(await standIn()).buildEngine(affine());
		const x = tensor("float32", [2], Float32Array.of(1, 2));
		const running = workshop(await standIn("endless-run"));
		await t.throwsAsync(
			running.trial(engine, { feeds: [{ x }], deadlineMs: 1500 }),
			{ code: "E_TIMEOUT" },
		);
	},
);

compiled("a damaged engine is refused by the trial", async (t) => {
	const shop = workshop(await standIn("corrupt"));
	const { engine } = await shop.buildEngine(affine());
	await t.throwsAsync(shop.trial(engine), { code: "E_ENGINE_LOAD" });
});
