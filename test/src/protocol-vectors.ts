import { createPrivateKey, createPublicKey } from "node:crypto";
import {
	canonicalBytes,
	engineName,
	hashBytes,
	type Manifest,
	manifestBytes,
	type PrivateKey,
	rootKeyEntry,
	rotateRoot,
	sha256,
	signatureBytes,
	signBytes,
	signEngine,
} from "@wattvox/bundle";
import {
	type BlockHeader,
	encode,
	encodeBlock,
	encodeDesired,
	type Offer,
	type PowerMessage,
	type Presence,
	type Pull,
	type Reported,
	type UtterancesMessage,
	type Verdict,
} from "@wattvox/link";

/**
 * The examples of docs/protocol/VECTORS.md, made by the code that runs: name -> text of one line. What is
 * binary is in hex, and its name ends in ".hex".
 */
export function vectors(): Map<string, string> {
	const found = new Map<string, string>();
	const put = (name: string, bytes: Uint8Array) => {
		const { buffer, byteOffset, byteLength } = bytes;
		const as = name.endsWith(".hex") ? "hex" : "utf8";
		const text = Buffer.from(buffer, byteOffset, byteLength).toString(as);
		found.set(name, text.trimEnd());
		return bytes;
	};
	const json = (name: string, value: object) => put(name, encode(value));

	const keys = Object.fromEntries(
		ROLES.map((role, i) => [role, seeded(i + 1)]),
	) as Record<(typeof ROLES)[number], PrivateKey>;
	for (const [i, role] of ROLES.entries())
		json(`key.${role}`, {
			seed: Buffer.alloc(32, i + 1).toString("hex"),
			public: rootKeyEntry(keys[role].publicKey)[1],
			id: keys[role].id,
		});

	found.set("canonical.in", ODD);
	put("canonical.out", canonicalBytes(JSON.parse(ODD)));

	const { release, release2, root, fleet, builder } = keys;
	const span = { created: new Date(AT), expires: new Date(LATER) };
	const first = rotateRoot(
		undefined,
		{
			add: [
				{ role: "root", key: root.publicKey },
				{ role: "release", key: release.publicKey },
				{ role: "fleet", key: fleet.publicKey },
				{ role: "builder", key: builder.publicKey },
			],
			remove: [],
			...span,
		},
		[root],
	);
	put("root.1", first.bytes);
	const second = rotateRoot(
		first.bytes,
		{
			add: [{ role: "release", key: release2.publicKey }],
			remove: [{ role: "release", id: release.id }],
			...span,
		},
		[root],
	);
	put("root.2", second.bytes);

	const manifest = manifestBytes(MANIFEST);
	put("manifest.json", manifest);
	const signature = signBytes("manifest", manifest, release);
	put("manifest.sig", signatureBytes(signature));
	const digest = sha256(manifest);
	found.set("manifest.digest", digest);

	const to = { fleet: "home", device: "kitchen" };
	const desired = encodeDesired(
		{
			v: 1,
			...to,
			bundle: digest,
			store: "store",
			revision: 7,
			at: AT,
			expires: LATER,
		},
		fleet,
	);
	put("desired", desired);
	const { signed } = JSON.parse(desired.toString("utf8")) as { signed: string };
	const type = "application/vnd.wattvox.desired+json";
	found.set(
		"desired.signed",
		`DSSEv1 ${type.length} ${type} ${signed.length} ${signed}`,
	);

	const name = engineName(ENGINE_KEY);
	found.set("engine.name", name);
	const head = signEngine(ENGINE_KEY, hashBytes(SMALL), builder, {
		created: new Date(AT),
		deviceClass: "orin-nano",
	});
	put("engine.head", head);

	json("presence", PRESENCE);
	const pull = (kind: Pull["kind"], what: string, blocks: number[]): Pull => ({
		...{ v: 1, store: "store", id: "ask-1", kind, digest: what, blocks },
	});
	json("pull.manifest", pull("manifest", digest, [0]));
	json("pull.blob", pull("blob", sha256(LARGE), [0, 1]));
	json("pull.engine", pull("engine", name, [0]));
	const header = (kind: Pull["kind"], what: string, index: number) =>
		({ v: 1, id: "ask-1", kind, digest: what, index }) satisfies BlockHeader;
	put(
		"block.manifest.hex",
		encodeBlock(
			{
				...header("manifest", digest, 0),
				size: manifest.byteLength,
				signature: signatureBytes(signature).toString("utf8"),
			},
			manifest,
		),
	);
	put(
		"block.blob.hex",
		encodeBlock(header("blob", sha256(LARGE), 1), LARGE.subarray(65_536)),
	);
	put(
		"block.unknown.hex",
		encodeBlock({ ...header("blob", sha256(LARGE), 2), error: "unknown" }),
	);
	json("reported", { ...REPORTED, bundle: digest });
	json("power", { ...POWER, voice: digest });
	json("utterances", {
		...UTTERANCES,
		records: [{ ...UTTERANCES.records[0], voice: digest }],
	});
	json("offer", OFFER(name));
	json("verdict", VERDICT(name));
	return found;
}

/** The vectors that a page holds: what stands in fences of `vector NAME`. */
export function readVectors(page: string): Map<string, string> {
	const fences = page.matchAll(/^```vector (\S+)\n(.*)\n```$/gm);
	return new Map(
		Array.from(fences, ([, name = "", text = ""]) => [name, text]),
	);
}

/** The page with these vectors in its fences; what it says between them stays. */
export function writeVectors(
	page: string,
	found: ReadonlyMap<string, string>,
): string {
	return page.replace(
		/^```vector (\S+)\n(?:.*\n)?```$/gm,
		(fence, name: string) => {
			const text = found.get(name);
			return text === undefined
				? fence
				: `\`\`\`vector ${name}\n${text}\n\`\`\``;
		},
	);
}

const ROLES = ["root", "release", "fleet", "builder", "release2"] as const;
const AT = "2026-01-31T12:00:00.000Z";
const LATER = "2027-01-31T12:00:00.000Z";

/** A file of one byte more than a block, and one of five. */
const LARGE = Buffer.concat([Buffer.alloc(65_536, "a"), Buffer.from("b")]);
const SMALL = Buffer.from("hello");

/** Names out of order, numbers and characters in forms that are not the canonical ones. */
const ODD = String.raw`{"z": 1.0, "\u20ac": "\u00e9\u000f\n\/", "b": [1E21, 123456789012345680000, 1e-7, 0.000001, -0, 4.50], "\ud83d\ude00": true, "\ufb33": null, "a": {"B": 1, "A": 333333333.33333329}}`;

const MANIFEST: Manifest = {
	format: "wattvox-bundle/1",
	voice: "ada",
	language: "en",
	sampleRate: 16_000,
	base: { name: "en", digest: null },
	energy: { trainWh: 0.0694, gCO2e: null, measured: false },
	consent: { statement: "Ada agreed." },
	created: AT,
	expires: LATER,
	files: [
		{ name: "decoder.onnx", role: "decoder", ...hashBytes(LARGE) },
		{ name: "voice.json", role: "voice", ...hashBytes(SMALL) },
		{ name: "lexicon.txt", role: "lexicon", ...hashBytes(Buffer.alloc(0)) },
	],
};

const ENGINE_KEY = {
	recipe: 1,
	onnx: sha256(LARGE),
	tensorrt: "10.3.0.30",
	cuda: "12.6",
	cudaDriver: "12.6",
	computeCapability: "8.7",
	device: "Orin",
	multiprocessors: 8,
	l4t: "36.4.0",
	module: null,
	precision: "fp16",
	refit: true,
	workspaceBytes: 536_870_912,
	level: null,
	profiles: [{ mel: { min: [1, 80], opt: [1, 80], max: [1, 80] } }],
};

const PRESENCE: Presence = { v: 1, online: true, session: 1_769_860_800_000 };

const REPORTED: Omit<Reported, "bundle"> = {
	v: 1,
	revision: 7,
	state: "active",
	deviceClass: "orin-nano",
	measured: true,
	board: {
		model: "NVIDIA Jetson Orin Nano Developer Kit",
		l4t: "36.4.0",
		tensorrt: "10.3.0",
		powerMode: "15W",
		temperatures: { "cpu-thermal": 48.5 },
		gpuLoad: null,
		at: AT,
	},
	runtime: { name: "onnxruntime" },
	joules: {
		verdict: "passed",
		why: "0.98 of the last good voice's",
		figure: {
			gross: { value: 0.52, plusMinus: 0.01 },
			marginal: { value: 0.31, plusMinus: 0.02 },
			pace: { value: 0.05, plusMinus: null },
			sensor: "ina3221",
			runtime: "onnxruntime",
			powerMode: "15W",
			temperature: null,
			at: AT,
		},
	},
	at: AT,
};

const POWER: Omit<PowerMessage, "voice"> = {
	v: 1,
	device: "kitchen",
	boot: "boot-1",
	sequence: 0,
	millijoules: 1500,
	speechMillijoules: 1000,
	measured: true,
	sensor: "ina3221",
	utterances: 1,
	audioSeconds: 2.5,
	computeSeconds: 0.125,
	deviceClass: "orin-nano",
	at: AT,
};

const UTTERANCES = {
	v: 1,
	device: "kitchen",
	deviceClass: "orin-nano",
	log: "log-1",
	lost: { utterances: 0, readings: 0, boots: 0, damaged: 0 },
	records: [
		{
			boot: "boot-1",
			n: 0,
			at: AT,
			voice: null,
			whole: true,
			audioSeconds: 2.5,
			computeSeconds: 0.125,
			firstSoundMs: 40,
			millijoules: 1000,
			measured: true,
			sensor: "ina3221",
		},
	],
} satisfies UtterancesMessage;

const OFFER = (engine: string): Offer => ({ v: 1, store: "store", engine });
const VERDICT = (engine: string): Verdict => ({
	...{ v: 1, store: "store", engine, held: false },
	reason: { code: "E_SIGNATURE", message: "not signed by a builder" },
});

/** The key whose RFC 8032 secret is 32 bytes of `byte`. */
function seeded(byte: number): PrivateKey {
	const der = "302e020100300506032b657004220420"; // PKCS#8 up to the secret, RFC 8410
	const key = createPrivateKey({
		key: Buffer.concat([Buffer.from(der, "hex"), Buffer.alloc(32, byte)]),
		format: "der",
		type: "pkcs8",
	});
	const half = createPublicKey(key);
	const id = sha256(
		Buffer.from(String(half.export({ format: "jwk" }).x), "base64url"),
	);
	return { id, key, publicKey: { id, key: half } };
}
