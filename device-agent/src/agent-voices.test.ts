import { once } from "node:events";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeBundle } from "@wattvox/bundle";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import { fleet, goldenOf, listen, reported, say } from "./_agent-fleet.test.ts";
import { formatStatus } from "./status.ts";

// Real processes and a real broker; they would only slow each other down side by side.
const it = test.serial;

it("voices of one base stay to be asked for, and each has its own power reports", async (t) => {
	const f = await fleet(t);
	const { power, until } = await listen(f.url, f.ends);
	const agent = await f.agent({ maxLoaded: 2, goodKept: 2 });
	const digests: Record<string, string> = {};
	for (const [i, name] of ["anna", "berta", "clara", "dora"].entries()) {
		const { path, digest } = await f.bundle(name, { adapterSeed: i + 1 });
		await f.publish(path);
		await agent.speaksWith(digest);
		digests[name] = digest;
	}
	t.is((await say(agent)).bundle, String(digests.dora));
	// anna is one more than are kept
	t.is((await say(agent, "Hello.", "anna")).status, 404);
	const sounds = new Set<string>();
	for (const name of ["berta", "clara", "berta", "dora"]) {
		const { status, bundle, bytes } = await say(agent, "Hello.", name);
		t.is(status, 200);
		t.is(bundle, String(digests[name]));
		sounds.add(Buffer.from(bytes).toString("base64"));
	}
	t.is(sounds.size, 3, "equal texts by one voice are equal, and no others");

	const listed = async () => {
		const reply = await fetch(`${agent.url}/v1/voices`);
		const { voices } = (await reply.json()) as {
			voices: { id: string; active: boolean; loaded: boolean; base: string }[];
		};
		return voices;
	};
	const now = await listed();
	t.deepEqual(
		now.map((v) => v.id),
		["dora", "clara", "berta"],
	);
	t.deepEqual(
		now.filter((v) => v.loaded).map((v) => v.id),
		["dora", "berta"],
	);
	while (!agent.status().voices?.some((v) => v.loaded && !v.active))
		await once(agent, "reported");
	const text = formatStatus({ running: true, ...agent.status() });
	t.regex(text, /^also +clara [0-9a-f]{12} on \S+, loaded when it is asked/m);
	t.regex(text, /^also +berta [0-9a-f]{12} on \S+, loaded, by ONNX Runtime$/m);

	const spoken = (name: string) =>
		power.findLast((p) => p.voice === String(digests[name]))?.utterances ?? 0;
	await until(
		() => spoken("berta") === 2 && spoken("clara") === 1 && spoken("dora") >= 2,
	);
	t.is(agent.status().speaker.restarts, 0);

	// after a restart they are still there
	await agent.stop();
	const again = await f.agent({ goodKept: 2 });
	await again.speaksWith(String(digests.dora));
	const back = await say(again, "Hello.", "clara");
	t.is(back.bundle, String(digests.clara));
	t.true(sounds.has(Buffer.from(back.bytes).toString("base64")));
});

it("what never proved itself is not to be had, and what is damaged is not loaded", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const [old, good] = [
		await f.bundle("old", { adapterSeed: 1 }),
		await f.bundle("good", { adapterSeed: 2 }),
	];
	for (const { path, digest } of [old, good]) {
		await f.publish(path);
		await agent.speaksWith(digest);
	}
	const other = await goldenOf(tinyVoice({ seed: 9 }));
	const bad = await f.bundle("bad", { seed: 2 }, other);
	await f.publish(bad.path);
	await t.throwsAsync(agent.speaksWith(bad.digest), { code: "E_GOLDEN" });
	for (const voice of ["bad", bad.digest])
		t.is((await say(agent, "Hello.", voice)).status, 404);

	await damage(join(f.dir, "d1", "voices", old.digest, "text.onnx"));
	const damaged = await say(agent, "Hello.", "old");
	t.is(damaged.status, 500);
	t.regex(
		Buffer.from(damaged.bytes).toString(),
		/damaged on this device.*E_TAMPERED/,
	);
	t.is((await say(agent, "Hello.", "old")).status, 404);
	t.is((await say(agent)).bundle, good.digest);

	// wished for again it is whole again
	await f.publish(old.path);
	await agent.speaksWith(old.digest);
	await reported(agent, (r) => r.state === "active");
	t.is((await say(agent, "Hello.", "old")).bundle, old.digest);
	t.is((await say(agent, "Hello.", "good")).bundle, good.digest);
	t.is(agent.status().speaker.restarts, 0);
});

it("a voice on another base is loaded like any other, and refused where memory is bounded", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const voices = [
		await f.bundle("one", { seed: 1 }),
		await f.bundle("two", { seed: 2 }),
	];
	for (const { path, digest } of voices) {
		await f.publish(path);
		await agent.speaksWith(digest);
	}
	t.is((await say(agent, "Hello.", "one")).bundle, String(voices[0]?.digest));
	await agent.stop();
	const small = await f.agent({ asideBytes: 1e6 });
	await small.speaksWith(voices[1]?.digest ?? "");
	const { status, bytes } = await say(small, "Hello.", "one");
	t.is(status, 503);
	t.regex(Buffer.from(bytes).toString(), /may take 1 MB.*E_MEMORY/);
	t.is((await say(small)).bundle, String(voices[1]?.digest));
});

it("an update while another voice is asked for drops no request", async (t) => {
	const f = await fleet(t);
	const agent = await f.agent();
	const bundles: { path: string; digest: string }[] = [];
	for (const [i, name] of ["a", "b", "c"].entries())
		bundles.push(await f.bundle(name, { adapterSeed: i + 1 }));
	const [a, b, c] = bundles as [
		(typeof bundles)[0],
		(typeof bundles)[0],
		(typeof bundles)[0],
	];
	for (const { path, digest } of [a, b]) {
		await f.publish(path);
		await agent.speaksWith(digest);
	}
	let updated = false;
	const talk = async (voice?: string) => {
		const replies: Awaited<ReturnType<typeof say>>[] = [];
		while (!updated) replies.push(await say(agent, "One. Two.", voice));
		replies.push(await say(agent, "One. Two.", voice));
		return replies;
	};
	const talks = [talk(), talk("a"), talk("b")];
	await f.publish(c.path);
	await agent.speaksWith(c.digest);
	updated = true;
	const [active = [], ...named] = await Promise.all(talks);
	for (const replies of [active, ...named])
		t.true(replies.every((r) => r.status === 200 && r.bytes.length > 1000));
	t.deepEqual([active[0]?.bundle, active.at(-1)?.bundle], [b.digest, c.digest]);
	for (const [i, { digest }] of [a, b].entries())
		t.true(named[i]?.every((r) => r.bundle === digest));
	t.is(agent.status().speaker.restarts, 0);
});

it("a damaged voice is not fallen back to: the good one before it speaks", async (t) => {
	const f = await fleet(t);
	const first = await f.agent();
	const [good, damaged] = [
		await f.bundle("good", { adapterSeed: 1 }),
		await f.bundle("damaged", { adapterSeed: 2 }),
	];
	for (const { path, digest } of [good, damaged]) {
		await f.publish(path);
		await first.speaksWith(digest);
	}
	await first.stop();
	// A bundle that is whole and signed, and whose model is none: as after a change of engines.
	const voices = join(f.dir, "d1", "voices");
	const { digest: broken } = await writeBundle(
		join(voices, "aside"),
		tinyBundle.sources({ ...tinyVoice(), text: Buffer.from("no model") }),
		tinyBundle.meta("broken"),
		f.key,
	);
	await rename(join(voices, "aside"), join(voices, broken));
	await damage(join(voices, damaged.digest, "text.onnx"));
	const [previous, earlier] = [damaged.digest, [good.digest]];
	await writeFile(
		join(f.dir, "d1", "active.json"),
		JSON.stringify({ v: 1, digest: broken, revision: 2, previous, earlier }),
	);
	const again = await f.agent({
		broker: { url: "mqtt://127.0.0.1:9", connectTimeoutMs: 200 },
	});
	await again.speaksWith(good.digest);
	t.is((await say(again)).bundle, good.digest);
	t.is((await say(again, "Hello.", "damaged")).status, 404);
});

/** Changes one byte of a file; its blob in the store, which is the same file, stays whole. */
async function damage(file: string): Promise<void> {
	const bytes = await readFile(file);
	bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
	await rm(file);
	await writeFile(file, bytes);
}
