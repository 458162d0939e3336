// What the tests of engines share; not packaged.
import type { Engine } from "../engine.ts";
import { type Asserts, engineContract } from "../engine-contract.ts";
import { createEngine } from "../onnx-engine.ts";
import { buildHere } from "./build-here.ts";
import { NativeTensorRt } from "./open.ts";
import type { BuildOptions, BuiltEngine, Ports, Profile } from "./types.ts";

const nothing = () => undefined;

/** What the model takes and gives, as whoever builds an engine knows it. */
export async function portsOf(model: Uint8Array): Promise<Ports> {
	const engine = await createEngine(model);
	await engine.dispose();
	return { inputs: engine.inputs, outputs: engine.outputs };
}

/** One profile: every free dimension from 1 to `most`. */
function profile(ports: Ports, most = 512): Profile {
	const dims = (free: number) => (shape: readonly (number | string)[]) =>
		shape.map((d) => (typeof d === "number" ? d : free));
	return Object.fromEntries(
		ports.inputs.map((p) => [
			p.name,
			{
				min: dims(1)(p.shape),
				opt: dims(2)(p.shape),
				max: dims(most)(p.shape),
			},
		]),
	);
}

export async function build(
	trt: NativeTensorRt,
	model: Uint8Array,
	options: BuildOptions = {},
): Promise<BuiltEngine> {
	const ports = await portsOf(model);
	const profiles = options.profiles ?? [profile(ports)];
	const built = await buildHere(trt, model, { ...options, profiles }, nothing);
	return { ...built, ports };
}

/** The contract of the Engine port, on a library's engines. */
export async function trtContract(t: Asserts, path: string): Promise<void> {
	const trt = await NativeTensorRt.open(path);
	await engineContract(t, async (model): Promise<Engine> => {
		const { engine, ports } = await build(trt, model);
		return trt.deserialize(engine, { ports });
	});
	await trt.close();
}
