import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import { EngineCache } from "@wattvox/device-agent/engine";
import { engineKey, type TensorRtFacts } from "@wattvox/runtime/tensorrt";
import test from "ava";
import { cli } from "../testing.ts";

const facts: TensorRtFacts = {
	tensorrt: "10.3.0.26",
	headers: "10.3.0",
	cuda: "12.6",
	cudaDriver: "12.6",
	computeCapability: "8.7",
	device: "Orin",
	multiprocessors: 8,
	memoryBytes: 8e9,
	l4t: "36.4.3",
	module: "Orin Nano",
};

test("engine list names engines with what they depend on, and what failed", async (t) => {
	const dir = await temporaryDir(t);
	t.regex((await cli(["engine", "list", "--data", dir])).out, /no engines/);
	const cache = new EngineCache(join(dir, "engines"));
	const key = engineKey(facts, "a".repeat(64), { precision: "fp16" });
	const { id } = await cache.put(key, new Uint8Array(2_500_000), {
		kind: "built",
		seconds: 71,
	});
	await cache.fail({
		engine: "e".repeat(64),
		voice: "f".repeat(64),
		code: "E_ENGINE_DIFFERS",
		message: "4 dB off",
	});
	const { out, code } = await cli(["engine", "list", "--data", dir]);
	t.is(code, 0);
	t.regex(
		out,
		new RegExp(
			`${id.slice(0, 12)}.*fp16.*10\\.3\\.0\\.26.*Orin \\(8\\.7\\).*2\\.5 MB.*71 s`,
		),
	);
	t.regex(out, /eeeeeeeeeeee failed for voice ffffffffffff: E_ENGINE_DIFFERS/);
	const { json } = await cli(["engine", "list", "--data", dir, "--json"]);
	t.like(json, { engines: [{ id, key }], failures: [{ message: "4 dB off" }] });
});
