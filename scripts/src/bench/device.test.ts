import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import { DeviceRig } from "./device-rig.ts";
import { measureIdle } from "./idle.ts";
import { growth, soak } from "./soak.ts";
import { measureVoices } from "./voices.ts";

const { signal } = new AbortController();
const quiet = () => undefined;

test("an idle device has a size and uses little of a core", async (t) => {
	t.timeout(300_000);
	const r = await measureIdle(
		{ voice: "tiny", seconds: 1, dir: await temporaryDir(t) },
		quiet,
		signal,
	);
	for (const { rss, peakRss, cpu } of [r.agent, r.speaker]) {
		// An empty Node takes 40 MB.
		t.true(rss > 30e6 && rss <= peakRss, `${rss} ${peakRss}`);
		t.true(cpu >= 0 && cpu < 1, `${cpu}`);
	}
});

test("a soak counts what failed and reads both processes on the way", async (t) => {
	t.timeout(300_000);
	const r = await soak(
		{ voice: "tiny", utterances: 40, dir: await temporaryDir(t) },
		quiet,
		signal,
	);
	t.is(r.failed, 0);
	t.is(r.restarts, 0);
	t.is(r.rss.speaker.length, 40);
	t.is(r.speaker.growth, r.speaker.late / r.speaker.early - 1);
});

test("each further voice has its memory and its first sound", async (t) => {
	t.timeout(300_000);
	const r = await measureVoices(
		{ voice: "tiny", voices: 2, dir: await temporaryDir(t) },
		quiet,
		signal,
	);
	t.is(r.steps.length, 2);
	t.is(r.restarts, 0);
	for (const { rss, firstSoundMs, active } of r.steps) {
		t.true(rss > 30e6);
		t.true(firstSoundMs > 0);
		t.true(active.every(Number.isFinite), "no request was dropped");
	}
	t.true((r.steps[1]?.active.length ?? 0) > 0);
});

test("a voice that the device refuses ends the waiting", async (t) => {
	t.timeout(300_000);
	const rig = await DeviceRig.start("tiny", await temporaryDir(t), signal);
	try {
		const { path } = await rig.bundle(1_000_000);
		await rig.publish(path, signal);
		await t.throwsAsync(rig.untilRefused(signal), { code: "E_GOLDEN" });
		t.is(await rig.untilRefused(AbortSignal.abort()), null);
	} finally {
		await rig.stop();
	}
});

test("growth leaves the warm-up out and does not believe one reading", (t) => {
	const flat = Array.from({ length: 100 }, (_, i) => (i < 10 ? 50 + i : 100));
	t.is(growth(flat).growth, 0);
	t.is(growth([...flat.slice(0, 99), 300]).growth, 0);
	const leak = Array.from({ length: 100 }, (_, i) => 100 + i);
	t.true(growth(leak).growth > 0.5);
});
