/** Rows as aligned columns; the first row is the head, ruled off below. */
export function textTable(rows: readonly (readonly string[])[]): string {
	const widths = (rows[0] ?? []).map((_, c) =>
		Math.max(...rows.map((r) => r[c]?.length ?? 0)),
	);
	const line = (r: readonly string[]) =>
		r
			.map((cell, c) => cell.padEnd(widths[c] ?? 0))
			.join("  ")
			.trimEnd();
	const [head, ...body] = rows.map(line);
	const rule = widths.map((w) => "-".repeat(w)).join("  ");
	return `${[head, rule, ...body].join("\n")}\n`;
}
