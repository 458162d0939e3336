import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { newKey, sha256, trustKeys, writeBundle } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import { packEngine } from "@wattvox/device-agent/engine";
import { engineKey } from "@wattvox/runtime/tensorrt";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, readVoiceFiles, Voice } from "@wattvox/synth";
import { decoderModel } from "@wattvox/synth/tensorrt";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import { enginesBuilt } from "./rollout-engines.ts";
import { cli } from "./testing.ts";

const facts = {
	...{ tensorrt: "10.3.0.26", headers: "10.3.0", cuda: "12.6" },
	...{ cudaDriver: "12.6", computeCapability: "8.7", device: "Orin" },
	...{ multiprocessors: 8, memoryBytes: 8e9, l4t: "36.4.3" },
	module: "Orin Nano",
};

test("an engine counts for its class when a builder signed it for the bundle's base or its voice", async (t) => {
	const dir = await temporaryDir(t);
	const [release, builder] = [newKey(), newKey()];
	const files = tinyVoice({ name: "ada", adapterSeed: 3 });
	const voice = await Voice.load(files);
	const golden = await makeGolden(voice, ["Hello."], BASE_MEL);
	await voice.dispose();
	const bundle = join(dir, "voice");
	const sources = tinyBundle.sources(files, golden);
	await writeBundle(bundle, sources, tinyBundle.meta("ada"), release);
	const model = await decoderModel(
		await readVoiceFiles(bundle),
		facts.tensorrt,
	);
	const trust = trustKeys([builder.publicKey]);
	const plan = Buffer.from("never opened");
	const engine = async (
		name: string,
		onnx: Uint8Array,
		refit: boolean,
		by = builder,
	) => {
		const key = engineKey(facts, sha256(onnx), { refit });
		const path = join(dir, name);
		await writeFile(path, Buffer.concat(packEngine(key, plan, by)));
		return path;
	};
	const base = await engine("base.engine", model.base, true);
	const own = await engine("own.engine", model.merged, false);
	t.deepEqual(
		await enginesBuilt(bundle, [`nano=${base}`, `agx=${own}`], trust),
		new Set(["nano", "agx"]),
	);
	t.deepEqual(await enginesBuilt(bundle, [], trust), new Set());

	const refused = (code: string, message: RegExp, given: string) =>
		t.throwsAsync(enginesBuilt(bundle, [`nano=${base}`, given], trust), {
			code,
			message,
		});
	const fixed = await engine("fixed.engine", model.base, false);
	await refused("E_USAGE", /fixed\.engine: .* neither/, `nano=${fixed}`);
	const strange = await engine("strange.engine", model.base, true, release);
	await refused("E_SIGNATURE", /strange\.engine/, `nano=${strange}`);
	const bare = join(dir, "bare.engine");
	await writeFile(bare, plan);
	await refused("E_FILE_FORMAT", /bare\.engine: .*no signed/, `nano=${bare}`);
	const changed = join(dir, "changed.engine");
	const key = engineKey(facts, sha256(model.base), { refit: true });
	const [head] = packEngine(key, plan, builder);
	await writeFile(changed, Buffer.concat([head, Buffer.from("Never opened")]));
	await refused("E_TAMPERED", /changed\.engine/, `nano=${changed}`);
	await refused("E_USAGE", /CLASS=FILE/, base);
	await refused(
		"E_FILE_MISSING",
		/not there/,
		`nano=${join(dir, "not there")}`,
	);
});

test("the options and an example are in the help", async (t) => {
	const { out } = await cli(["rollout", "start", "--help"]);
	t.regex(out, /--require-engines/);
	t.regex(out, /--engine nano=orin\.engine/);
});
