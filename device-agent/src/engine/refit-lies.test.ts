// What a refit can do wrong, by the stand-in for TensorRT and real child processes: each time nothing is
// left that could be opened, and the voice has no engine, so it speaks on ONNX Runtime.
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf, type ErrorCode, WattvoxError } from "@wattvox/core";
import { LEASH, type Workshop, workshop } from "@wattvox/runtime/tensorrt";
import { type Lie, lacks, lie, standIn } from "@wattvox/runtime/testing";
import { spellingFrontend as frontend } from "@wattvox/synth/testing";
import test from "ava";
import { layOut } from "./_bench.test.ts";
import { EngineCache } from "./engine-cache.ts";
import { type PrepareOptions, prepareEngine } from "./prepare.ts";

const compiled = lacks("gcc", ...LEASH) ? test.serial.skip : test.serial;

test.after.always("no child is left", (t) => {
	t.deepEqual(childrenOf(process.pid), []);
});

let home = "";
let voice = "";
test.before(async (t) => {
	home = await mkdtemp(join(tmpdir(), "wattvox-refit-"));
	if (lacks("gcc", ...LEASH)) return;
	const base = await layOut(home, "base");
	voice = await layOut(home, "voice", 5);
	const made = await prepare(base, {
		cache: new EngineCache(join(home, "engines")),
		workshop: workshop(await standIn()),
	});
	t.false(made.refitted);
});
test.after.always(() => rm(home, { recursive: true, force: true }));

const prepare = (
	dir: string,
	more: Pick<PrepareOptions, "cache" | "workshop"> & Partial<PrepareOptions>,
) =>
	prepareEngine({
		...{ dir, voice: "a".repeat(64), golden: join(dir, "golden.json") },
		...{ precision: "fp32", frontend, ...more },
	});

/** A device of its own with the engine of the base. */
async function device() {
	const dir = await mkdtemp(join(home, "device-"));
	await cp(join(home, "engines"), dir, { recursive: true });
	const cache = new EngineCache(dir);
	const [entry] = await cache.list();
	if (!entry) throw new Error("no engine");
	const shim = await standIn();
	return { shim, shop: workshop(shim), cache, entry };
}

/** Nothing else can be had: the voice's own engine is not built. */
const builder: PrepareOptions["builder"] = {
	buildEngine: () =>
		Promise.reject(new WattvoxError("E_ENGINE_BUILD", "made up")),
};

for (const [what, lies, code] of [
	["crashes", ["crash-refit"], "E_ENGINE_CRASH"],
	["crashes while it is serialised", ["crash-serialize"], "E_ENGINE_CRASH"],
	["takes all memory", ["memory-refit"], "E_MEMORY"],
	["never ends", ["endless-refit"], "E_TIMEOUT"],
	["computes NaN", ["nan"], "E_ENGINE_DIFFERS"],
	["computes something else", ["wrong"], "E_ENGINE_DIFFERS"],
	["is written without its weights", ["serialize-drops"], "E_ENGINE_DIFFERS"],
	["is written damaged", ["corrupt"], "E_ENGINE_REFIT"],
	["meets another TensorRT", ["other-version"], "E_ENGINE_LOAD"],
] as [string, Lie[], ErrorCode][])
	compiled(`a refit that ${what} leaves no engine to speak by`, async (t) => {
		const { shim, shop, cache, entry } = await device();
		const notes: string[] = [];
		const lying: Workshop = {
			...shop,
			// from here on: before, TensorRT has said what it is
			async refit(request) {
				await lie(shim, ...lies);
				return shop.refit({
					...request,
					memoryBytes: 1024 * 2 ** 20,
					...(code === "E_TIMEOUT" && { deadlineMs: 3000 }),
				});
			},
		};
		const note = (line: string) => void notes.push(line);
		const failed = await t.throwsAsync<WattvoxError>(
			prepare(voice, { cache, workshop: lying, builder, note }),
		);
		// The newest is that of the voice's own engine, where that was to be built then.
		const [first] = (await cache.failures.list()).slice(-1);
		t.true([code, "E_ENGINE_BUILD"].includes(failed?.code ?? ""));
		t.is(first?.engine, entry.id);
		if (code !== "E_ENGINE_LOAD") {
			t.is(first?.code, code, notes.join("\n"));
			t.truthy(await cache.find(entry.key), "the engine itself stays");
		}
		t.deepEqual(await cache.listRefitted(entry), []);
	});
