import test from "ava";
import { SpeechAccount } from "./account.ts";
import { handMeter } from "./testing.ts";

/** An account on a meter at 10 W. */
function setup() {
	const { meter, pass } = handMeter(10n);
	return { account: new SpeechAccount(meter), pass };
}

test("nothing spoken is unknown energy, not 0 J", (t) => {
	t.like(setup().account.totals(), {
		utterances: 0,
		millijoules: null,
		speechMillijoules: null,
	});
});

test("counts the time spent speaking, not the time between", async (t) => {
	const { account, pass } = setup();
	await account.start();
	for (let i = 0; i < 3; i++) {
		await account.utterance(async () => {
			pass(2);
			return { audioSeconds: 20 };
		});
		pass(100);
	}
	t.like(account.totals(), {
		// Up to the newest reading, which is the end of the last utterance.
		millijoules: 2_060_000,
		utterances: 3,
		audioSeconds: 60,
		speechMillijoules: 60_000,
		measured: true,
		sensor: "fake",
	});
});

test("utterances at the same time share their joules", async (t) => {
	const { account, pass } = setup();
	let release: () => void = () => undefined;
	const gate = new Promise<void>((resolve) => {
		release = resolve;
	});
	const first = account.utterance(async () => {
		await gate;
		return { audioSeconds: 1 };
	});
	await account.utterance(async () => {
		pass(3);
		return { audioSeconds: 1 };
	});
	release();
	await first;
	t.like(account.totals(), { utterances: 2, speechMillijoules: 30_000 });
});

test("an utterance that fails costs energy and makes no audio", async (t) => {
	const { account, pass } = setup();
	const failed = account.utterance(async () => {
		pass(1);
		throw new RangeError("no");
	});
	await t.throwsAsync(failed, { instanceOf: RangeError });
	t.like(account.totals(), {
		utterances: 0,
		audioSeconds: 0,
		speechMillijoules: 10_000,
	});
});

test("shares of utterances, one after the other and at once, add up to the total", async (t) => {
	const { account, pass } = setup();
	const shares: (number | null)[] = [];
	const spoken = { audioSeconds: 1, computeSeconds: 1 };
	// 19.53 mJ are rounded up, then down: the rest is not lost
	for (const seconds of [1 + 1 / 512, 2 + 1 / 512, 1 / 512]) {
		await account.begin();
		pass(seconds);
		shares.push(await account.end(spoken));
		pass(5);
	}
	t.deepEqual(shares, [10_020, 20_019, 20]);
	await account.begin();
	pass(1);
	await account.begin();
	pass(2);
	// the first to end takes what both drew until then
	shares.push(await account.end(spoken));
	pass(4);
	shares.push(await account.end());
	t.deepEqual(shares.slice(3), [30_000, 40_000]);
	const total = shares.reduce((sum: number, s) => sum + (s ?? 0), 0);
	t.is(account.totals().speechMillijoules, total);
});
