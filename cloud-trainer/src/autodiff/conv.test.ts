import { floats, GraphBuilder, type Value } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { conv } from "./conv.ts";
import { checkGradients, differentiate } from "./index.ts";
import { type Case, type Draw, threadDifference } from "./testing.ts";

/** Settings over `rank` axes; a kernel at most as long as a padded input of size 4. */
function settings(d: Draw, rank: number) {
	const group = d.int(1, 2);
	// Now and then depthwise, one channel a group; now and then many from few.
	const [inner, outer] = d.pick([
		[d.int(1, 2), d.int(1, 2)],
		[1, 1],
		[1, 4],
	]) as [number, number];
	return {
		group,
		inner,
		outer,
		kernel: d.list(rank, 1, 3),
		strides: d.list(rank, 1, 3),
		dilations: d.list(rank, 1, 2),
		sizes: d.list(rank, rank > 2 ? 5 : 5, rank > 2 ? 5 : 7),
	};
}
const AUTO = ["SAME_UPPER", "SAME_LOWER", "VALID"] as const;
const bias = (d: Draw, channels: number) =>
	d.flag() ? d.active([channels], { fixed: "all" }) : undefined;

const convOver =
	(rank: number): Case =>
	(d) => {
		const s = settings(d, rank);
		const auto = d.int(0, 3) === 0;
		const fixedSize = auto ? { fixed: [1, 2, 3, 4] } : { fixed: [1] };
		return d.b.op(
			"Conv",
			[
				d.active([d.int(1, 2), s.inner * s.group, ...s.sizes], fixedSize),
				d.active([s.outer * s.group, s.inner, ...s.kernel], { fixed: "all" }),
				bias(d, s.outer * s.group),
			],
			{
				group: s.group,
				...(d.flag() ? { strides: s.strides } : {}),
				...(auto
					? { auto_pad: d.pick(AUTO) }
					: {
							pads: d.list(2 * rank, 0, 3),
							...(d.flag() ? { dilations: s.dilations } : {}),
						}),
			},
		);
	};

const transposedOver =
	(rank: number): Case =>
	(d) => {
		const s = settings(d, rank);
		const sizes = s.sizes.map((v) => v - 2);
		const dilations = d.flag() ? s.dilations : s.kernel.map(() => 1);
		const shaped = d.int(0, 4) === 0;
		const span = (i: number) =>
			(dilations[i] ?? 1) * ((s.kernel[i] ?? 1) - 1) + 1;
		// With SAME and a kernel shorter than its stride (or with output_padding), ONNX Runtime infers
		// another size than it computes.
		const same = s.strides.every((v, i) => span(i) >= v);
		const full = sizes.map((v, i) => (v - 1) * (s.strides[i] ?? 1) + span(i));
		return d.b.op(
			"ConvTranspose",
			[
				d.active(
					[d.int(1, 2), s.inner * s.group, ...sizes],
					shaped ? { fixed: [1, 2, 3] } : { fixed: [1] },
				),
				d.active([s.inner * s.group, s.outer, ...s.kernel], { fixed: "all" }),
				bias(d, s.outer * s.group),
			],
			{
				group: s.group,
				strides: s.strides,
				dilations,
				...(shaped
					? {
							// ONNX Runtime fails where that is less than the input's size.
							output_shape: full.map((v, i) =>
								Math.max(sizes[i] ?? 0, v - d.int(0, 2)),
							),
							...(d.flag() ? { auto_pad: "SAME_UPPER" } : {}),
						}
					: {
							...(d.int(0, 3)
								? {
										pads: full.flatMap(() => [d.int(0, 1), 0]),
										output_padding: s.strides.map((v) => d.int(0, v - 1)),
									}
								: { auto_pad: d.pick(same ? AUTO : ["VALID"]) }),
						}),
			},
		);
	};

/** One axis, window by window: all taps in one product, or tap by tap where pads reach further. */
const along =
	(op: "Conv" | "ConvTranspose"): Case =>
	(d) => {
		const [inner, outer, kernel] = [d.int(1, 3), d.int(1, 3), d.int(2, 4)];
		const dilation = d.int(1, 3);
		const reach = dilation * (kernel - 1);
		const length = 2 * kernel * dilation + d.int(-2, 3);
		const weight =
			op === "Conv" ? [outer, inner, kernel] : [inner, outer, kernel];
		const x = d.active([d.int(1, 2), inner, length], { fixed: [1] });
		return d.b.op(op, [x, all(d, weight)], {
			dilations: [dilation],
			pads: [d.int(0, reach + 1), d.int(0, reach + 1)],
		});
	};

const CASES: Record<string, Case> = {
	"Conv step by step": along("Conv"),
	"ConvTranspose step by step": along("ConvTranspose"),
	"Conv over one axis": convOver(1),
	"Conv over two axes": convOver(2),
	"Conv over three axes": convOver(3),
	"ConvTranspose over one axis": transposedOver(1),
	"ConvTranspose over two axes": transposedOver(2),
};

ruleTests(test, CASES, conv, { runs: 15 });

const LARGE: Record<string, (d: Draw) => Value> = {
	Conv: (d) =>
		d.b.op("Conv", [d.active([4, 16, 64]), all(d, [32, 16, 5]), all(d, [32])], {
			pads: [4, 4],
			dilations: [2],
		}),
	"Conv of few channels": (d) =>
		d.b.op("Conv", [d.active([2, 3, 16, 16]), all(d, [16, 3, 5, 5])], {
			strides: [2, 1],
		}),
	"strided Conv": (d) =>
		d.b.op("Conv", [d.active([2, 8, 31, 33]), all(d, [16, 8, 3, 3])], {
			strides: [2, 2],
		}),
	ConvTranspose: (d) =>
		d.b.op("ConvTranspose", [d.active([4, 16, 64]), all(d, [16, 8, 8])], {
			strides: [4],
			pads: [2, 2],
		}),
};
const all = (d: Draw, dims: number[]): Value => {
	const v = d.active(dims, { fixed: "all" });
	if (!d.wrt.includes(v.name)) d.wrt.push(v.name);
	return v;
};

for (const [name, build] of Object.entries(LARGE))
	test(`${name}: one thread and four agree`, async (t) => {
		t.true((await threadDifference(build)) < 1e-5);
	});

test("a kernel that two convolutions share, one over what the other made", async (t) => {
	const b = new GraphBuilder();
	const w = b.weight(
		"w",
		floats([0.5, -1, 2, 0.25, 1, -0.5, 1, 2, 3, 1, 0, 1], [2, 2, 3]),
	);
	const x = b.input("x", "float32", ["N", 2, "T"]);
	const once = b.op("Conv", [x, w], { pads: [1, 1] });
	const y = b.op("ConvTranspose", [b.op("Conv", [once, w]), w], {
		strides: [2],
	});
	for (const [n, time] of [
		[1, 5],
		[2, 8],
	] as const) {
		const data = Array.from({ length: n * 2 * time }, (_, i) =>
			Math.sin(i + 1),
		);
		const report = await checkGradients(b.graph, {
			of: y.name,
			wrt: ["x", "w"],
			feeds: { x: floats(data, [n, 2, time]) },
			elements: 44,
		});
		t.deepEqual(report.failures, []);
	}
});

test("a padding that depends on an open size is refused", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [1, 1, "T"]);
	const w = b.weight("w", floats([1, 2, 3], [1, 1, 3]));
	const y = b.op("Conv", [x, w], { auto_pad: "SAME_UPPER", strides: [2] });
	t.throws(() => differentiate(b.graph, y.name, ["x"]), {
		code: "E_OP_UNSUPPORTED",
		message: /Conv \(node conv_\d, opset 17\).*padding/,
	});
	const open = b.input("open", "float32", [1, 1, "K"]);
	const z = b.op("Conv", [x, open]);
	t.throws(() => differentiate(b.graph, z.name, ["x"]), {
		code: "E_OP_UNSUPPORTED",
		message: /sizes of open/,
	});
});
