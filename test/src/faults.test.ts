import test from "ava";
import { campaign } from "./faults.ts";
import { SPEAKER_KILLED } from "./faults-mix.ts";

/** Other tests may leave little of the machine. */
const patienceMs = 240_000;

// A few faults on real processes and a real broker; `npm run bench -- faults` does 500.
test("random faults end in the voice wished for or the last good one", async (t) => {
	t.timeout(600_000);
	const seed = Math.floor(Math.random() * 2 ** 31);
	t.log(`seed ${seed}`);
	const result = await campaign({ faults: 8, seed, every: 4, patienceMs });
	t.log(JSON.stringify(result));
	t.deepEqual(result.violations, [], `seed ${seed}`);
	t.true(result.spoken > 0);
	t.is(result.looks, 3);
});

test("a voice whose speaker is killed again and again is given up and said to be, and is spoken when it is asked for again", async (t) => {
	t.timeout(600_000);
	// of this seed's voices the second is another good one than the first
	const only = [SPEAKER_KILLED];
	const result = await campaign({
		...{ faults: 1, seed: 2, every: 1, only, patienceMs },
	});
	t.log(JSON.stringify(result));
	t.deepEqual(result.violations, []);
	t.is(result.givenUp, 1);
	t.is(result.looks, 2);
});
