import type { ExecutionContext } from "ava";
import type { StoreUnderTest } from "./store-contract.ts";
import type { DeviceLoss, UtterancePoint } from "./utterance.ts";

const DAY = 86_400_000;
const T0 = Date.UTC(2026, 4, 1);
const LOST = { utterances: 0, readings: 0, boots: 0, damaged: 0 };

function utterance(some: Partial<UtterancePoint>): UtterancePoint {
	return {
		...{ fleet: "home", device: "d1", boot: "b1", n: 0, at: T0 },
		...{ deviceClass: "orin-nano", voice: "a".repeat(64), whole: true },
		...{ audioSeconds: 2.345, computeSeconds: 0.12, firstSoundMs: 41 },
		...{ millijoules: 700, measured: true, sensor: "ina3221" },
		...some,
	};
}

function loss(log: string, lost: Partial<typeof LOST>): DeviceLoss {
	return { fleet: "home", device: "d1", log, lost: { ...LOST, ...lost } };
}

/** What every store does with single utterances. */
export const UTTERANCE_CONTRACT: Readonly<
	Record<string, (t: ExecutionContext, store: StoreUnderTest) => Promise<void>>
> = {
	"an utterance is kept once, in whatever order and however often it comes, and is in no total":
		async (t, under) => {
			const store = await under.fresh(t);
			const some = Array.from({ length: 600 }, (_, n) =>
				utterance({ n, at: T0 + n * 1000 }),
			);
			const odd = utterance({
				...{ device: "d2", voice: null, deviceClass: null, whole: false },
				...{
					firstSoundMs: null,
					millijoules: null,
					measured: false,
					at: T0 - 1,
				},
			});
			await store.writeUtterances({ utterances: some.slice(200), losses: [] });
			await Promise.all([
				store.writeUtterances({ utterances: some, losses: [] }),
				store.writeUtterances({ utterances: [...some].reverse(), losses: [] }),
			]);
			await store.writeUtterances({ utterances: [odd], losses: [] });
			const all = await store.utterances({ limit: 10_000 });
			t.deepEqual(all.rows, [...[...some].reverse(), odd]);
			t.deepEqual((await store.usage()).rows, []);
			const mine = await store.utterances({ device: "d2", fleet: "home" });
			t.deepEqual(mine.rows, [odd]);
			const late = await store.utterances({ since: T0 + 598_000, limit: 1 });
			t.deepEqual(late.rows, some.slice(-1));
			t.deepEqual((await store.utterances({ fleet: "work" })).rows, []);
			for (const limit of [0, 10_001, 1.5])
				await t.throwsAsync(store.utterances({ limit }), { code: "E_USAGE" });
			await t.throwsAsync(store.utterances({ device: "x' or 1=1" }), {
				code: "E_USAGE",
			});
		},
	"losses only rise, and those of several backlogs add up": async (
		t,
		under,
	) => {
		const store = await under.fresh(t);
		t.deepEqual((await store.utterances()).lost, LOST);
		const lose = (...losses: DeviceLoss[]) =>
			store.writeUtterances({ utterances: [], losses });
		await lose(loss("l1", { utterances: 5, boots: 1 }));
		await lose(
			loss("l1", { utterances: 3, readings: 2 }),
			loss("l2", { damaged: 4 }),
		);
		await lose({ ...loss("l1", { utterances: 100 }), device: "d2" });
		t.deepEqual((await store.utterances({ device: "d1" })).lost, {
			...{ utterances: 5, readings: 2, boots: 1, damaged: 4 },
		});
		t.is((await store.utterances()).lost.utterances, 105);
	},
	"utterances are forgotten after their time, what was lost is not": async (
		t,
		under,
	) => {
		const store = await under.fresh(t, { retention: { utterances: 3 } });
		const utterances = [0, 1, 2, 3, 4].map((n) =>
			utterance({ n, at: T0 + n * DAY }),
		);
		await store.writeUtterances({
			utterances,
			losses: [loss("l1", { utterances: 1 })],
		});
		await store.retain(T0 + 5 * DAY);
		const { rows, lost } = await store.utterances();
		t.deepEqual(
			rows.map((r) => r.n),
			[4, 3, 2],
		);
		t.is(lost.utterances, 1);
	},
};
