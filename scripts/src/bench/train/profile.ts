import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Time in one kind of operator, per step. */
export interface OpTime {
	op: string;
	ms: number;
	count: number;
	/** Of products and convolutions; undefined for others. */
	gflops?: number;
}

interface Event {
	cat: string;
	name: string;
	dur: number;
	args: {
		op_name?: string;
		input_type_shape?: Record<string, number[]>[];
		output_type_shape?: Record<string, number[]>[];
	};
}

const dims = (list: Record<string, number[]>[] | undefined, i: number) =>
	Object.values(list?.[i] ?? {})[0];
const product = (d: readonly number[]) => d.reduce((a, b) => a * b, 1);

/** Multiplications and additions of a node, from its shapes; undefined for what is no product. */
function flops({ args }: Event): number | undefined {
	const out = dims(args.output_type_shape, 0);
	const a = dims(args.input_type_shape, 0);
	const w = dims(args.input_type_shape, 1);
	if (!out || !a || !w) return undefined;
	// The inner size, however its operands lie: a's matrix over y's rows.
	if (/^(FusedMatMul|MatMul|Gemm)$/.test(args.op_name ?? ""))
		return (
			(2 * product(out) * product(a.slice(-2))) /
			(out.at(-2) ?? out.at(-1) ?? 1)
		);
	if (/^(FusedConv|Conv)$/.test(args.op_name ?? ""))
		return 2 * product(out) * product(w.slice(1));
	if (args.op_name === "ConvTranspose")
		return 2 * product(a) * product(w.slice(1));
	return undefined;
}

/** The operators of ONNX Runtime's profile, the slowest first. */
export function opTimes(events: readonly Event[], steps: number): OpTime[] {
	const sums = new Map<string, { us: number; count: number; flops: number }>();
	for (const e of events) {
		if (e.cat !== "Node" || !e.name.endsWith("_kernel_time")) continue;
		const op = e.args.op_name ?? "unknown";
		const s = sums.get(op) ?? { us: 0, count: 0, flops: 0 };
		s.us += e.dur;
		s.count++;
		s.flops += flops(e) ?? 0;
		sums.set(op, s);
	}
	return [...sums]
		.map(([op, s]) => ({
			op,
			ms: s.us / 1e3 / steps,
			count: Math.round(s.count / steps),
			...(s.flops > 0 && { gflops: s.flops / (s.us / 1e6) / 1e9 }),
		}))
		.sort((a, b) => b.ms - a.ms);
}

/**
 * Runs `body` with a prefix for profiles and reads the one that it leaves.
 * @param body makes a session with `enableProfiling` and this `profileFilePrefix`, and ends its profile
 */
export async function profiled(
	body: (prefix: string) => Promise<void>,
): Promise<Event[]> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-profile-"));
	try {
		await body(join(dir, "p"));
		const [file] = await readdir(dir);
		return JSON.parse(await readFile(join(dir, file ?? ""), "utf8"));
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}
