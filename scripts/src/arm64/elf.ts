import { WattvoxError } from "@wattvox/core";

/** What a shared library or program asks of the system that loads it. */
export interface ElfNeeds {
	/** The processor it is made for: `aarch64`, `x86-64`, or the ELF number. */
	machine: string;
	/** Libraries that it loads, by file name. */
	libraries: string[];
	/** Versions of symbols that each library must offer, as `GLIBC_2.28`. */
	versions: Map<string, string[]>;
}

const MACHINES: Record<number, string> = { 62: "x86-64", 183: "aarch64" };
const PT = { load: 1, dynamic: 2 };
const DT = {
	needed: 1,
	strtab: 5,
	verneed: 0x6ffffffe,
	verneednum: 0x6fffffff,
};

/**
 * Reads the dynamic section and the version needs of a 64-bit little-endian ELF file (System V gABI 4.1;
 * Linux Standard Base core, symbol versioning).
 * @throws WattvoxError E_FILE_FORMAT when it is none
 */
export function elfNeeds(file: Uint8Array): ElfNeeds {
	const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
	const u16 = (at: number) => view.getUint16(at, true);
	const u32 = (at: number) => view.getUint32(at, true);
	const u64 = (at: number) => Number(view.getBigUint64(at, true));
	try {
		if (u32(0) !== 0x464c457f || file[4] !== 2 || file[5] !== 1)
			throw new RangeError("no 64-bit little-endian ELF file");
		const segments = Array.from({ length: u16(56) }, (_, i) => {
			const at = u64(32) + i * u16(54);
			return {
				type: u32(at),
				offset: u64(at + 8),
				address: u64(at + 16),
				size: u64(at + 32),
			};
		});
		const inFile = (address: number): number => {
			const home = segments.find(
				(s) =>
					s.type === PT.load &&
					address >= s.address &&
					address < s.address + s.size,
			);
			if (!home) throw new RangeError("an address outside the file");
			return address - home.address + home.offset;
		};
		const dynamic = segments.find((s) => s.type === PT.dynamic);
		const entries: [tag: number, value: number][] = [];
		for (let at = 0; at < (dynamic?.size ?? 0); at += 16)
			entries.push([
				u64((dynamic?.offset ?? 0) + at),
				u64((dynamic?.offset ?? 0) + at + 8),
			]);
		const value = (tag: number) => entries.find(([t]) => t === tag)?.[1];
		const strings = inFile(value(DT.strtab) ?? -1);
		const text = (offset: number): string => {
			const end = file.indexOf(0, strings + offset);
			return new TextDecoder().decode(file.subarray(strings + offset, end));
		};
		const versions = new Map<string, string[]>();
		const first = value(DT.verneed);
		let need = first === undefined ? 0 : inFile(first);
		for (let i = 0; i < (value(DT.verneednum) ?? 0); i++) {
			const names: string[] = [];
			let aux = need + u32(need + 8);
			for (let j = 0; j < u16(need + 2); j++) {
				names.push(text(u32(aux + 8)));
				aux += u32(aux + 12);
			}
			versions.set(text(u32(need + 4)), names);
			need += u32(need + 12);
		}
		return {
			machine: MACHINES[u16(18)] ?? String(u16(18)),
			libraries: entries
				.filter(([tag]) => tag === DT.needed)
				.map(([, v]) => text(v)),
			versions,
		};
	} catch (cause) {
		if (!(cause instanceof RangeError)) throw cause;
		throw new WattvoxError("E_FILE_FORMAT", cause.message, { cause });
	}
}

/**
 * The newest symbol versions that JetPack 5 offers: Ubuntu 20.04's glibc 2.31, and libstdc++ and libgcc
 * of its gcc 10 runtime.
 */
export const JETPACK_5: Readonly<Record<string, string>> = {
	GLIBC: "2.31",
	GLIBCXX: "3.4.28",
	CXXABI: "1.3.12",
	GCC: "7.0.0",
};
/** Libraries of the system: others must come along in the package. */
const SYSTEM =
	/^(?:lib(?:c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so\.\d+|ld-linux-aarch64\.so\.1)$/;

/**
 * Why a file does not load on JetPack 5; nothing when it does as far as its headers tell.
 * @param beside file names of the libraries that its package brings
 */
export function unfitForJetPack5(
	{ machine, libraries, versions }: ElfNeeds,
	beside: readonly string[],
): string[] {
	const why: string[] = [];
	if (machine !== "aarch64") why.push(`is made for ${machine}`);
	for (const library of libraries)
		if (!SYSTEM.test(library) && !beside.includes(library))
			why.push(
				`loads ${library}, which neither the system nor its package has`,
			);
	for (const [library, names] of versions) {
		if (!SYSTEM.test(library)) continue;
		for (const name of names) {
			const [, family = "", version = ""] = /^(.+?)_([\d.]+)$/.exec(name) ?? [];
			const most = JETPACK_5[family];
			if (most === undefined || newer(version, most))
				why.push(`asks ${library} for ${name}`);
		}
	}
	return why;
}

function newer(a: string, b: string): boolean {
	const [x, y] = [a, b].map((v) => v.split(".").map(Number)) as [
		number[],
		number[],
	];
	for (let i = 0; i < Math.max(x.length, y.length); i++) {
		const d = (x[i] ?? 0) - (y[i] ?? 0);
		if (d !== 0) return d > 0;
	}
	return false;
}
