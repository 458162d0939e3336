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
