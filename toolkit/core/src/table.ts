import { stripVTControlCharacters } from "node:util";

/** Where a column's text stands. */
export type Align = "left" | "right";

/**
 * Rows as aligned columns, a line under the header.
 * @param align per column; left where it says nothing
 */
export function table(
	header: readonly string[],
	rows: readonly (readonly string[])[],
	align: readonly Align[] = [],
): string {
	const widths = header.map((h, i) =>
		Math.max(...[h, ...rows.map((r) => r[i] ?? "")].map(width)),
	);
	const line = (cells: readonly string[]) =>
		widths
			.map((w, i) => {
				const cell = cells[i] ?? "";
				const fill = " ".repeat(w - width(cell));
				return align[i] === "right" ? fill + cell : cell + fill;
			})
			.join("  ")
			.trimEnd();
	const rule = widths.map((w) => "-".repeat(w)).join("  ");
	return [line(header), rule, ...rows.map(line)].join("\n");
}

/** "name: value" lines, the values in one column. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
	const widest = Math.max(...pairs.map(([name]) => width(name)));
	return pairs
		.map(
			([name, value]) => `${name}${" ".repeat(widest - width(name))}  ${value}`,
		)
		.join("\n");
}

/** Columns on a terminal, near enough: code points, without colour codes. */
function width(text: string): number {
	return [...stripVTControlCharacters(text)].length;
}
