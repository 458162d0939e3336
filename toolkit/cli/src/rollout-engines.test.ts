import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
	EngineShelf,
	hashBytes,
	newKey,
	type PrivateKey,
	sha256,
	signEngine,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
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
	const shelf = new EngineShelf(join(dir, "engines"));
	const builtFor = (given: string[], by = trust) =>
		enginesBuilt(bundle, given, by, shelf);
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
		await builtFor([`nano=${base}`, `agx=${own}`]),
		new Set(["nano", "agx"]),
	);
	t.deepEqual(await builtFor([]), new Set());

	const refused = (code: string, message: RegExp, given: string) =>
		t.throwsAsync(builtFor([`nano=${base}`, given]), { code, message });
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

	// What build stations brought to the store counts for the class that they signed it for.
	const bring = async (
		onnx: Uint8Array,
		refit: boolean,
		by: PrivateKey,
		deviceClass?: string,
	) => {
		const bytes = Buffer.from(`${deviceClass} ${refit}`);
		const file = hashBytes(bytes);
		await mkdir(join(shelf.dir, "plans"), { recursive: true });
		await writeFile(shelf.planPath(file.sha256), bytes);
		const key = engineKey(
			{ ...facts, module: `${deviceClass}` },
			sha256(onnx),
			{
				refit,
			},
		);
		await shelf.put(signEngine(key, file, by, { deviceClass }));
	};
	await bring(model.base, true, builder, "nano");
	await bring(model.merged, false, builder, "xavier");
	await bring(model.merged, true, builder, "of-another-base");
	await bring(model.base, true, release, "not-a-builder");
	await bring(model.base, true, builder);
	t.deepEqual(await builtFor([]), new Set(["nano", "xavier"]));
	t.deepEqual(
		await builtFor([`agx=${own}`]),
		new Set(["nano", "xavier", "agx"]),
	);
	t.deepEqual(
		await builtFor([], trustKeys([release.publicKey])),
		new Set(["not-a-builder"]),
	);

	const classed = join(dir, "classed.engine");
	const packed = packEngine(key, plan, builder, { deviceClass: "nano" });
	await writeFile(classed, Buffer.concat(packed));
	t.true((await builtFor([`nano=${classed}`])).has("nano"));
	await refused("E_USAGE", /of class nano/, `agx=${classed}`);
});

test("the options and an example are in the help", async (t) => {
	const { out } = await cli(["rollout", "start", "--help"]);
	t.regex(out, /--require-engines/);
	t.regex(out, /keys\/fleet\.key --require-engines/);
});
