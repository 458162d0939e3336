import { parseArgs } from "node:util";
import { sessionOptions } from "@wattvox/cloud-trainer";
import { table, WattvoxError } from "@wattvox/core";
import { encodeModel, floats, type Tensor } from "@wattvox/onnx";
import * as ort from "onnxruntime-node";
import {
	CONTESTS,
	type Contest,
	type ConvShape,
	formFeeds,
	turned,
} from "./conv-forms.ts";
import { formatMachine, machineFacts, median } from "./machine.ts";
import { printed } from "./printed.ts";

const USAGE = `npm run bench -- conv [options]

Convolutions over one axis and their gradients on ONNX Runtime, each in every form that gives the same
numbers (which is checked), in alternating runs: what the trainer's rules and the models' layers were
chosen by.

  --shapes LIST   with commas, each BATCHxCHANNELSxLENGTHxKERNELxDILATION; kernels are odd
  --threads N     (default 2)
  --runs N        of each form, alternating (default 30); the shortest counts
  --json          for programs
`;

/** HiFi-GAN's layers on crops, and a decoder's rows. */
const SHAPES =
	"4x64x256x3x1,4x64x256x11x5,4x32x2048x3x1,4x32x2048x11x5,4x16x4096x7x3,4x8x8192x11x1,8x192x200x3x1,8x192x200x5x2,4x384x400x5x1,8x256x1000x3x1";

/** Largest difference of two forms' results, relative to the largest number, that counts as equal. */
const EQUAL = 1e-4;

/** One form of one contest. */
export interface FormTime {
	form: string;
	/** Shortest of the runs, ms: what other programs on the machine disturb least; and their median. */
	best: number;
	ms: number;
	/** Of the shortest. */
	gflops: number;
	/** Largest difference to the first form, relative to its largest number. */
	gap: number;
}

/** A contest over one shape. */
export interface ContestResult {
	what: string;
	shape: ConvShape;
	forms: FormTime[];
}

/** What the command measures. */
export interface ConvBench {
	machine: ReturnType<typeof machineFacts>;
	threads: number;
	results: ContestResult[];
}

/** @throws WattvoxError E_USAGE */
export function parseShape(text: string): ConvShape {
	const numbers = text.split("x").map(Number);
	const [batch = 0, channels = 0, length = 0, kernel = 0, dilation = 0] =
		numbers;
	const whole = numbers.every((n) => Number.isSafeInteger(n) && n > 0);
	if (numbers.length !== 5 || !whole || kernel % 2 === 0)
		throw new WattvoxError("E_USAGE", `no shape: ${text}\n\n${USAGE}`);
	return { batch, channels, length, kernel, dilation };
}

/** `bench conv`: a convolution's forms against each other. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			shapes: { type: "string", default: SHAPES },
			threads: { type: "string", default: "2" },
			runs: { type: "string", default: "30" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const [threads, runs] = [Number(o.threads), Number(o.runs)];
	if (!(threads >= 1 && runs >= 1)) throw new WattvoxError("E_USAGE", USAGE);
	const shapes = o.shapes.split(",").map(parseShape);
	await printed<ConvBench>(o.json, {
		measure: async (note, signal) => {
			const results: ContestResult[] = [];
			for (const shape of shapes) {
				note(name(shape));
				for (const contest of CONTESTS)
					results.push(await measure(contest, shape, threads, runs, signal));
			}
			return { machine: machineFacts(), threads, results };
		},
		report,
	});
}

const name = (s: ConvShape): string =>
	`${s.batch} x ${s.channels} x ${s.length}, kernel ${s.kernel}${s.dilation > 1 ? ` by ${s.dilation}` : ""}`;

async function measure(
	contest: Contest,
	shape: ConvShape,
	threads: number,
	runs: number,
	signal: AbortSignal,
): Promise<ContestResult> {
	const feeds = formFeeds(shape);
	const sessions: ort.InferenceSession[] = [];
	try {
		const sides: { times: number[]; run: () => Promise<Tensor> }[] = [];
		for (const build of Object.values(contest.forms)) {
			const session = await ort.InferenceSession.create(
				encodeModel(build(shape)),
				sessionOptions(threads),
			);
			sessions.push(session);
			const fed = Object.fromEntries(
				session.inputNames.map((n) => [n, toOrt(feeds[n] as Tensor)]),
			);
			const times: number[] = [];
			const last = session.outputNames.at(-1) as string;
			sides.push({
				times,
				run: async () => {
					const began = performance.now();
					const out = await session.run(fed);
					times.push(performance.now() - began);
					return fromOrt(out[last] as ort.Tensor);
				},
			});
		}
		// The first run of each sets it up and gives the numbers that are compared.
		const made: Tensor[] = [];
		for (const side of sides) made.push(await side.run());
		for (const side of sides) side.times.length = 0;
		for (let i = 0; i < runs; i++)
			for (const side of sides) {
				signal.throwIfAborted();
				await side.run();
			}
		const { batch, channels, length, kernel } = shape;
		const work = 2 * contest.products * batch * channels ** 2 * length * kernel;
		const forms = Object.keys(contest.forms).map((form, i): FormTime => {
			const times = sides[i]?.times ?? [];
			const best = Math.min(...times);
			return {
				form,
				best,
				ms: median(times),
				gflops: work / (best * 1e6),
				gap: difference(made[0] as Tensor, made[i] as Tensor, shape),
			};
		});
		return { what: contest.what, shape, forms };
	} finally {
		for (const session of sessions) await session.release();
	}
}

const toOrt = (t: Tensor) =>
	new ort.Tensor("float32", t.data as Float32Array, t.dims);
const fromOrt = (t: ort.Tensor): Tensor =>
	floats(t.data as Float32Array, t.dims);

/** Largest difference of two results, one perhaps in the layout of rows, relative to the largest number. */
function difference(a: Tensor, b: Tensor, { channels, kernel }: ConvShape) {
	const rows = `${a.dims}` !== `${b.dims}`;
	// [N, L, C] of positions, [K C, C] of a kernel.
	const like =
		b.dims.length === 2
			? turned(
					floats(b.data as Float32Array, [kernel, channels, channels]),
					[2, 1, 0],
				)
			: rows
				? turned(b, [0, 2, 1])
				: b;
	let [gap, largest] = [0, 0];
	for (const [i, v] of a.data.entries()) {
		gap = Math.max(gap, Math.abs(Number(v) - Number(like.data[i])));
		largest = Math.max(largest, Math.abs(Number(v)));
	}
	return gap / largest;
}

/** A table for each contest. */
export function report(r: ConvBench): string {
	const tables = CONTESTS.map(({ what, forms }) => {
		const names = Object.keys(forms);
		const rows = r.results
			.filter((one) => one.what === what)
			.map((one) => {
				const least = Math.min(...one.forms.map((f) => f.best));
				const wrong = one.forms.some((f) => !(f.gap <= EQUAL));
				return [
					name(one.shape),
					...one.forms.map(
						(f) =>
							`${f.best.toFixed(2)} ms, ${f.gflops.toFixed(0)}${f.best === least ? " *" : ""}`,
					),
					(
						(one.forms[1]?.best ?? Number.NaN) / (one.forms[0]?.best ?? 1)
					).toFixed(2),
					wrong ? "NO" : "yes",
				];
			});
		const header = [what, ...names, `${names[1]} / ${names[0]}`, "equal"];
		return table(header, rows, [
			"left",
			...header.slice(1).map(() => "right" as const),
		]);
	});
	return `${[
		formatMachine(r.machine),
		`${r.threads} threads; batch x channels x length; the shortest of alternating runs, GFLOP/s of the arithmetic that is needed, * the fastest`,
		...tables,
	].join("\n\n")}\n`;
}
