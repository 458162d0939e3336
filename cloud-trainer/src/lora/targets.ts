import { WattvoxError } from "@wattvox/core";
import type { Site } from "./sites.ts";

/**
 * Which weights are meant: a regular expression, or a glob over module paths. As in PEFT, a glob also
 * matches the end of a path from a dot on: `q_proj` is every `*.q_proj`. A string between slashes is a
 * regular expression.
 */
export type Pattern = string | RegExp;

/** A string that a regular expression reads as it stands. */
export const escapeRegExp = (s: string): string =>
	s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** A pattern as a regular expression over names. @throws WattvoxError E_USAGE when it is none */
export function compile(pattern: Pattern): RegExp {
	if (pattern instanceof RegExp) return pattern;
	const literal = /^\/(.+)\/([a-z]*)$/.exec(pattern);
	if (literal)
		try {
			return new RegExp(literal[1] as string, literal[2]);
		} catch (cause) {
			throw new WattvoxError("E_USAGE", `${pattern} is no regular expression`, {
				cause,
			});
		}
	const body = pattern
		.replace(/[.+^${}()|[\]\\]/g, "\\$&")
		.replaceAll("*", ".*")
		.replaceAll("?", ".");
	return new RegExp(`^(.*\\.)?${body}$`);
}

/** True when one of the patterns matches one of the names. */
export function matches(
	patterns: Pattern | readonly Pattern[],
	...names: readonly string[]
): boolean {
	const list = [patterns].flat() as Pattern[];
	return list.some((p) => {
		const re = compile(p);
		// A regular expression with the g flag remembers where it stopped.
		return names.some((n) => n.search(re) >= 0);
	});
}

/** The first entry of a pattern table that matches a module: PEFT's rank_pattern and alpha_pattern. */
export function patternValue(
	table: Readonly<Record<string, number>> | undefined,
	module: string,
): number | undefined {
	for (const [key, value] of Object.entries(table ?? {}))
		if (new RegExp(`^(.*\\.)?(${key})$`).test(module)) return value;
	return undefined;
}

/**
 * True when a pattern matches a site's module path or initialiser. A ConvTranspose has to be named: PEFT
 * has no pair for it and refuses a folder that has one, so "*" leaves it out.
 */
export const isTarget = (
	site: Site,
	patterns: Pattern | readonly Pattern[],
): boolean =>
	matches(
		[patterns]
			.flat()
			.filter((p) => site.kind !== "conv-transpose" || p !== "*"),
		site.module,
		site.weight,
	);

/** The sites that are meant: see {@link isTarget}. */
export const targeted = (
	sites: readonly Site[],
	patterns: Pattern | readonly Pattern[],
): Site[] => sites.filter((s) => isTarget(s, patterns));

/** A few of the names that could have been meant, for error messages. */
export function someOf(names: readonly string[], most = 8): string {
	const shown = names.slice(0, most).join(", ");
	return names.length > most
		? `${shown} and ${names.length - most} more`
		: shown || "none";
}
