import { cp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { newKey, trustKeys, writeBundle } from "@wattvox/bundle";
import { readBoard } from "@wattvox/energy";
import { Broker, publish, StoreServer } from "@wattvox/fleet";
import type { PowerMessage } from "@wattvox/link";
import { readWav } from "@wattvox/speech";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import { fleet, goldenOf, listen, reported, say } from "./_agent-fleet.test.ts";
import { fakePlayer } from "./speaker/_fake-player.test.ts";

// Real processes and a real broker; they would only slow each other down side by side.
const it = test.serial;
it("a published bundle is pulled, proves itself, speaks, and its power is reported", async (t) => {
	const f = await fleet(t);
	const { power, states, until } = await listen(f.url, f.ends);
	const agent = await f.agent();
	t.is((await say(agent)).status, 503);
	t.is(agent.status().reported.state, "idle");
	const { path, digest } = await f.bundle("anna", { adapterSeed: 3 });
	await f.publish(path);
	await agent.speaksWith(digest);
	const { status, bundle, bytes } = await say(agent, "Hello. You there.");
	t.is(status, 200);
	t.is(bundle, digest);
	const wav = readWav(bytes);
	t.true(wav.samples.length > 8000);

	await until(() => power.some((p) => p.utterances === 1));
	const last = power.at(-1) as PowerMessage;
	t.is(last.device, "d1");
	t.is(last.voice, digest);
	t.true(Math.abs(last.audioSeconds - wav.samples.length / 16000) < 0.01);
	t.true(last.computeSeconds > 0);
	t.true(last.millijoules === null || last.millijoules > 0);
	t.regex(last.deviceClass ?? "", /^[a-z0-9-]+$/);
	// before it there was no voice: that is a boot of its own
	t.is(new Set(power.map((p) => p.boot)).size, 2);
	t.is(new Set(power.map((p) => `${p.boot} ${p.voice}`)).size, 2);
	for (const boot of new Set(power.map((p) => p.boot))) {
		const told = power.filter((p) => p.boot === boot).map((p) => p.sequence);
		t.is(told.length, new Set(told).size);
	}
	await until(() => states.at(-1)?.state === "active");
	t.is(states.at(-1)?.bundle, digest);
	t.is(states.at(-1)?.deviceClass, last.deviceClass);
	t.true(states.some((s) => s.state === "pulling"));
	t.true(states.some((s) => s.state === "checking"));
	const { trial } = agent.status();
	t.true(trial?.passed);
	t.true((trial?.melDistance ?? 9) < 0.05);
});

it("the board's facts are reported, and again when one of them changes", async (t) => {
	const f = await fleet(t);
	const hostRoot = join(f.dir, "board");
	const fixture = new URL(
		"../../toolkit/energy/fixtures/orin-nano/",
		import.meta.url,
	);
	await cp(fixture, hostRoot, { recursive: true });
	const { states, until } = await listen(f.url, f.ends);
	const agent = await f.agent({ hostRoot, powerEveryMs: 50 });
	t.is(agent.status().reported.board?.l4t, "36.4.3");
	await until(() => states.at(-1)?.board !== undefined);
	const { at: _, ...board } = states.at(-1)?.board ?? { at: "" };
	t.deepEqual(board, readBoard(fileURLToPath(fixture)) as typeof board);
	const status = join(hostRoot, "var/lib/nvpmodel/status");
	await writeFile(status, "pmode:0000\n");
	await until(() => states.at(-1)?.board?.powerMode === "15W");
	t.is(agent.status().reported.board?.powerMode, "15W");
});

it("after a restart it speaks and plays at once, with no broker", async (t) => {
	const f = await fleet(t);
	const { program, dir } = await fakePlayer(t, 'echo "$@" > args; cat > sound');
	const first = await f.agent();
	const { path, digest } = await f.bundle("anna");
	await f.publish(path);
	await first.speaksWith(digest);
	await first.stop();
	await first.stop();
	const again = await f.agent({
		broker: { url: "mqtt://127.0.0.1:9", connectTimeoutMs: 200 },
		playback: { player: program, audioDevice: "kitchen" },
	});
	await again.speaksWith(digest);
	t.is((await say(again)).bundle, digest);
	const played = await fetch(`${again.url}/v1/audio/play`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: "Good morning." }),
	});
	const { seconds, player } = (await played.json()) as Record<string, unknown>;
	t.is(player, "ALSA");
	const sound = await readFile(join(dir, "sound"));
	t.is(sound.length, Math.round(Number(seconds) * 16_000) * 2);
	t.regex(
		await readFile(join(dir, "args"), "utf8"),
		/-f S16_LE -c 1 -r 16000 --device=kitchen -$/m,
	);
	t.false(again.status().connected);
	await t.throwsAsync(f.agent(), { code: "E_BUSY" });
	await t.throwsAsync(f.agent({ playback: { player: "/bin/sh" } }), {
		code: "E_USAGE",
	});
});

it("a voice that does not sound as it should leaves the old one speaking, and says why", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const good = await f.bundle("good", { seed: 1 });
	await f.publish(good.path);
	await agent.speaksWith(good.digest);

	const other = await goldenOf(tinyVoice({ seed: 1 }));
	const bad = await f.bundle("bad", { seed: 2 }, other);
	await f.publish(bad.path);
	await t.throwsAsync(agent.speaksWith(bad.digest), { code: "E_GOLDEN" });
	const told = await reported(agent, (r) => r.reason?.code === "E_GOLDEN");
	t.is(told.bundle, good.digest);
	t.is(told.state, "failed");
	t.regex(told.reason?.message ?? "", /sounds different/);
	t.is((await say(agent)).bundle, good.digest);

	const mute = await f.bundle("mute", { seed: 3 }, null);
	await f.publish(mute.path);
	await t.throwsAsync(agent.speaksWith(mute.digest), {
		code: "E_FILE_FORMAT",
		message: /no golden sentences/,
	});
	t.is((await say(agent)).bundle, good.digest);

	// Asked for again, it is tried again.
	const next = await f.bundle("next", { seed: 4 });
	await f.publish(next.path);
	await agent.speaksWith(next.digest);
	await f.publish(good.path);
	await agent.speaksWith(good.digest);
	t.deepEqual(
		(await readdir(join(f.dir, "d1", "voices"))).sort(),
		[good.digest, next.digest].sort(),
	);
});

it("what is not signed by a trusted key is refused", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const good = await f.bundle("good");
	await f.publish(good.path);
	await agent.speaksWith(good.digest);
	const stranger = newKey();

	// A desired state by a stranger.
	const other = await f.bundle("other", { seed: 2 });
	await f.publish(other.path, stranger);
	const first = await reported(agent, (r) => r.reason?.code === "E_SIGNATURE");
	t.is(first.bundle, good.digest);
	t.regex(first.reason?.message ?? "", /not trusted/);

	// A bundle by a stranger under a good desired state.
	const foreign = await f.bundle("foreign", { seed: 3 }, null, stranger);
	await f.store.put(foreign.path, trustKeys([stranger.publicKey]));
	await publish(foreign.path, f.store, {
		fleet: "f",
		devices: ["d1"],
		key: f.key,
		trust: trustKeys([stranger.publicKey]),
		broker: { url: f.url },
		revision: 1000,
	});
	const told = await reported(
		agent,
		(r) => r.revision === 1000 && r.state === "failed",
	);
	t.is(told.reason?.code, "E_SIGNATURE");
	t.is((await say(agent)).bundle, good.digest);

	// An old wish, well signed.
	await publish(good.path, f.store, {
		fleet: "f",
		devices: ["d1"],
		key: f.key,
		broker: { url: f.url },
		revision: 999,
	});
	const old = await reported(agent, (r) =>
		/below/.test(r.reason?.message ?? ""),
	);
	t.is(old.revision, 1000);
});

it("an update while speaking drops no request", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const a = await f.bundle("a", { adapterSeed: 1 });
	const b = await f.bundle("b", { adapterSeed: 2 });
	await f.publish(a.path);
	await agent.speaksWith(a.digest);
	let updated = false;
	const replies: Awaited<ReturnType<typeof say>>[] = [];
	const talk = (async () => {
		while (!updated) replies.push(await say(agent, "One. Two. Three."));
		replies.push(await say(agent, "One. Two. Three."));
	})();
	const start = performance.now();
	await f.publish(b.path);
	await agent.speaksWith(b.digest);
	t.log(`update to speaking: ${Math.round(performance.now() - start)} ms`);
	updated = true;
	await talk;
	t.true(replies.every((r) => r.status === 200 && r.bytes.length > 1000));
	t.is(replies[0]?.bundle, a.digest);
	t.is(replies.at(-1)?.bundle, b.digest);
	// the swap is in none of them: each voice says the same each time
	const sounds = replies.map(({ bundle, bytes }) => [
		bundle,
		Buffer.from(bytes).toString("base64"),
	]);
	t.is(new Set(sounds.map((s) => s.join())).size, 2);
	t.is(agent.status().speaker.restarts, 0);
});

it("a killed speaker comes back on its port with its voice", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const { path, digest } = await f.bundle("anna");
	await f.publish(path);
	await agent.speaksWith(digest);
	const { url } = agent;
	const { pid } = agent.status().speaker;
	t.truthy(pid);
	process.kill(pid as number, "SIGKILL");
	while (agent.status().speaker.restarts === 0)
		await new Promise((resolve) => agent.once("reported", resolve));
	await agent.speaksWith(digest);
	t.is(agent.url, url);
	t.not(agent.status().speaker.pid, pid);
	t.is((await say(agent)).bundle, digest);
});

it("an active voice that rotted on disk is not loaded; the last good one speaks and it is fetched again", async (t) => {
	const f = await fleet(t);
	const first = await f.agent();
	const [a, b] = [
		await f.bundle("a", { seed: 1 }),
		await f.bundle("b", { seed: 2 }),
	];
	await f.publish(a.path);
	await first.speaksWith(a.digest);
	await f.publish(b.path);
	await first.speaksWith(b.digest);
	await first.stop();
	const file = join(f.dir, "d1", "voices", b.digest, "text.onnx");
	const bytes = await readFile(file);
	bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
	await rm(file);
	await writeFile(file, bytes);
	const again = await f.agent({
		broker: { url: "mqtt://127.0.0.1:9", connectTimeoutMs: 200 },
	});
	await again.speaksWith(a.digest);
	t.is((await say(again)).bundle, a.digest);
	await again.stop();
	const online = await f.agent();
	await online.speaksWith(b.digest);
	t.is((await say(online)).bundle, b.digest);
});

it("an active voice that does not load gives way to the last good one", async (t) => {
	const f = await fleet(t);
	const first = await f.agent();
	const good = await f.bundle("good", { seed: 1 });
	await f.publish(good.path);
	await first.speaksWith(good.digest);
	await first.stop();
	// A bundle that is whole and signed, and whose model is none: as after a change of engines.
	const files = tinyVoice({ name: "broken" });
	const broken = { ...files, text: Buffer.from("no model") };
	const { digest } = await writeBundle(
		join(f.dir, "d1", "voices", "aside"),
		tinyBundle.sources(broken),
		tinyBundle.meta("broken"),
		f.key,
	);
	const voices = join(f.dir, "d1", "voices");
	await rename(join(voices, "aside"), join(voices, digest));
	await writeFile(
		join(f.dir, "d1", "active.json"),
		JSON.stringify({ v: 1, digest, revision: 1, previous: good.digest }),
	);
	const again = await f.agent();
	await again.speaksWith(good.digest);
	t.is((await say(again)).bundle, good.digest);
	t.is(again.status().speaker.restarts, 0);
	const rejected = await readFile(join(f.dir, "d1", "rejected.json"), "utf8");
	t.regex(rejected, new RegExp(`${digest}.*E_MODEL`));
});

it("a broker that goes and a store that comes late only delay an update", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const a = await f.bundle("a", { seed: 1 });
	const b = await f.bundle("b", { seed: 2 });
	await f.publish(a.path);
	await agent.speaksWith(a.digest);
	await f.server.stop();
	await f.publish(b.path);
	await reported(agent, (r) => r.state === "pulling");
	const port = f.broker.port;
	await f.broker.stop();
	t.is((await say(agent)).bundle, a.digest);
	const broker = await Broker.start({ port });
	f.ends.push(() => broker.stop());
	const server = new StoreServer({ source: f.store, broker: { url: f.url } });
	await server.start();
	f.ends.push(() => server.stop());
	await agent.speaksWith(b.digest);
	t.is((await say(agent)).bundle, b.digest);
});
