import { floats, int64s } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { sampling } from "./sampling.ts";
import { type Case, type Draw, threadDifference } from "./testing.ts";

/**
 * A grid over a picture of the given sizes whose samples stay clear of the places where a slope jumps:
 * each lies 0.15 to 0.35 of an element behind another one, inside the picture or up to two outside.
 */
function grid(d: Draw, batch: number, sizes: number[], aligned: boolean) {
	const { b } = d;
	const places = [batch, ...sizes.map(() => d.int(1, 3)), sizes.length];
	const size = [...sizes].reverse();
	const count = places.reduce((n, p) => n * p, 1);
	const base = Float32Array.from({ length: count }, (_, i) => {
		const along = size[i % size.length] ?? 1;
		return d.int(-2, along) + 0.25;
	});
	const moved = b.affine(b.op("Tanh", [d.active(places)]), 0.1);
	const at = b.add(b.constant(floats(base, places)), moved);
	// Elements as positions from -1 to 1.
	const scale = size.map((n) => (aligned ? 2 / Math.max(n - 1, 1) : 2 / n));
	const shift = size.map((n) => (aligned ? -1 : 1 / n - 1));
	const each = (list: number[]) =>
		b.constant(floats(Float32Array.from(list), [list.length]));
	return b.add(b.mul(at, each(scale)), each(shift));
}

const sample =
	(mode: string, rank?: number): Case =>
	(d) => {
		const sizes = d.list(rank ?? 2, 2, 4);
		const batch = d.int(1, 2);
		const x = d.active([batch, d.int(1, 2), ...sizes]);
		const aligned = d.flag();
		return d.b.op("GridSample", [x, grid(d, batch, sizes, aligned)], {
			mode,
			padding_mode: d.pick(["zeros", "border", "reflection"]),
			align_corners: Number(aligned),
		});
	};

const CASES: Record<string, Case> = {
	"GridSample linearly": sample("bilinear"),
	"GridSample to nearest": sample("nearest"),
	"GridSample by cubes": sample("bicubic"),
	STFT: (d) => {
		const n = d.int(2, 8);
		const x = d.active([d.int(1, 2), n + d.int(0, 6), 1]);
		const whole = (v: number) => d.b.constant(int64s([v], []));
		const window = d.flag() ? d.active([n], { fixed: "all" }) : undefined;
		const length = window && d.flag() ? undefined : whole(n);
		return d.b.op("STFT", [x, whole(d.int(1, 3)), window, length], {
			onesided: d.int(0, 1),
		});
	},
	ReverseSequence: (d) => {
		const [first, second] = d.list(2, 1, 4) as [number, number];
		const time = d.int(0, 1);
		const x = d.active([first, second, ...d.shape(0, 2)]);
		const [steps, examples] = time ? [second, first] : [first, second];
		const lengths = int64s(d.list(examples, 1, steps));
		return d.b.op("ReverseSequence", [x, d.b.constant(lengths)], {
			time_axis: time,
			batch_axis: 1 - time,
		});
	},
};

ruleTests(test, CASES, sampling, {
	runs: 8,
	// The cubic kernel's own rounding is above the usual.
	tolerance: 1e-2,
	later: {
		"GridSample a volume": [20, sample("linear", 3)],
		Col2Im: [
			18,
			(d) => {
				const block = d.list(2, 1, 3);
				const [strides, dilations] = [d.list(2, 1, 2), d.list(2, 1, 2)];
				const pads = d.list(4, 0, 1);
				// As large as the widest block at least.
				const image = d.list(2, 5, 6);
				const steps = image.map((size, i) => {
					const span = (dilations[i] ?? 1) * ((block[i] ?? 1) - 1) + 1;
					const room = size + (pads[i] ?? 0) + (pads[i + 2] ?? 0) - span;
					return Math.floor(room / (strides[i] ?? 1)) + 1;
				});
				const all = (list: number[]) => list.reduce((n, k) => n * k, 1);
				const x = d.active([d.int(1, 2), 2 * all(block), all(steps)]);
				const attrs = { strides, dilations, pads };
				return d.b.op("Col2Im", [x, d.b.ints(image), d.b.ints(block)], attrs);
			},
		],
	},
});

test.serial("one thread and two sample and spread back the same", async (t) => {
	const build: Case = (d) => {
		const x = d.active([2, 3, 9, 8]);
		const places = d.active([2, 20, 30, 2]);
		return d.b.op("GridSample", [x, d.b.mul(places, d.b.scalar(0.4))], {
			padding_mode: "border",
		});
	};
	t.is(await threadDifference(build), 0);
});
