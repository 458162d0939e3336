/** An entry of package-lock.json (version 3), as far as it is read here. */
export interface LockEntry {
	version?: string;
	link?: boolean;
	resolved?: string;
	dependencies?: Record<string, string>;
	optionalDependencies?: Record<string, string>;
	os?: string[];
	cpu?: string[];
	libc?: string[];
}

/** A package that an installation on a device brings. */
export interface Installed {
	/** Its folder, as the lock file names it. */
	path: string;
	name: string;
	entry: LockEntry;
	/** Not installed where os, cpu or libc do not fit. */
	optional: boolean;
}

const allows = (list: readonly string[] | undefined, own: string): boolean =>
	!list ||
	(list.some((x) => !x.startsWith("!"))
		? list.includes(own)
		: !list.includes(`!${own}`));

/** Whether npm installs a package on 64-bit ARM Linux with glibc. */
export const onLinuxArm64 = (e: LockEntry): boolean =>
	allows(e.os, "linux") && allows(e.cpu, "arm64") && allows(e.libc, "glibc");

/**
 * Everything that a workspace's dependencies bring, development's aside, as npm resolves them: from the
 * folder of who asks upwards.
 * @param from the workspace's folder
 */
export function closure(
	packages: Readonly<Record<string, LockEntry>>,
	from: string,
): Installed[] {
	const found = new Map<string, Installed>();
	const visit = (path: string, optional: boolean): void => {
		const entry = packages[path];
		if (!entry) throw new RangeError(`the lock file has no ${path}`);
		if (entry.link) {
			visit(entry.resolved as string, optional);
			return;
		}
		const known = found.get(path);
		if (known && (!known.optional || optional)) return;
		const name = path.split("node_modules/").at(-1) as string;
		found.set(path, { path, name, entry, optional });
		for (const wanted of Object.keys(entry.dependencies ?? {}))
			visit(resolve(packages, path, wanted), optional);
		for (const wanted of Object.keys(entry.optionalDependencies ?? {}))
			visit(resolve(packages, path, wanted), true);
	};
	visit(from, false);
	found.delete(from);
	return [...found.values()];
}

function resolve(
	packages: Readonly<Record<string, LockEntry>>,
	from: string,
	name: string,
): string {
	for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) {
		const path = `${at ? `${at}/` : ""}node_modules/${name}`;
		if (packages[path]) return path;
		if (!at) throw new RangeError(`the lock file lacks ${name} for ${from}`);
	}
}
