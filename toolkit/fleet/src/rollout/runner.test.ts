import { setImmediate } from "node:timers/promises";
import { newKey, trustKeys } from "@wattvox/bundle";
import { temporaryDir } from "@wattvox/bundle/testing";
import { decodeDesired, encode, type Link, topic } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { Broker } from "../broker.ts";
import { connect } from "../testing.ts";
import { runnerOf } from "./claim.ts";
import {
	listRollouts,
	loadRollout,
	orderRollout,
	saveRollout,
} from "./files.ts";
import { RolloutRunner } from "./runner.ts";
import { beginning, ROLLOUT_DEFAULTS } from "./spec.ts";
import { SpeechWatch } from "./speech-watch.ts";

const BUNDLE = "a".repeat(64);

async function house(t: ExecutionContext, names: string[]) {
	const dir = await temporaryDir(t);
	const broker = await Broker.start({ port: 0 });
	t.teardown(() => broker.stop());
	const key = newKey();
	const told: string[] = [];
	const allowed = new Set<number | undefined>();
	const devices = await Promise.all(
		names.map(async (device): Promise<Link> => {
			const link = await connect(broker.url, device);
			t.teardown(() => link.stop());
			await link.subscribe(topic("home", device, "desired"), (_, payload) => {
				const to = { fleet: "home", device };
				const { bundle, revision, limits } = decodeDesired(
					payload,
					to,
					trustKeys([key.publicKey]),
				);
				told.push(`${device} ${revision}`);
				allowed.add(limits?.joulesRatio);
				const at = new Date().toISOString();
				void link.publish(
					topic("home", device, "reported"),
					encode({ v: 1, bundle, revision, state: "active", at }),
					{ qos: 1, retain: true },
				);
			});
			return link;
		}),
	);
	const spec = {
		...ROLLOUT_DEFAULTS,
		...{ id: "r1", fleet: "home", bundle: BUNDLE, store: "store" },
		...{ previous: "b".repeat(64), devices: names, waves: [0.3, 1] },
		...{ soakMs: 0, deadlineMs: 60_000, maxRatio: 1.25 },
	};
	await saveRollout(dir, beginning(spec, names, Date.now()));
	const runner = async () =>
		new RolloutRunner(await loadRollout(dir, "r1"), {
			...{ dir, key, broker: { url: broker.url }, tickMs: 5 },
		});
	return { dir, devices, told, allowed, runner };
}

test("a rollout over a broker: waves, an order while it runs, a restart, and its end", async (t) => {
	t.timeout(300_000);
	const h = await house(t, ["d1", "d2", "d3"]);
	t.true(await orderRollout(h.dir, "r1", { do: "pause" }).then((r) => !r));
	const first = await h.runner();
	const stop = new AbortController();
	const ended = first.run(stop.signal);
	while (!(await runnerOf(h.dir, "r1"))) await setImmediate();
	await t.throwsAsync((await h.runner()).run(stop.signal), { code: "E_BUSY" });
	t.deepEqual(h.told, [], "paused");
	t.true(await orderRollout(h.dir, "r1", { do: "resume" }));
	while (h.told.length === 0) await setImmediate();
	stop.abort(new Error("killed"));
	await t.throwsAsync(ended, { message: "killed" });
	const second = await h.runner();
	const state = await second.run(new AbortController().signal);
	t.is(state.status, "done");
	t.deepEqual(
		Object.values(state.devices).map((p) => p.status),
		["good", "good", "good"],
	);
	// told again after the restart perhaps, but never anything else
	t.is(new Set(h.told).size, 3);
	// the gate's limit is the devices' own too
	t.deepEqual([...h.allowed], [1.25]);
	t.is((await listRollouts(h.dir))[0]?.status, "done");
	await t.throwsAsync(loadRollout(h.dir, "none"), { code: "E_FILE_MISSING" });
	await t.throwsAsync(loadRollout(h.dir, "../x"), { code: "E_USAGE" });
});

test("speech since a moment: differences of a boot's counts, estimates left out", (t) => {
	const watch = new SpeechWatch();
	const say = (
		sequence: number,
		mj: number,
		audioSeconds: number,
		measured = true,
		boot = "b",
		voice: string | null = null,
	) =>
		watch.heard({
			...{ v: 1, device: "d", boot, sequence, measured, sensor: "s" },
			...{ millijoules: mj, speechMillijoules: mj, utterances: 0 },
			...{ audioSeconds, computeSeconds: 0, voice, at: "" },
		});
	say(0, 1000, 10);
	t.is(watch.of("d", null), undefined);
	watch.since(1);
	say(2, 5000, 12);
	say(1, 9000, 90);
	say(0, 7, 7, false, "e");
	say(1, 77, 77, false, "e");
	t.deepEqual(watch.of("d", null), { joules: 4, audioSeconds: 2 });
	say(0, 0, 0, true, "n", BUNDLE);
	say(1, 3000, 1, true, "n", BUNDLE);
	t.deepEqual(watch.of("d", BUNDLE), { joules: 3, audioSeconds: 1 });
	watch.since(1);
	t.deepEqual(watch.of("d", null), { joules: 4, audioSeconds: 2 });
	watch.since(2);
	t.is(watch.of("d", null), undefined);
});
