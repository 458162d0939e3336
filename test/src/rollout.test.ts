import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	beginning,
	orderRollout,
	type PowerTable,
	ROLLOUT_DEFAULTS,
	type RolloutView,
} from "@wattvox/fleet";
import { BROKERS } from "@wattvox/fleet/testing";
import test, { type ExecutionContext } from "ava";
import { type Made, RolloutFleet } from "./rollout-fleet.ts";

const names = (count: number) =>
	Array.from({ length: count }, (_, i) => `d${i + 1}`);

async function house(t: ExecutionContext, broker?: string) {
	const fleet = new RolloutFleet(
		await mkdtemp(join(tmpdir(), "wattvox-rollout-")),
	);
	t.teardown(() => fleet.stop());
	await fleet.start(broker);
	return fleet;
}

/** A rollout's name with which these waves begin so: the order is made of the name. */
function named(
	devices: readonly string[],
	waves: number[],
	met: (first: string[], rest: string[]) => boolean,
) {
	const spec = { bundle: "", store: "", fleet: "home", previous: null };
	for (let i = 0; ; i++) {
		const id = `ada-${i}`;
		const all = { ...ROLLOUT_DEFAULTS, ...spec, id, devices: null, waves };
		const wave = Object.entries(beginning(all, devices, 0).devices);
		const first = wave.filter(([, p]) => p.wave === 0).map(([d]) => d);
		const rest = wave.filter(([, p]) => p.wave > 0).map(([d]) => d);
		if (met(first, rest)) return { id, first, rest };
	}
}

const start = (fleet: RolloutFleet, voice: Made, ...argv: string[]) =>
	fleet.command([
		...["rollout", "start", voice.path, ...fleet.publishing],
		...[...fleet.driving, ...argv],
	]);

// One way through the whole, since a fleet of real devices takes its time to come up.
test("a fleet of real devices: a bad voice stops at the canary, a dear one at the gate, a good one arrives", async (t) => {
	t.timeout(900_000);
	const fleet = await house(t);
	const [old, ada, bad] = [
		await fleet.voice("old", 0),
		await fleet.voice("ada", 1),
		await fleet.voice("bad", 1, 2),
	];
	const all = names(5);
	// the last has no sensor: what it says of joules is an estimate
	const blind = "d5";
	await Promise.all(
		all.map((name) => fleet.device(name).start(name !== blind)),
	);
	await fleet.publish(old, all);

	// golden sentences that the voice does not speak: one device tries it, and nobody else is asked
	const wrong = start(
		...[fleet, bad, "--id", "bad", "--waves", "20%,100%"],
		...["--previous", old.digest],
	);
	const held = await wrong.told(/bad held.*/);
	t.regex(
		held,
		/wave 1 of 2; 0 good, 0 under way, 1 failed, 4 waiting: 1 of 1 devices failed, 5 % may/,
	);
	const { json } = await fleet.rollout("status", "bad");
	const { trouble } = json as RolloutView;
	t.is(trouble.length, 1);
	t.regex(trouble[0]?.why ?? "", /E_GOLDEN: .*sounds different/);
	const tried = trouble[0]?.device ?? "";
	for (const name of all) t.is(fleet.said.get(name)?.bundle, old.digest, name);
	const before = fleet.said.get(tried)?.revision ?? 0;
	t.is((await fleet.rollout("abort", "bad", "--back")).code, 0);
	t.is(await wrong.code, 0, wrong.err);
	t.regex(wrong.out, /aborted; told to go back/);
	await fleet.until(() => (fleet.said.get(tried)?.revision ?? 0) > before);
	await fleet.speaks(tried, old.digest);

	// a voice that costs more: the gate has it by measured joules, and says its figures
	const { id, first, rest } = named(
		all,
		[0.4, 1],
		(first) => !first.includes(blind),
	);
	for (const name of first) await fleet.devices.get(name)?.watts(1000);
	for (const device of fleet.devices.values()) device.talk();
	const rules = ["--waves", "40%,100%", "--soak", "5s", "--deadline", "1h"];
	const gates = ["--require-energy", "--least-devices", "2"];
	const dear = start(
		...[fleet, ada, "--id", id, ...rules, ...gates, "--least-speech", "1s"],
		...["--max-failed", "50%", "--tries", "1"],
	);
	const why = await dear.told(/held, wave 1 .*/);
	t.regex(
		why,
		/\+\d+\.\d % \(95 %: \+\d+\.\d % to \+\d+\.\d %\) joules per second of speech by shares of busy time, 2 devices against 2; \+10\.0 % is allowed/,
	);
	for (const name of rest) t.is(fleet.said.get(name)?.bundle, old.digest, name);
	// another cannot drive it, nor another rollout begin beside it
	const second = fleet.command([
		"rollout",
		"start",
		ada.path,
		...fleet.publishing,
		...fleet.driving,
	]);
	t.is(await second.code, 6, second.err);
	t.regex(second.err, /E_BUSY: rollout .* of fleet home is held/);

	// its process dies; another goes on from the file, and the devices draw less now
	await dear.end("SIGKILL");
	for (const name of first) await fleet.devices.get(name)?.watts(0.1);
	const resume = () =>
		fleet.command(["rollout", "resume", id, "--stay", ...fleet.driving]);
	const runner = resume();
	await runner.told(/running, wave 1/);
	// as `rollout pause` does, and before the gate can be asked
	t.true(await orderRollout(fleet.rollouts, id, { do: "pause" }));
	await runner.told(/paused, wave 1/);
	await fleet.devices.get(blind)?.end("SIGKILL");
	t.like(await fleet.rollout("resume", id), { code: 0 });
	await runner.told(/running, wave 2/);
	await Promise.all([...fleet.devices.values()].map((d) => d.hush()));
	// who comes late is offered it too, and who is silent has failed at its deadline
	const late = fleet.device("d6");
	await late.start();
	for (const name of [...rest.filter((name) => name !== blind), "d6"])
		await fleet.speaks(name, ada.digest);
	// its hour passes while nobody drives the rollout
	t.is(await runner.end("SIGTERM"), 0);
	await fleet.deadlinePasses(id, blind);
	const last = resume();
	await last.told(
		/done, wave 2 of 2; 5 good, 0 under way, 1 failed, 0 waiting/,
	);
	t.like((await fleet.rollout("status", id)).json, {
		trouble: [{ device: blind, why: "silent until its deadline" }],
	});
	// it comes back, finds its offer at the broker, and is told off no more
	await fleet.devices.get(blind)?.start(false);
	await fleet.speaks(blind, ada.digest);
	await last.told(/done, wave 2 .*; 6 good/);
	t.is(await last.end("SIGTERM"), 0);
	const gate = ((await fleet.rollout("status", id)).json as RolloutView).gates;
	t.log(gate.map((g) => `${g.gate} ${g.verdict}: ${g.why}`).join("\n"));
	t.like(
		gate.find((g) => g.gate === "energy" && g.wave === 0),
		{ verdict: "pass", comparison: { canary: 2, control: 2 } },
	);

	// the joules of each voice are its own: together they are the fleet's, to the millijoule
	await Promise.all([...fleet.devices.values()].map((d) => d.end()));
	const table = async (...by: string[]) => {
		const ran = fleet.command([...fleet.power, ...by]);
		t.is(await ran.code, 0, ran.err);
		return JSON.parse(ran.out) as PowerTable;
	};
	const voices = await table("--by", "voice");
	const spoken = voices.rows.map((r) => r.voice);
	t.true(spoken.includes(old.digest) && spoken.includes(ada.digest));
	t.false(spoken.includes(bad.digest), "it never spoke");
	const whole = (joules: number | null) => Math.round((joules ?? 0) * 1000);
	t.is(
		voices.rows.reduce((sum, r) => sum + whole(r.joules), 0),
		whole(voices.total.joules),
	);
});

const mosquitto = BROKERS.find((kind) => kind.name === "mosquitto");
const onMosquitto = mosquitto && !mosquitto.missing ? test : test.skip;
onMosquitto("the same on Mosquitto: two waves to three devices", async (t) => {
	t.timeout(600_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-mosquitto-"));
	const broker = await mosquitto?.make(dir);
	t.teardown(async () => broker?.stop());
	const fleet = await house(t, broker?.url);
	const [old, ada] = [await fleet.voice("old", 0), await fleet.voice("ada", 1)];
	const all = names(3);
	await Promise.all(all.map((name) => fleet.device(name).start()));
	await fleet.publish(old, all);
	const rollout = start(fleet, ada, "--waves", "30%,100%", "--soak", "0s");
	t.is(await rollout.code, 0, rollout.err);
	t.regex(rollout.out, /done, wave 2 of 2; 3 good, 0 under way, 0 failed/);
	for (const name of all) t.is(fleet.said.get(name)?.bundle, ada.digest);
});
