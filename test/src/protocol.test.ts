import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
	loadPrivateKey,
	parseManifest,
	parseSignature,
	RootTrust,
	readEngineHead,
	rotateRoot,
	verifyBytes,
} from "@wattvox/bundle";
import type { PowerTable } from "@wattvox/fleet";
import {
	decode,
	decodeBlock,
	readDesired,
	zOffer,
	zPowerMessage,
	zPresence,
	zPull,
	zReported,
	zUtterancesMessage,
	zVerdict,
} from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { readVectors, vectors, writeVectors } from "./protocol-vectors.ts";
import { RolloutFleet } from "./rollout-fleet.ts";

const PROTOCOL = fileURLToPath(
	new URL("../../docs/protocol/", import.meta.url),
);
const page = () => readFile(join(PROTOCOL, "VECTORS.md"), "utf8");

test("the page's vectors are what the code makes", async (t) => {
	const text = await page();
	t.deepEqual(readVectors(text), vectors());
	t.is(writeVectors(text, vectors()), text);
});

test("each vector is taken by the code that reads such a thing", async (t) => {
	const v = readVectors(await page());
	const bytes = (name: string) =>
		Buffer.from(v.get(name) ?? "", name.endsWith(".hex") ? "hex" : "utf8");
	const trust = RootTrust.open(bytes("root.1"));
	const manifest = bytes("manifest.json");
	const signature = parseSignature(bytes("manifest.sig"));
	verifyBytes("manifest", manifest, signature, trust);
	t.is(parseManifest(manifest).files.length, 3);
	const to = { fleet: "home", device: "kitchen" };
	const { desired } = readDesired(bytes("desired"), to, trust);
	t.is(desired.bundle, String(v.get("manifest.digest")));
	const head = readEngineHead(bytes("engine.head"), trust);
	t.is(head.name, String(v.get("engine.name")));
	const messages = {
		presence: zPresence,
		"pull.manifest": zPull,
		"pull.blob": zPull,
		"pull.engine": zPull,
		reported: zReported,
		power: zPowerMessage,
		utterances: zUtterancesMessage,
		offer: zOffer,
		verdict: zVerdict,
	};
	for (const [name, schema] of Object.entries(messages))
		t.deepEqual(
			decode<unknown>(schema, bytes(name)),
			JSON.parse(v.get(name) ?? ""),
			name,
		);
	for (const name of ["manifest", "blob", "unknown"])
		t.is(decodeBlock(bytes(`block.${name}.hex`))?.header.id, "ask-1", name);
	t.true(trust.update(bytes("root.2")));
	t.throws(() => verifyBytes("manifest", manifest, signature, trust), {
		message: /not trusted here/,
	});
});

/** A Python that has what the examples beside the page need. */
const python = ["/usr/bin/python3", "python3"].find((path) => {
	const ran = spawnSync(path, ["-c", "import paho.mqtt.client, cryptography"]);
	return ran.status === 0;
});
const onPython = python === undefined ? test.skip : test;

/** Runs one of the examples; its process ends with the test. */
function example(t: ExecutionContext, argv: readonly string[]) {
	const child = spawn(python ?? "", [...argv], {
		cwd: PROTOCOL,
		stdio: ["ignore", "pipe", "pipe"],
		env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
	});
	const ran = { out: "", code: once(child, "close").then(([code]) => code) };
	for (const stream of [child.stdout, child.stderr])
		stream.on("data", (data) => {
			ran.out += data;
		});
	t.teardown(async () => {
		child.kill("SIGKILL");
		await ran.code;
	});
	return ran;
}

/** A fleet with a voice to publish; it ends with the test. */
async function furnished(t: ExecutionContext) {
	t.timeout(600_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-page-"));
	const fleet = new RolloutFleet(dir);
	t.teardown(() => fleet.stop());
	await fleet.start();
	const { host } = new URL(fleet.url);
	return { dir, fleet, host, voice: await fleet.voice("ada", 0) };
}

onPython(
	"what was written from the page alone finds its vectors right",
	async (t) => {
		const ran = example(t, ["wire.py", "VECTORS.md"]);
		t.is(await ran.code, 0, ran.out);
		t.is(ran.out, `${vectors().size} vectors hold\n`);
	},
);

onPython(
	"a device written from the page alone pulls, is killed, goes on, and its power is counted",
	async (t) => {
		const { dir, fleet, host, voice } = await furnished(t);
		const key = await loadPrivateKey(join(dir, "keys", "fleet.key"));
		const roles = ["root", "release", "fleet"] as const;
		const { bytes } = rotateRoot(
			undefined,
			{
				add: roles.map((role) => ({ role, key: key.publicKey })),
				remove: [],
				created: new Date(),
				expires: new Date(Date.now() + 86_400_000),
			},
			[key],
		);
		const root = join(dir, "root.json");
		await writeFile(root, bytes);
		const published = fleet.command([
			...[
				"publish",
				voice.path,
				...fleet.publishing,
				...fleet.driving.slice(2),
			],
			...["--root", root, "--device", "py"],
		]);
		t.is(await published.code, 0, published.err);

		const argv = [
			...["device.py", "--broker", host, "--device", "py"],
			...["--data", join(dir, "py"), "--root", root, "--once"],
		];
		const killed = example(t, [...argv, "--crash-after", "9"]);
		t.is(await killed.code, 137, killed.out);
		const whole = example(t, argv);
		t.is(await whole.code, 0, whole.out);
		// each flush before the crash brought a block at least
		const { files } = parseManifest(
			await readFile(join(voice.path, "manifest.json")),
		);
		const blocks = files.reduce((sum, file) => sum + file.blocks.length, 0);
		const came = [...whole.out.matchAll(/ blocks here, (\d+) to come$/gm)];
		const again = came.reduce((sum, [, count]) => sum + Number(count), 0);
		t.true(again <= blocks - 9, `${again} of ${blocks}`);
		await fleet.speaks("py", voice.digest);

		const inspected = fleet.command([
			...["inspect", join(dir, "py", "bundles", voice.digest)],
			...["--trust", root, "--json"],
		]);
		t.is(await inspected.code, 0, inspected.err);
		const power = fleet.command(fleet.power);
		t.is(await power.code, 0, power.err);
		const [row] = (JSON.parse(power.out) as PowerTable).rows;
		t.like(row, { device: "py", utterances: 1, audioSeconds: 2 });
		const [, ...more] = fleet.power;
		const told = fleet.command(["fleet", "utterances", ...more.slice(1)]);
		t.is(await told.code, 0, told.err);
		t.regex(told.out, new RegExp(`"voice": *"${voice.digest}"`));
	},
);

onPython(
	"a store written from the page alone serves an agent, which speaks",
	async (t) => {
		const { dir, fleet, host, voice } = await furnished(t);
		example(t, [
			...["store.py", voice.path, "--broker", host],
			...["--store", "other", "--key", join(dir, "keys", "fleet.key")],
			...["--device", "kitchen"],
		]);
		await fleet.device("kitchen").start(false);
		await fleet.speaks("kitchen", voice.digest);
		t.pass();
	},
);
