import test from "ava";
import fc from "fast-check";
import { known } from "./_infer-testing.test.ts";
import {
	addDim,
	constantOf,
	emptyGraph,
	float,
	floats,
	floorDivDim,
	freshDim,
	GraphBuilder,
	inferTypes,
	int64s,
	isFresh,
	mulDim,
	type Tensor,
	type Value,
} from "./index.ts";
import type { Dim } from "./types.ts";

const types = (build: (b: GraphBuilder) => Value): Value => {
	const b = new GraphBuilder();
	return build(b);
};

test("symbols survive what keeps their size", (t) => {
	const x = (b: GraphBuilder) => b.input("x", "float32", ["B", "T", 8]);
	const shapes: [Dim[], (b: GraphBuilder) => Value][] = [
		[["B", "T", 2, 4], (b) => b.reshape(x(b), [0, 0, 2, 4])],
		[["B", "T", 8], (b) => b.reshape(b.reshape(x(b), [0, 0, 2, 4]), [0, 0, 8])],
		[["B", "T+4", 8], (b) => b.pad(x(b), 1, 1, 3)],
		[["B", "T", 8], (b) => b.slice(b.pad(x(b), 1, 2, 2), 1, 3, -1)],
		[["B", "T-3", 8], (b) => b.slice(x(b), 1, 3)],
		[["T", "B", 8], (b) => b.transpose(x(b), [1, 0, 2])],
		[
			["B", "T+2", 8],
			(b) => {
				const v = x(b);
				return b.concat([v, b.input("y", "float32", ["B", 2, 8])], 1);
			},
		],
		[
			["B", "T", 8],
			(b) => {
				const v = x(b);
				return b.add(v, b.input("m", "float32", ["B", "T", 1]));
			},
		],
		[["B", 8], (b) => b.sum(x(b), [1])],
	];
	for (const [shape, build] of shapes) t.deepEqual(types(build).shape, shape);
});

test("sizes that contradict each other fail at the line that makes them", (t) => {
	const two = (b: GraphBuilder, s: number[], u: number[]) =>
		[b.input("x", "float32", s), b.input("y", "float32", u)] as const;
	const wrong: ((b: GraphBuilder) => Value)[] = [
		(b) => b.add(...two(b, [3, 4], [2, 4])),
		(b) => b.matmul(...two(b, [3, 4], [3, 4])),
		(b) => b.op("Gemm", two(b, [3, 4], [5, 3]), { transB: 1 }),
		(b) => b.concat(two(b, [3, 4], [3, 5]), 0),
		(b) => b.reshape(b.input("x", "float32", [3, 4]), [5, -1]),
		(b) => b.reshape(b.input("x", "float32", [3, 4]), [3, 3]),
		(b) => b.op("Conv", two(b, [1, 4, 9], [2, 3, 3])),
	];
	for (const build of wrong)
		t.throws(() => types(build), { code: "E_MODEL", message: /node \S+/ });
});

test("what is behind an operator without a rule comes from the file's declarations", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["T", 4]);
	b.graph.nodes.push({
		op: "Teleport",
		domain: "far.away",
		name: "t",
		inputs: [x.name],
		outputs: ["y"],
		attrs: {},
	});
	b.graph.nodes.push({
		op: "Add",
		domain: "",
		name: "a",
		inputs: ["y", "x"],
		outputs: ["z"],
		attrs: {},
	});
	t.false(inferTypes(b.graph).has("y"));
	t.false(inferTypes(b.graph).has("z"));
	b.graph.valueInfo.set("y", { dtype: "float32", shape: ["T", 1] });
	t.deepEqual(inferTypes(b.graph).get("z"), {
		dtype: "float32",
		shape: ["T", 4],
	});
});

test("a value that nothing makes is E_MODEL and named", (t) => {
	const graph = emptyGraph("g");
	graph.nodes.push({
		op: "Neg",
		domain: "",
		name: "n",
		inputs: ["ghost"],
		outputs: ["y"],
		attrs: {},
	});
	t.throws(() => inferTypes(graph), { code: "E_MODEL", message: /n.*ghost/ });
});

test("a Constant node's tensor, in each form", (t) => {
	const of = (attrs: Parameters<GraphBuilder["op"]>[2]): Tensor | undefined => {
		const b = new GraphBuilder();
		b.op("Constant", [], attrs);
		const node = b.graph.nodes[0];
		return node && constantOf(node);
	};
	t.deepEqual(of({ value_int: 3 }), { ...int64s([3]), dims: [] });
	t.deepEqual(of({ value_ints: [1, 2] }), int64s([1, 2]));
	t.deepEqual(of({ value_float: float(2) }), floats([2], []));
	t.deepEqual(
		of({ value_floats: { kind: "floats", value: [1, 2] } }),
		floats([1, 2]),
	);
});

test("adding to a size and taking it off again gives the size back", (t) => {
	fc.assert(
		fc.property(
			fc.oneof(
				fc.integer({ min: 0, max: 99 }),
				fc.constantFrom("T", "T+2", "n-1"),
			),
			fc.integer({ min: -9, max: 9 }),
			(d, k) => {
				t.is(addDim(addDim(d, k), -k), d);
			},
		),
	);
});

test("multiples and quotients of sizes are what their formulas give", (t) => {
	fc.assert(
		fc.property(
			fc.integer({ min: 8, max: 40 }),
			fc.array(
				fc.tuple(
					fc.constantFrom("+", "*", "//"),
					fc.integer({ min: 1, max: 4 }),
				),
				{ maxLength: 6 },
			),
			(n, steps) => {
				const apply = (start: Dim): Dim =>
					steps.reduce<Dim>(
						(d, [op, k]) =>
							op === "+"
								? addDim(d, k - 3)
								: op === "*"
									? mulDim(d, k)
									: floorDivDim(d, k),
						start,
					);
				t.is(known(apply(`N${n}`)), apply(n) as number);
			},
		),
	);
	t.is(floorDivDim(addDim(mulDim("T", 4), 6), 4), "T+1");
	t.is(floorDivDim(addDim("T", 3), 2), "(T+1)//2+1");
	t.is(floorDivDim("T", 2), floorDivDim("T", 2));
	t.true(isFresh(floorDivDim(mulDim(freshDim(), 3), 2)));
});
