import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/**
 * The one file that calls into libnvidia-ml: names, types and status codes of NVIDIA's NVML API
 * (nvml.h). Nothing outside knows that there is a foreign library.
 */

/** nvmlReturn_t. */
export const NVML = {
	success: 0,
	notSupported: 3,
	noPermission: 4,
	gpuIsLost: 15,
} as const;

/** nvmlDevice_t: a pointer that only the library understands. */
export type NvmlDevice = { readonly nvmlDevice: unique symbol };

/** A call's answer: what it wrote, or its status code. */
export type Answer<T> = { value: T } | { code: number };

/** What is used of the library. Calls that reach a card run off the event loop. */
export interface Nvml {
	init(): number;
	shutdown(): number;
	deviceCount(): Answer<number>;
	device(index: number): Answer<NvmlDevice>;
	name(device: NvmlDevice): Answer<string>;
	/** Millijoules since the driver was loaded (Volta and later). */
	energy(device: NvmlDevice): Promise<Answer<bigint>>;
	/** Milliwatts; a mean over about a second on Ampere and later. */
	power(device: NvmlDevice): Promise<Answer<number>>;
	/** Percent of the last sampling period in which a kernel ran. */
	utilisation(device: NvmlDevice): Promise<Answer<number>>;
	/** Degrees Celsius of the die. */
	temperature(device: NvmlDevice): Promise<Answer<number>>;
	/** Bytes. */
	memory(device: NvmlDevice): Promise<Answer<{ used: bigint; total: bigint }>>;
	/** The library's own words for a status code. */
	errorString(code: number): string;
}

const NAME = "libnvidia-ml.so.1";
/** Where the driver's library lies: Debian and Ubuntu, Red Hat, WSL, containers, NixOS. */
const PLACES = [
	"usr/lib/x86_64-linux-gnu",
	"usr/lib/aarch64-linux-gnu",
	"usr/lib64",
	"usr/lib/wsl/lib",
	"usr/local/nvidia/lib64",
	"run/opengl-driver/lib",
	"usr/lib",
];

/**
 * Looks for the driver's library without loading anything: koffi alone is megabytes that a machine
 * without a card need not spend.
 */
export function findNvml(
	root: string,
	env: NodeJS.ProcessEnv,
): string | undefined {
	const asked = (env.LD_LIBRARY_PATH ?? "").split(delimiter).filter(Boolean);
	return [...asked, ...PLACES.map((place) => join(root, place))]
		.map((dir) => join(dir, NAME))
		.find((path) => existsSync(path));
}

/** nvmlTemperatureSensors_t: the die. */
const DIE = 0;
const NAME_BYTES = 96;

/**
 * Loads the library.
 * @throws Error when it cannot be loaded or lacks a function
 */
export async function loadNvml(path: string): Promise<Nvml> {
	const { default: koffi } = await import("koffi");
	const library = koffi.load(path);
	const f = (name: string, args: string) =>
		library.func(`int ${name}(${args})`);
	const initialise = f("nvmlInit_v2", "");
	const shutdown = f("nvmlShutdown", "");
	const count = f("nvmlDeviceGetCount_v2", "_Out_ uint32_t *count");
	const handle = f(
		"nvmlDeviceGetHandleByIndex_v2",
		"uint32_t index, _Out_ void **device",
	);
	const name = f(
		"nvmlDeviceGetName",
		"void *device, _Out_ uint8_t *name, uint32_t length",
	);
	const energy = f(
		"nvmlDeviceGetTotalEnergyConsumption",
		"void *device, _Out_ uint64_t *millijoules",
	);
	const power = f(
		"nvmlDeviceGetPowerUsage",
		"void *device, _Out_ uint32_t *milliwatts",
	);
	// nvmlUtilization_t {unsigned gpu, memory}; nvmlMemory_t {unsigned long long total, free, used}.
	const utilisation = f(
		"nvmlDeviceGetUtilizationRates",
		"void *device, _Out_ uint8_t *utilization",
	);
	const temperature = f(
		"nvmlDeviceGetTemperature",
		"void *device, uint32_t sensor, _Out_ uint32_t *degrees",
	);
	const memory = f(
		"nvmlDeviceGetMemoryInfo",
		"void *device, _Out_ uint8_t *memory",
	);
	const text = library.func("const char *nvmlErrorString(int result)");
	type Call = ReturnType<typeof f>;
	const away = (call: Call) =>
		promisify(call.async as (...args: unknown[]) => void) as (
			...args: unknown[]
		) => Promise<number>;
	const number = async (
		call: Call,
		...args: unknown[]
	): Promise<Answer<number>> => {
		const out = [0];
		const code = await away(call)(...args, out);
		return code === NVML.success ? { value: Number(out[0]) } : { code };
	};
	const bytes = async (
		call: Call,
		device: NvmlDevice,
		length: number,
	): Promise<Answer<Buffer>> => {
		const out = Buffer.alloc(length);
		const code = await away(call)(device, out);
		return code === NVML.success ? { value: out } : { code };
	};
	return {
		init: () => initialise(),
		shutdown: () => shutdown(),
		deviceCount() {
			const out = [0];
			const code = count(out);
			return code === NVML.success ? { value: Number(out[0]) } : { code };
		},
		device(index) {
			const out: unknown[] = [null];
			const code = handle(index, out);
			return code === NVML.success ? { value: out[0] as NvmlDevice } : { code };
		},
		name(device) {
			const out = Buffer.alloc(NAME_BYTES);
			const code = name(device, out, NAME_BYTES);
			if (code !== NVML.success) return { code };
			const end = out.indexOf(0);
			return { value: out.toString("utf8", 0, end < 0 ? NAME_BYTES : end) };
		},
		async energy(device) {
			const out = [0];
			const code = await away(energy)(device, out);
			return code === NVML.success ? { value: BigInt(out[0] ?? 0) } : { code };
		},
		power: (device) => number(power, device),
		async utilisation(device) {
			const read = await bytes(utilisation, device, 8);
			return "code" in read ? read : { value: read.value.readUInt32LE(0) };
		},
		temperature: (device) => number(temperature, device, DIE),
		async memory(device) {
			const read = await bytes(memory, device, 24);
			if ("code" in read) return read;
			const at = (offset: number) => read.value.readBigUInt64LE(offset);
			return { value: { total: at(0), used: at(16) } };
		},
		errorString: (code) => String(text(code)),
	};
}
