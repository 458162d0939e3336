export interface EngineCacheLimits {
	/** Of all engines and refitted copies together. Default 1 GiB. */
	bytes?: number;
	/** How many of both there may be. Default 16. */
	count?: number;
}

/** A file that takes room. */
interface Sized {
	size: number;
	/** When it was last of use, ms. */
	used: number;
}

/** An engine and its refitted copies. */
export interface SizedEngine extends Sized {
	id: string;
	refits: (Sized & { name: string })[];
}

/** A refitted copy's name, or none: then the engine itself is meant, which takes its copies with it. */
export interface Evicted {
	id: string;
	name?: string;
}

/**
 * What has to go so that the rest is within the limits: the longest unused first. A copy is no use without
 * its engine, so an engine counts as used when a copy of it was. Pure.
 * @param keep stays whatever its size, with the engine that it is a copy of
 */
export function overfull(
	engines: readonly SizedEngine[],
	limits: Required<EngineCacheLimits>,
	keep: Evicted,
): Evicted[] {
	const items = engines.flatMap(({ id, size, used, refits }) => {
		const last = Math.max(used, ...refits.map((r) => r.used));
		return [
			{ id, size, used: last, kept: id === keep.id },
			...refits.map((r) => ({
				...r,
				id,
				kept: id === keep.id && r.name === keep.name,
			})),
		];
	});
	// stable, so an engine stays before its copies
	items.sort((a, b) => Number(b.kept) - Number(a.kept) || b.used - a.used);
	const gone: Evicted[] = [];
	const without = new Set<string>();
	let [bytes, count] = [0, 0];
	for (const item of items) {
		const { id, size, kept } = item;
		if (without.has(id)) continue;
		bytes += size;
		count++;
		if (kept || (bytes <= limits.bytes && count <= limits.count)) continue;
		if ("name" in item) gone.push({ id, name: item.name });
		else {
			gone.push({ id });
			without.add(id);
		}
	}
	return gone;
}
