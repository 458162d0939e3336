import { type Net, normal, seededRandom } from "@wattvox/models";
import { encodeModel, floats, GraphBuilder } from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import test from "ava";
import { checkGradients } from "../autodiff/index.ts";
import { varianceGap } from "./losses.ts";

const [BATCH, TIME, MELS] = [2, 12, 80];
const random = seededRandom(3);
const net = (): Net => ({ b: new GraphBuilder(), random });
const rows = Float32Array.from(
	{ length: BATCH * TIME * MELS },
	() => -5 + 2 * normal(random),
);
/** The last three rows of each utterance are padding. */
const mask = floats(
	Float32Array.from({ length: BATCH * TIME }, (_, i) =>
		i % TIME < TIME - 3 ? 1 : 0,
	),
	[BATCH, TIME, 1],
);
const mel = (data: Float32Array) => floats(data, [BATCH, TIME, MELS]);

function graph() {
	const n = net();
	const input = (name: string, width: number) =>
		n.b.input(name, "float32", ["B", "T", width]);
	const gap = varianceGap(
		n,
		input("a", MELS),
		input("d", MELS),
		input("mask", 1),
	);
	n.b.output(gap, "gap");
	return n.b.graph;
}

async function gap(a: Float32Array): Promise<number> {
	const engine = await createEngine(encodeModel(graph()), { threads: 1 });
	try {
		const out = await engine.run({ a: mel(a), d: mel(rows), mask } as never);
		const data = out.gap?.data as Float32Array | undefined;
		return data?.[0] ?? Number.NaN;
	} finally {
		await engine.dispose();
	}
}

/** Deviations from an utterance's mean row, times k; padding becomes anything. */
function spread(k: number): Float32Array {
	const out = rows.slice();
	for (let u = 0; u < BATCH; u++)
		for (let c = 0; c < MELS; c++) {
			const at = (t: number) => (u * TIME + t) * MELS + c;
			let mean = 0;
			for (let t = 0; t < TIME - 3; t++)
				mean += (rows[at(t)] ?? 0) / (TIME - 3);
			for (let t = 0; t < TIME; t++)
				out[at(t)] = t < TIME - 3 ? mean + k * ((rows[at(t)] ?? 0) - mean) : 99;
		}
	return out;
}

test("the gap of spreads is the logarithm of their ratio, whatever stands in the padding", async (t) => {
	t.true((await gap(rows)) < 1e-5);
	t.true(Math.abs((await gap(spread(0.5))) - Math.log(2)) < 1e-3);
	t.true(Math.abs((await gap(spread(3))) - Math.log(3)) < 1e-3);
	// A constant colour is the mean error's business.
	t.true((await gap(rows.map((x) => x + 1))) < 1e-3);
});

test("the gap's gradient is that of its definition", async (t) => {
	const report = await checkGradients(graph(), {
		of: "gap",
		wrt: ["a"],
		feeds: { a: mel(spread(0.5)), d: mel(rows), mask },
		directions: 6,
	});
	t.deepEqual(report.failures, []);
});
