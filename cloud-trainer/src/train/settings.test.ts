import { emptyGraph, GraphBuilder, type Tensor } from "@wattvox/onnx";
import test from "ava";
import { injectLora } from "../lora/inject.ts";
import type { DriftReport } from "./drift.ts";
import { type FitOptions, fit } from "./fit.ts";
import { loraPlus, settingsOf } from "./groups.ts";
import { scheduleOf } from "./schedule.ts";
import { drawn, furthest, smallTransformer } from "./testing.ts";

test("schedules as data are the functions", (t) => {
	const at = (spec: Parameters<typeof scheduleOf>[0], steps: number[]) =>
		steps.map((s) => Number(scheduleOf(spec, 100)(s).toFixed(6)));
	t.deepEqual(
		at({ kind: "constant", peak: 2, warmup: 4 }, [0, 1, 3, 4, 99]),
		[0.5, 1, 2, 2, 2],
	);
	t.deepEqual(
		at({ kind: "linear", peak: 1, warmup: 20 }, [0, 19, 20, 60, 100, 120]),
		[0.05, 1, 1, 0.5, 0, 0],
	);
	t.deepEqual(
		at({ kind: "linear", peak: 1, floor: 0.2 }, [0, 50, 100]),
		[1, 0.6, 0.2],
	);
	t.deepEqual(
		at({ kind: "cosine", peak: 1, floor: 0.1 }, [0, 50, 100]),
		[1, 0.55, 0.1],
	);
	t.throws(() => scheduleOf({ kind: "cosine", peak: -1 }, 10));
});

test("the first group that matches and says something decides", (t) => {
	const groups = [
		loraPlus(8),
		{ match: ["*.bias", "/norm\\d/"], weightDecay: 0.5 },
		{ match: "*", rate: 0.1, weightDecay: 0 },
	];
	t.deepEqual(settingsOf(groups, "a.weight.lora_B"), {
		rate: 8,
		weightDecay: 0,
	});
	t.deepEqual(settingsOf(groups, "a.bias"), { rate: 0.1, weightDecay: 0.5 });
	t.deepEqual(settingsOf(groups, "x.norm2.weight"), {
		rate: 0.1,
		weightDecay: 0.5,
	});
	t.deepEqual(settingsOf([], "a"), { rate: 1, weightDecay: undefined });
});

const FEEDS = { x: drawn([4, 5, 16], 1), d: drawn([4, 5, 16], 2) };

/** LoRA on a small Transformer. */
function options(more: Partial<FitOptions> = {}): FitOptions {
	const { graph, trainable } = injectLora(smallTransformer(1), {
		rank: 2,
		alpha: 4,
		seed: 1,
		targets: "*",
	});
	return {
		graph,
		trainable,
		losses: [{ kind: "l2", output: "y", target: "d" }],
		steps: 6,
		schedule: { kind: "constant", peak: 1e-2 },
		batch: () => FEEDS,
		...more,
	};
}

const moved = (
	from: ReadonlyMap<string, Tensor>,
	to: ReadonlyMap<string, Tensor>,
	end: string,
) => {
	let most = 0;
	for (const [name, a] of from)
		if (name.endsWith(end))
			for (const [i, v] of a.data.entries())
				most = Math.max(
					most,
					Math.abs(Number(v) - Number(to.get(name)?.data[i])),
				);
	return most;
};

test("groups move parameters at their own rates, and decay what they say", async (t) => {
	const o = options();
	const start = o.graph.initializers;
	const frozen = await fit(
		options({
			groups: [
				{ match: "*.lora_A", rate: 0 },
				{ match: "*.lora_B", rate: 3 },
			],
		}),
	);
	t.is(moved(frozen.parameters, start, ".lora_A"), 0);
	const plain = await fit(o);
	t.true(moved(plain.parameters, start, ".lora_A") > 0);
	// One step of Adam moves every number by the rate.
	const one = await fit(options({ steps: 1, groups: [loraPlus(3)] }));
	t.true(Math.abs(moved(one.parameters, start, ".lora_B") - 0.03) < 1e-4);
	const heavy = await fit(
		options({ groups: [{ match: "*", weightDecay: 10 }] }),
	);
	t.true(furthest(heavy.parameters, plain.parameters) > 0.1);
});

test("the caller's metric chooses the checkpoint and ends training, not the loss", async (t) => {
	const losses: number[] = [];
	const seen: number[] = [];
	const result = await fit(
		options({
			steps: 30,
			validation: [FEEDS],
			validateEvery: 2,
			keepBest: true,
			patience: { validations: 3, gain: 0 },
			metric: {
				name: "likeness",
				best: "highest",
				// Best at step 6, while the loss goes on falling.
				measure: (parameters, step) => {
					t.true(parameters.has("layers.0.fc1.weight.lora_A"));
					return 1 - Math.abs(step - 6) / 10;
				},
			},
			onValidation: (loss, _step, values) => {
				losses.push(loss);
				seen.push(values.likeness ?? Number.NaN);
			},
		}),
	);
	t.deepEqual(result.best, { step: 6, loss: 1 });
	t.is(result.steps, 12);
	t.true(losses.every((l, i) => i === 0 || l < (losses[i - 1] ?? 0)));
	t.is(seen[2], 1);
	const six = await fit(options({ steps: 6 }));
	t.is(furthest(result.parameters, six.parameters), 0);
});

test("names like the optimiser's own are parameters too", async (t) => {
	const b = new GraphBuilder(emptyGraph("names"));
	const x = b.input("x", "float32", ["B", 2]);
	b.output(b.matmul(x, b.weight("v.0.weight", drawn([2, 2], 3))), "y");
	const { parameters } = await fit({
		graph: b.graph,
		trainable: ["v.0.weight"],
		losses: [{ kind: "l1", output: "y", target: "d" }],
		steps: 1,
		schedule: { kind: "constant", peak: 0.1 },
		batch: () => ({ x: drawn([3, 2], 1), d: drawn([3, 2], 2) }),
	});
	t.deepEqual([...parameters.keys()], ["v.0.weight"]);
});

test("drift from the base is watched, warned of, and may end training", async (t) => {
	const probe = { x: drawn([1, 7, 16], 9) };
	const watch = async (more: Partial<FitOptions>, stop?: number) => {
		const reports: DriftReport[] = [];
		const result = await fit(
			options({
				steps: 12,
				validation: [FEEDS],
				validateEvery: 3,
				drift: {
					output: "y",
					feeds: [probe, { x: FEEDS.x }],
					warn: 0.98,
					...(stop !== undefined && { stop }),
					onDrift: (r) => reports.push(r),
				},
				...more,
			}),
		);
		return { reports, result };
	};
	const still = await watch({ schedule: () => 0 });
	t.deepEqual(
		still.reports.map((r) => r.verdict),
		["fine", "fine", "fine", "fine"],
	);
	t.true(still.reports.every((r) => r.lowest > 1 - 1e-9));
	t.false(still.result.drifted);
	const away = await watch({ schedule: () => 0.05 });
	t.is(away.reports.at(-1)?.verdict, "warn");
	t.is(away.result.steps, 12);
	const ended = await watch({ schedule: () => 0.05 }, 0.97);
	t.true(ended.result.drifted);
	t.true(ended.result.steps < 12);
	t.is(ended.reports.at(-1)?.verdict, "stop");
});
