import { WattvoxError } from "@wattvox/core";

/** Processors that are emulated, by QEMU's names: what each says of itself (Arm's MIDR_EL1). */
const PROCESSORS: Readonly<
	Record<string, { implementer: number; part: number }>
> = {
	// Jetson Orin's Cortex-A78AE is nearest to it: Armv8.2 with half precision and dot products
	"cortex-a76": { implementer: 0x41, part: 0xd0b },
	"neoverse-n1": { implementer: 0x41, part: 0xd0c },
	// all that QEMU has, SVE2 among it
	max: { implementer: 0x00, part: 0x051 },
};

/**
 * A /proc/cpuinfo as Linux shows it on 64-bit ARM, without the features, for which programs ask
 * elsewhere (AT_HWCAP). qemu-user 7.2 shows this machine's own; ONNX Runtime finds no ARM
 * processor in one of an x86 and follows a null pointer.
 * @param cpu QEMU's name of it
 * @throws WattvoxError E_USAGE for one that is not known here
 */
export function cpuinfo(cpu: string, processors: number): string {
	const known = Object.hasOwn(PROCESSORS, cpu) ? PROCESSORS[cpu] : undefined;
	if (!known)
		throw new WattvoxError(
			"E_USAGE",
			`no processor ${cpu}: there are ${Object.keys(PROCESSORS).join(", ")}`,
		);
	const hex = (n: number, digits: number) =>
		`0x${n.toString(16).padStart(digits, "0")}`;
	return Array.from({ length: processors }, (_, i) =>
		[
			`processor\t: ${i}`,
			"BogoMIPS\t: 62.50",
			`CPU implementer\t: ${hex(known.implementer, 2)}`,
			"CPU architecture: 8",
			"CPU variant\t: 0x0",
			`CPU part\t: ${hex(known.part, 3)}`,
			"CPU revision\t: 0",
			"",
			"",
		].join("\n"),
	).join("");
}
