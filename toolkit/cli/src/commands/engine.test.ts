import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FolderStore, newKey, writeBundle, writeKeys } from "@wattvox/bundle";
import { sampleEngine, temporaryDir } from "@wattvox/bundle/testing";
import { EngineCache } from "@wattvox/device-agent/engine";
import { engineKey } from "@wattvox/runtime/tensorrt";
import { lie, ORIN, standIn } from "@wattvox/runtime/testing";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import { cli } from "../testing.ts";

test("engine shim without TensorRT's headers says so and leaves nothing", async (t) => {
	const dir = await temporaryDir(t);
	const out = join(dir, "shim.so");
	const { code, err } = await cli(["engine", "shim", "--out", out]);
	t.is(code, 6, err);
	t.regex(err, /E_TENSORRT/);
	t.deepEqual(await readdir(dir), []);
});

test("engine list names engines with what they depend on, and what failed", async (t) => {
	const dir = await temporaryDir(t);
	t.regex((await cli(["engine", "list", "--data", dir])).out, /no engines/);
	const cache = new EngineCache(join(dir, "engines"));
	const key = engineKey(ORIN, "a".repeat(64), { precision: "fp16" });
	const { id } = await cache.put(key, new Uint8Array(2_500_000), {
		kind: "built",
		seconds: 71,
	});
	await cache.failures.add({
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

test("engine list --store names what build stations brought", async (t) => {
	const store = await temporaryDir(t);
	t.regex((await cli(["engine", "list", "--store", store])).out, /no engines/);
	t.is((await cli(["engine", "list"])).code, 2);
	const by = newKey();
	const { engines: shelf } = new FolderStore(store);
	const { plan, file, head, name } = sampleEngine(by, { deviceClass: "nano" });
	await mkdir(join(shelf.dir, "plans"), { recursive: true });
	await writeFile(shelf.planPath(file.sha256), plan);
	await shelf.put(head);
	const { out } = await cli(["engine", "list", "--store", store]);
	t.regex(
		out,
		new RegExp(`${name.slice(0, 12)}.*0\\.2 MB.*nano.*${by.id.slice(0, 12)}`),
	);
	const { json } = await cli(["engine", "list", "--store", store, "--json"]);
	t.like(json, { engines: [{ name, deviceClass: "nano", signer: by.id }] });
});

test.serial(
	"engine build: built, held to ONNX Runtime, found again; a lie leaves nothing to speak by",
	async (t) => {
		t.timeout(600_000);
		const dir = await temporaryDir(t);
		const { key, publicPath } = await writeKeys(dir, "release");
		const files = tinyVoice({ name: "ada", adapterSeed: 3 });
		const voice = await Voice.load(files);
		const golden = await makeGolden(voice, ["Hello."], BASE_MEL);
		await voice.dispose();
		const bundle = join(dir, "voice");
		await writeBundle(
			bundle,
			tinyBundle.sources(files, golden),
			tinyBundle.meta("ada"),
			key,
		);
		const shim = await standIn();
		const build = (...more: string[]) =>
			cli([
				...["engine", "build", bundle, "--data", dir, "--shim", shim],
				...["--trust", publicPath, ...more],
			]);
		const people = await build();
		t.is(people.code, 0, people.err);
		t.regex(people.out, /built now/);
		t.regex(
			people.out,
			/off ONNX Runtime +-\S+ dB over \d+ runs \(limit -40 dB\)/,
		);
		const again = await build("--json");
		t.like(again.json, { fresh: false, limitDb: -40 });

		await lie(shim, "nan");
		const wrong = await build();
		t.is(wrong.code, 3);
		t.regex(wrong.err, /E_ENGINE_DIFFERS.*the voice speaks on ONNX Runtime/);
		await lie(shim);
		t.regex((await build()).err, /as before/);
		t.is((await build("--again")).code, 0);
		for (const bad of [
			["--level", "9"],
			["--memory-mb", "0"],
		])
			t.is((await build(...bad)).code, 2);

		// The engine goes to another device of the class, and nowhere else.
		const mine = await new EngineCache(join(dir, "engines")).list();
		const base = mine.find((e) => e.key.refit);
		const name = base?.id.slice(0, 12) ?? "";
		const builder = await writeKeys(dir, "builder");
		const out = join(dir, "ada.engine");
		const sign = (engine: string) =>
			cli([
				...["engine", "sign", engine, "--data", dir, "--out", out],
				...["--key", builder.privatePath],
			]);
		t.is((await sign("not-there")).code, 2);
		t.is((await sign(name)).code, 0);
		const other = join(dir, "other");
		const take = (file = out, trust = builder.publicPath) =>
			cli([
				...["engine", "import", file, "--data", other, "--shim", shim],
				...["--trust", trust],
			]);
		const stranger = await take(out, publicPath);
		t.is(stranger.code, 4);
		t.regex(stranger.err, /E_SIGNATURE/);
		const unsigned = await take(base?.path);
		t.is(unsigned.code, 3);
		const bytes = await readFile(out);
		bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
		const changed = join(dir, "changed.engine");
		await writeFile(changed, bytes);
		t.regex((await take(changed)).err, /E_TAMPERED/);
		await lie(shim, "other-version");
		t.regex((await take()).err, /E_ENGINE_LOAD.*another class.*tensorrt/);
		await lie(shim);
		const theirs = new EngineCache(join(other, "engines"));
		t.deepEqual(await theirs.list(), [], "none of these came in");
		const taken = await take();
		t.is(taken.code, 0, taken.err);
		t.like((await theirs.list())[0], {
			id: base?.id,
			origin: { kind: "signed", key: builder.key.id },
		});
		t.regex(
			(await cli(["engine", "list", "--data", other])).out,
			new RegExp(`signed by ${builder.key.id.slice(0, 12)}`),
		);
	},
);
