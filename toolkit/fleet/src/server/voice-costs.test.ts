import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
	FolderStore,
	newKey,
	seal,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import { type Attestation, makeAttestation } from "@wattvox/energy";
import test from "ava";
import { VoiceBook } from "./voice-costs.ts";

function attestation(
	bundle: string,
	deviceClass: string,
	measured = true,
): Attestation {
	const figure = (value: number) => ({ value, plusMinus: 0.1 });
	return makeAttestation(
		{
			joulesPerAudioSecond: { gross: figure(2), marginal: figure(1) },
			...{ realTimeFactor: figure(0.2), idleWatts: null, busyWatts: null },
			...{ utterances: 100, audioSeconds: 200, seconds: 40, method: "Spoken." },
			source: measured
				? {
						...{ sensor: "ina3221", measured, rails: ["VDD_IN"] },
						...{ scope: "the module", domain: "cpu" },
					}
				: {
						...{ sensor: "estimate", measured, rails: ["processor"] },
						...{ scope: "the process", domain: "cpu", assumption: "85 W" },
					},
			measured,
		} as Parameters<typeof makeAttestation>[0],
		{
			...{ bundle, deviceClass, device: null, runtime: "onnxruntime" },
			...{ powerMode: "15W", temperatureC: { before: 40, after: 50 } },
		},
	);
}

test("passport and attestations side by side, as far as they can be believed", async (t) => {
	const dir = await temporaryDir(t);
	const [key, other] = [newKey(), newKey()];
	const meta = {
		...sampleMeta("ada"),
		energy: { trainWh: 1, gCO2e: 0.4, measured: true },
	};
	const { digest } = await writeBundle(
		join(dir, "voice"),
		sampleFiles({ decoderBytes: 70_000 }),
		meta,
		key,
	);
	const store = new FolderStore(join(dir, "store"));
	await store.put(join(dir, "voice"), trustKeys([key.publicKey]));
	const attestations = join(dir, "attestations");
	await mkdir(join(attestations, digest), { recursive: true });
	const put = (name: string, bytes: string | Buffer) =>
		writeFile(join(attestations, digest, `${name}.json`), bytes);
	await put("a", seal("attestation", attestation(digest, "pi", false), key));
	await put("b", seal("attestation", attestation(digest, "orin"), key));
	await put("c", seal("attestation", attestation(digest, "nx"), other));
	const forged = String(
		seal("attestation", attestation(digest, "agx"), key),
	).replace('\\"value\\":2', '\\"value\\":1');
	await put("d", forged);
	await put(
		"e",
		seal("attestation", attestation("0".repeat(64), "moved"), key),
	);
	await put("f", "no json");
	const book = new VoiceBook({
		attestations,
		manifest: (asked) => store.readManifest(asked),
		trust: async () => trustKeys([key.publicKey]),
	});
	const unknown = "f".repeat(64);
	const [ada, nobody] = await book.list([digest, unknown]);
	t.like(ada, {
		voice: "ada",
		training: { wattHours: 1, gramsCO2e: 0.4, measured: true },
	});
	t.deepEqual(
		ada?.attestations.map((a) => [
			...[a.deviceClass, a.measured, a.signature],
			...[a.gross?.value, a.trainingInSpeechSeconds],
		]),
		[
			["agx", true, "bad", undefined, null],
			["nx", true, "unknown", 2, 1800],
			["orin", true, "trusted", 2, 1800],
			["pi", false, "trusted", 2, 1800],
		],
	);
	t.deepEqual(nobody, {
		...{ bundle: unknown, voice: null, training: null, attestations: [] },
	});
});

test("a folder that is not there, and a store that is away, give what is left", async (t) => {
	const book = new VoiceBook({
		attestations: join(await temporaryDir(t), "none"),
		manifest: () => Promise.reject(new Error("away")),
	});
	t.deepEqual(await book.list([]), []);
	t.is((await book.list(["a".repeat(64)]))[0]?.training, null);
});
