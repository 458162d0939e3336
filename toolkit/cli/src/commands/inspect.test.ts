import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { newKey, seal, writeBundle, writeKeys } from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import test, { type ExecutionContext } from "ava";
import { cli } from "../testing.ts";

async function sample(t: ExecutionContext) {
	const dir = await temporaryDir(t);
	const { key, publicPath } = await writeKeys(dir, "builder");
	const bundle = join(dir, "voice");
	const { digest } = await writeBundle(
		bundle,
		sampleFiles(),
		sampleMeta("ada"),
		key,
	);
	return { dir, bundle, digest, publicPath };
}

test("inspect says what a bundle is and who signed it", async (t) => {
	const { bundle, digest, publicPath } = await sample(t);
	const people = await cli(["inspect", bundle, "--trust", publicPath]);
	t.is(people.code, 0);
	t.regex(people.out, /voice +ada \(en, 16000 Hz\)/);
	t.regex(people.out, /signed +by a key that you trust/);
	// nobody measured it: unknown, not 0
	t.regex(people.out, /training energy +unknown/);
	t.regex(people.out, /decoder\.onnx +decoder +300000/);
	const program = await cli(["inspect", bundle, "--json"]);
	t.is(program.code, 0);
	t.like(program.json, { digest, signature: "unknown", problems: [] });
});

test("a changed file exits 4, names the file, and still shows the rest", async (t) => {
	const { bundle, publicPath } = await sample(t);
	await writeFile(join(bundle, "voice.json"), "{}");
	const { code, out, err } = await cli(["inspect", bundle]);
	t.is(code, 4);
	t.regex(err, /^error E_TAMPERED: .*voice\.json/);
	t.regex(out, /voice +ada/);
	const program = await cli([
		...["inspect", bundle, "--json", "--trust", publicPath],
	]);
	t.is(program.code, 4);
	t.like(program.json, { signature: "trusted" });
	t.like(JSON.parse(program.err), { error: { code: "E_TAMPERED" } });
});

test("a changed manifest exits 4 when its key is known", async (t) => {
	const { bundle, publicPath } = await sample(t);
	const path = join(bundle, "manifest.json");
	const text = await readFile(path, "utf8");
	await writeFile(path, text.replace('"ada"', '"eve"'));
	const { code, err } = await cli(["inspect", bundle, "--trust", publicPath]);
	t.is(code, 4);
	t.regex(err, /E_SIGNATURE/);
});

test("what is no bundle, and a private key as trust, end with their own errors", async (t) => {
	const { dir, bundle } = await sample(t);
	t.is((await cli(["inspect", dir])).code, 3);
	const { code, err } = await cli([
		...["inspect", bundle, "--trust", join(dir, "builder.key")],
	]);
	t.is(code, 4);
	t.regex(err, /E_KEY: .*private key/);
	t.truthy(newKey().id);
});

const ATTESTATION = {
	format: "wattvox-attestation/1",
	deviceClass: "orin-nano",
	device: null,
	made: "2026-03-04T10:00:00.000Z",
	workload: "ieee-1969-list-1",
	runtime: "onnxruntime cpu, 1 thread",
	joulesPerAudioSecond: {
		gross: { value: 2.04, plusMinus: 0.06 },
		marginal: { value: 0.8, plusMinus: 0.07 },
	},
	realTimeFactor: { value: 0.26, plusMinus: 0.01 },
	idleWatts: { value: 4.8, plusMinus: 0.1 },
	busyWatts: { value: 7.9, plusMinus: 0.2 },
	utterances: 40,
	audioSeconds: 120,
	seconds: 31,
	method: "Measured.",
	source: {
		sensor: "ina3221",
		rails: ["VDD_IN"],
		scope: "the module",
		measured: true,
	},
	measured: true,
	powerMode: "15W",
	temperatureC: { before: 48.5, after: 53 },
};

test("what devices measured of a bundle stands beside what it cost, with who signed it", async (t) => {
	const { dir, bundle, digest, publicPath } = await sample(t);
	const { key } = await writeKeys(dir, "fleet");
	const shelf = join(dir, "attestations");
	await mkdir(join(shelf, digest), { recursive: true });
	const put = (name: string, bytes: Uint8Array | string) =>
		writeFile(join(shelf, digest, name), bytes);
	const good = seal("attestation", { ...ATTESTATION, bundle: digest }, key);
	await put("a.json", good);
	const other = seal(
		"attestation",
		{ ...ATTESTATION, bundle: "ab".repeat(32) },
		key,
	);
	await put("other.json", other);
	await put("broken.json", "{}");
	const trust = ["--trust", publicPath, "--trust", join(dir, "fleet.pub")];
	const args = ["inspect", bundle, "--attestations", shelf];
	const found = await cli([...args, ...trust]);
	t.is(found.code, 0, found.err);
	t.regex(
		found.out,
		/orin-nano +2\.04 ± 0\.06 J +0\.8 ± 0\.07 J +15W +49 to 53 °C +ina3221 +trusted key/,
	);
	t.regex(found.err, /other\.json is no attestation of this bundle/);
	t.regex(found.err, /broken\.json is no attestation/);
	t.regex((await cli(args)).out, /unknown key/);
	// A figure that was changed after it was signed is not shown.
	await put("a.json", good.toString().replace("2.04", "1.04"));
	const changed = await cli([...args, ...trust]);
	t.regex(changed.out, /orin-nano .*BAD SIGNATURE/);
	t.notRegex(changed.out, /1\.04/);
	const program = await cli([...args, ...trust, "--json"]);
	t.like(program.json, {
		attestations: [{ signature: "bad" }],
		passport: null,
	});
});

test("energy attest: too short, no bundle, no sensor", async (t) => {
	const { dir, bundle } = await sample(t);
	const { privatePath } = await writeKeys(dir, "fleet");
	const attest = (...more: string[]) =>
		cli(["energy", "attest", bundle, "--key", privatePath, ...more]);
	t.is((await attest("--seconds", "5")).code, 2);
	t.is((await attest("--class", "a/b")).code, 2);
	const none = await cli(["energy", "attest", dir, "--key", privatePath]);
	t.is(none.code, 3);
	const { openPowerSource } = await import("@wattvox/energy");
	const { source } = await openPowerSource();
	const { measured } = source.describe();
	await source.close();
	if (measured) return t.log("this machine has a sensor: it would measure");
	const { code, err } = await attest();
	t.is(code, 6);
	t.regex(
		err,
		/E_SENSOR: no power sensor works here .*--estimate signs an estimate/,
	);
});
