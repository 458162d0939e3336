import {
	emptyGraph,
	encodeModel,
	floats,
	type Graph,
	GraphBuilder,
	int64s,
	type Tensor,
} from "@wattvox/onnx";
import test from "ava";
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import { checkGradients } from "../autodiff/index.ts";
import { drawn } from "../train/testing.ts";
import { type LossSpec, withLosses } from "./index.ts";

/** A model that hands its weight out as it is. */
function plain(dims: number[], symbolic = false): Graph {
	const b = new GraphBuilder(emptyGraph("plain"));
	const x = b.input("x", "float32", symbolic ? ["B", ...dims.slice(1)] : dims);
	b.output(b.op("Identity", [x]), "y");
	return b.graph;
}

async function outputsOf(
	graph: Graph,
	feeds: Record<string, Tensor>,
): Promise<Record<string, number>> {
	const session = await ort.InferenceSession.create(encodeModel(graph));
	try {
		const fed = Object.entries(feeds).map(([k, t]) => [
			k,
			new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.dims),
		]);
		const out = await session.run(Object.fromEntries(fed));
		return Object.fromEntries(
			Object.entries(out).map(([k, v]) => [k, Number(v.data[0])]),
		);
	} finally {
		await session.release();
	}
}

const rowsOf = (t: Tensor): number[][] => {
	const width = t.dims.at(-1) ?? 1;
	const data = Array.from(t.data, Number);
	return Array.from({ length: data.length / width }, (_, i) =>
		data.slice(i * width, (i + 1) * width),
	);
};
const softmax = (row: number[]): number[] => {
	const e = row.map((v) => Math.exp(v - Math.max(...row)));
	const sum = e.reduce((a, b) => a + b, 0);
	return e.map((v) => v / sum);
};
const mean = (v: number[]): number => v.reduce((a, b) => a + b, 0) / v.length;

const [B, T, C] = [2, 3, 5];
const X = drawn([B, T, C], 1);
const D = drawn([B, T, C], 2);
const MASK = floats([1, 1, 0, 1, 0, 0], [B, T, 1]);
const LABELS = int64s([0, 4, -100, 2, 2, -100], [B, T]);
const pairs = rowsOf(X).map((r, i) => [r, rowsOf(D)[i] ?? []] as const);
const real = pairs.filter((_, i) => MASK.data[i] === 1);
const l1 = ([a, b]: readonly [number[], number[]]) =>
	mean(a.map((v, i) => Math.abs(v - (b[i] ?? 0))));
const kl =
	(temperature: number) =>
	([a, b]: readonly [number[], number[]]) => {
		const [q, p] = [a, b].map((r) => softmax(r.map((v) => v / temperature)));
		return (
			temperature ** 2 *
			(p ?? [])
				.map((v, i) => v * Math.log(v / (q?.[i] ?? 0)))
				.reduce((s, v) => s + v, 0)
		);
	};

const CASES: [string, LossSpec, number][] = [
	["l1", { kind: "l1", output: "y", target: "d" }, mean(pairs.map(l1))],
	[
		"l1, masked",
		{ kind: "l1", output: "y", target: "d", mask: "mask" },
		mean(real.map(l1)),
	],
	[
		"l2",
		{ kind: "l2", output: "y", target: "d" },
		mean(pairs.flatMap(([a, b]) => a.map((v, i) => (v - (b[i] ?? 0)) ** 2))),
	],
	[
		"cross-entropy",
		{ kind: "cross-entropy", output: "y", target: "labels" },
		mean(
			rowsOf(X).flatMap((r, i) => {
				const label = Number(LABELS.data[i]);
				return label < 0 ? [] : [-Math.log(softmax(r)[label] ?? 0)];
			}),
		),
	],
	[
		"cross-entropy, smoothed",
		{ kind: "cross-entropy", output: "y", target: "labels", smoothing: 0.2 },
		mean(
			rowsOf(X).flatMap((r, i) => {
				const label = Number(LABELS.data[i]);
				const log = softmax(r).map((p) => -Math.log(p));
				return label < 0 ? [] : [0.8 * (log[label] ?? 0) + 0.2 * mean(log)];
			}),
		),
	],
	[
		"kl",
		{ kind: "kl", output: "y", target: "d", temperature: 2 },
		mean(pairs.map(kl(2))),
	],
	[
		"kl, masked",
		{ kind: "kl", output: "y", target: "d", mask: "mask" },
		mean(real.map(kl(1))),
	],
	[
		"cosine",
		{ kind: "cosine", output: "y", target: "d" },
		mean(
			pairs.map(([a, b]) => {
				const dot = a.reduce((s, v, i) => s + v * (b[i] ?? 0), 0);
				return 1 - dot / (Math.hypot(...a) * Math.hypot(...b));
			}),
		),
	],
];

const FEEDS = { x: X, d: D, mask: MASK, labels: LABELS };
const feedsOf = (graph: Graph) =>
	Object.fromEntries(
		Object.entries(FEEDS).filter(([k]) =>
			graph.inputs.some((v) => v.name === k),
		),
	);

for (const [name, spec, want] of CASES)
	test(`${name}: the formula's value, and its gradient`, async (t) => {
		const { graph, loss, terms } = withLosses(plain([B, T, C], true), [spec]);
		const out = await outputsOf(graph, feedsOf(graph));
		t.true(
			Math.abs((out.loss ?? 0) - want) < 1e-5 * Math.max(1, want),
			`${out.loss} ${want}`,
		);
		const report = await checkGradients(graph, {
			of: loss,
			wrt: ["x"],
			feeds: feedsOf(graph),
		});
		t.deepEqual(report.failures, []);
		t.is(terms.length, 1);
	});

test("classes may stand on another axis", async (t) => {
	const turned = drawn([B, C, T], 3);
	const { graph } = withLosses(plain([B, C, T]), [
		{ kind: "cross-entropy", output: "y", target: "labels", axis: 1 },
	]);
	const rows = LABELS.data as BigInt64Array;
	const want: number[] = [];
	for (let i = 0; i < B; i++)
		for (let j = 0; j < T; j++) {
			const label = Number(rows[i * T + j]);
			const logits = Array.from({ length: C }, (_, c) =>
				Number(turned.data[(i * C + c) * T + j]),
			);
			if (label >= 0) want.push(-Math.log(softmax(logits)[label] ?? 0));
		}
	const out = await outputsOf(graph, { x: turned, labels: LABELS });
	t.true(Math.abs((out.loss ?? 0) - mean(want)) < 1e-5);
});

test("probabilities as a target", async (t) => {
	const p = floats(rowsOf(D).flatMap(softmax), [B, T, C]);
	const { graph } = withLosses(plain([B, T, C]), [
		{ kind: "kl", output: "y", target: "p", of: "probabilities" },
	]);
	const out = await outputsOf(graph, { x: X, p });
	t.true(Math.abs((out.loss ?? 0) - mean(pairs.map(kl(1)))) < 1e-5);
});

test("spectral: zero for equal waves, more the further away", async (t) => {
	const samples = 600;
	const tone = (hertz: number) =>
		floats(
			Float32Array.from({ length: samples }, (_, i) =>
				Math.sin((2 * Math.PI * hertz * i) / 8000),
			),
			[1, 1, samples],
		);
	const { graph, loss } = withLosses(plain([1, 1, samples]), [
		{ kind: "spectral", output: "y", target: "d", sizes: [64, 128] },
	]);
	const at = async (hertz: number) =>
		(await outputsOf(graph, { x: tone(hertz), d: tone(440) })).loss ?? 0;
	t.is(await at(440), 0);
	const [near, far] = [await at(460), await at(1500)];
	t.true(near > 0.01 && far > 3 * near, `${near} ${far}`);
	// Noise against far softer noise: no magnitude vanishes and no difference changes its sign.
	const report = await checkGradients(graph, {
		of: loss,
		wrt: ["x"],
		feeds: {
			x: drawn([1, 1, samples], 5),
			d: drawn([1, 1, samples], 6, 0.003),
		},
	});
	t.deepEqual(report.failures, []);
});

test("terms are weighed, by numbers and by inputs, and named", async (t) => {
	await fc.assert(
		fc.asyncProperty(
			fc.double({ min: -3, max: 3, noNaN: true }),
			fc.double({ min: 0, max: 2, noNaN: true }),
			async (fixed, fed) => {
				const { graph } = withLosses(plain([B, T, C]), [
					{ kind: "l1", output: "y", target: "d", weight: fixed },
					{
						kind: "l1",
						output: "y",
						target: "d",
						weight: "kl_weight",
						label: "again",
					},
					{ kind: "l1", output: "y", target: "d" },
				]);
				const out = await outputsOf(graph, {
					x: X,
					d: D,
					kl_weight: floats([fed], []),
				});
				const one = out["loss.l1"] ?? 0;
				t.is(out["loss.again"], one);
				t.is(out["loss.l1.2"], one);
				t.true(Math.abs((out.loss ?? 0) - one * (fixed + fed + 1)) < 1e-5);
			},
		),
		{ numRuns: 5 },
	);
});

test("descriptions that are none, or do not fit, are told", (t) => {
	const bad = (spec: unknown) => () =>
		withLosses(plain([B, T, C]), [spec as LossSpec]);
	t.throws(bad({ kind: "l3", output: "y", target: "d" }), {
		code: "E_USAGE",
		message: /kind/,
	} as never);
	t.throws(bad({ kind: "l1", output: "y", target: "d", masks: "m" }), {
		code: "E_USAGE",
		message: /masks/,
	} as never);
	t.throws(() => withLosses(plain([1]), []), { code: "E_USAGE" } as never);
	t.throws(bad({ kind: "l1", output: "ghost", target: "d" }), {
		code: "E_MODEL",
		message: /ghost/,
	} as never);
	t.throws(bad({ kind: "spectral", output: "y", target: "d" }), {
		code: "E_MODEL",
		message: /256|1024/,
	} as never);
	t.throws(
		() =>
			withLosses(plain([4, T, C], true), [
				{ kind: "cross-entropy", output: "y", target: "d", axis: 0 },
			]),
		{ code: "E_MODEL", message: /axis 0/ } as never,
	);
});
