import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import {
	parseDuration,
	parseFaults,
	parseShare,
	parseWaves,
} from "../rollout-options.ts";
import { cli } from "../testing.ts";

test("a dry run plays the planner and touches nothing", async (t) => {
	const run = await cli([
		...["rollout", "start", "--dry-run", "--devices", "300", "--json"],
		...["--waves", "10%,100%", "--energy-ratio", "1.3"],
	]);
	t.is(run.code, 0, run.err);
	t.like(run.json, { rollout: { status: "held", wave: 1 } });
	const bad = ["rollout", "start", "--dry-run", "--devices", "200"];
	t.is((await cli([...bad, "--fault", "rust=1%"])).code, 2);
	const failing = await cli([...bad, "--fault", "golden=40%", "--json"]);
	t.like(failing.json, { rollout: { status: "held", wave: 1 } });
	for (const engines of [["--require-engines"], ["--engine", "nano=x"]]) {
		const refused = await cli([...bad, ...engines]);
		t.is(refused.code, 2);
		t.regex(refused.err, /leave out --engine/);
	}
	const text = await cli(["rollout", "start", "--dry-run", "--devices", "50"]);
	t.regex(text.out, /50 made-up devices, \d+ offers/);
});

test("what is missing, unknown or no rollout is said", async (t) => {
	const data = await temporaryDir(t);
	t.is((await cli(["rollout", "start", "--data", data])).code, 2);
	const none = await cli(["rollout", "status", "--data", data]);
	t.is(none.code, 0);
	t.regex(none.out, /no rollouts/);
	for (const order of ["pause", "resume", "abort", "status"])
		t.is((await cli(["rollout", order, "x", "--data", data])).code, 3, order);
	await writeFile(join(data, "x"), "");
	t.is((await cli(["rollout", "status", "a/b", "--data", data])).code, 2);
});

test("times, shares and waves as people write them", (t) => {
	t.is(parseDuration("90s"), 90_000);
	t.is(parseDuration("1.5h"), 5_400_000);
	t.is(parseShare("5%"), 0.05);
	t.is(parseShare("0.05"), 0.05);
	t.deepEqual(parseFaults(["a=5%", "b=0.1"], ["a", "b"]), { a: 0.05, b: 0.1 });
	t.deepEqual(parseWaves("2%,10%,1"), [0.02, 0.1, 1]);
	for (const bad of ["", "5", "10x", "-1m"])
		t.throws(() => parseDuration(bad), { code: "E_USAGE" });
	for (const bad of ["", "50%", "50%,20%,100%", "0,1", "200%"])
		t.throws(() => parseWaves(bad), { code: "E_USAGE" }, bad);
});
