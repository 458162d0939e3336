import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "@wattvox/core";
import { findProgram } from "@wattvox/energy";
import test from "ava";
import { fakePlayer } from "./_fake-player.test.ts";
import { play } from "./playback.ts";
import { checkPlayer, choosePlayer } from "./player.ts";
import { pcm16 } from "./wav-stream.ts";

const RATE = 16_000;
const never = new AbortController().signal;
const tone = (seconds: number) =>
	Float32Array.from({ length: seconds * RATE }, (_, i) => Math.sin(i / 9) / 3);
async function* chunks(...seconds: number[]) {
	for (const s of seconds) yield tone(s);
}
const withAplay = findProgram("aplay") ? test : test.skip;

withAplay("aplay plays to a device of ALSA's", async (t) => {
	const player = choosePlayer({ player: "aplay", audioDevice: "null" });
	t.is(player.system, "ALSA");
	const played = await play(chunks(0.5, 1, 1), {
		player,
		rate: RATE,
		signal: never,
		clock: new ManualClock(),
	});
	t.is(played.seconds, 2.5);
	t.is(played.underruns, 0);
	t.is(played.firstSoundMs, 0);
});

withAplay("what aplay says of a device that is not there", async (t) => {
	const player = choosePlayer({ player: "aplay", audioDevice: "nowhere" });
	const error = await t.throwsAsync(
		play(chunks(5, 5), { player, rate: RATE, signal: never }),
		{ code: "E_PLAYER" },
	);
	t.regex(error?.message ?? "", /^aplay: it ended with 1: .*(No such file)/);
});

test("a player gets the samples, their rate, and none of our settings", async (t) => {
	const player = await fakePlayer(
		t,
		'echo "$1 $LC_ALL $WATTVOX_BROKER_PASSWORD" > args; cat > sound',
	);
	process.env.WATTVOX_BROKER_PASSWORD = "secret";
	t.teardown(() => {
		delete process.env.WATTVOX_BROKER_PASSWORD;
	});
	await play(chunks(0.25), { player, rate: RATE, signal: never });
	t.deepEqual(
		new Uint8Array(await readFile(join(player.dir, "sound"))),
		new Uint8Array(pcm16(tone(0.25))),
	);
	t.is(await readFile(join(player.dir, "args"), "utf8"), "16000 C \n");
});

test("underruns: by the clock, or by the player's word where that is more", async (t) => {
	const silent = await fakePlayer(t, "cat >/dev/null");
	const clock = new ManualClock();
	async function* late() {
		yield tone(0.5);
		await clock.advance(700);
		yield tone(0.5);
		await clock.advance(500);
		yield tone(0.5);
	}
	const options = { rate: RATE, signal: never, clock };
	const one = await play(late(), { ...options, player: silent });
	t.is(one.underruns, 1);
	t.true(Math.abs(one.drySeconds - 0.2) < 1e-9);
	const telling = await fakePlayer(
		t,
		'for i in 1 2 3; do echo "underrun!!! (at least 12.3 ms long)" >&2; done; cat >/dev/null',
	);
	const three = await play(late(), { ...options, player: telling });
	t.is(three.underruns, 3);
});

test("a player that is not there, ends early or says it failed is an error", async (t) => {
	const cases: [string, RegExp][] = [
		[
			"head -c 10 >/dev/null; echo no card >&2; exit 3",
			/ended with 3: no card/,
		],
		["kill -9 $$", /ended with SIGKILL/],
		["cat >/dev/null; echo unplugged >&2; exit 1", /ended with 1: unplugged/],
	];
	for (const [script, message] of cases) {
		const player = await fakePlayer(t, script);
		await t.throwsAsync(
			play(chunks(5, 5, 5), { player, rate: RATE, signal: never }),
			{ code: "E_PLAYER", message },
			script,
		);
	}
	const quits = await fakePlayer(t, "exit 0");
	await t.throwsAsync(
		play(chunks(5, 5, 5), { player: quits, rate: RATE, signal: never }),
		{ code: "E_PLAYER", message: /ended before its sound/ },
	);
	const gone = { ...quits, program: join(quits.dir, "missing") };
	await t.throwsAsync(
		play(chunks(1), { player: gone, rate: RATE, signal: never }),
		{ code: "E_PLAYER", message: /missing.*ENOENT/ },
	);
});

const alive = (pid: number) => {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
};
const pidOf = async (dir: string) =>
	Number(await readFile(join(dir, "pid"), "utf8"));

test("a player that takes nothing, or does not end, is stuck and is ended", async (t) => {
	// its child lives on when only the script is ended; the second does not even hear of it
	const cases: [string, number][] = [
		["echo $$ > pid; sleep 1000 & wait", 6],
		["trap '' TERM; echo $$ > pid; cat >/dev/null; sleep 1000", 0.1],
	];
	for (const [script, seconds] of cases) {
		const player = await fakePlayer(t, script);
		await t.throwsAsync(
			play(chunks(seconds), {
				player,
				rate: RATE,
				signal: never,
				stuckMs: 400,
			}),
			{ code: "E_PLAYER", message: /^aplay is stuck/ },
		);
		t.false(alive(await pidOf(player.dir)));
	}
});

test("who leaves stops the sound", async (t) => {
	const player = await fakePlayer(t, "echo $$ > pid; exec sleep 1000");
	const left = new AbortController();
	async function* endless() {
		yield tone(0.1);
		while (!(await readFile(join(player.dir, "pid"), "utf8").catch(() => "")));
		left.abort(new Error("gone"));
		yield tone(9);
	}
	await t.throwsAsync(
		play(endless(), { player, rate: RATE, signal: left.signal }),
		{ message: "gone" },
	);
	t.false(alive(await pidOf(player.dir)));
});

test("samples that fail end the player and are the error", async (t) => {
	const player = await fakePlayer(t, "exec sleep 1000");
	async function* broken() {
		yield tone(0.1);
		throw new Error("no more");
	}
	await t.throwsAsync(play(broken(), { player, rate: RATE, signal: never }), {
		message: "no more",
	});
});

test("PipeWire's player is taken where PipeWire runs, unless another is wished for", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-player-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const bin = join(dir, "bin");
	await mkdir(bin);
	for (const name of ["aplay", "pw-cat"])
		await writeFile(join(bin, name), "", { mode: 0o755 });
	const env = { PATH: bin, XDG_RUNTIME_DIR: dir };
	t.is(choosePlayer({}, env).system, "ALSA");
	await writeFile(join(dir, "pipewire-0"), "");
	t.is(choosePlayer({}, env).system, "PipeWire");
	t.is(choosePlayer({ player: "aplay" }, env).system, "ALSA");
	const path = "/opt/x/pw-cat";
	const chosen = choosePlayer({ player: path, audioDevice: "kitchen" }, env);
	t.like(chosen, { system: "PipeWire", program: path });
	t.true(chosen.args(24_000).includes("--target=kitchen"));
	t.true(chosen.args(24_000).includes("24000"));
	t.throws(() => choosePlayer({}, { PATH: dir }), {
		code: "E_PLAYER",
		message: "pw-cat or aplay is not installed",
	});
	t.throws(() => choosePlayer({ player: "pw-cat" }, { PATH: dir }), {
		code: "E_PLAYER",
	});
	t.throws(() => checkPlayer({ player: "/bin/sh" }), { code: "E_USAGE" });
});
