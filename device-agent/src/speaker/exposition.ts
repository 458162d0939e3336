/** One value of a metric. */
export interface Row {
	/** Their values need no escapes: ids and digests. */
	labels?: Readonly<Record<string, string>>;
	value: number;
}

/** A metric in Prometheus' text format, under our prefix. */
export function rows(
	name: string,
	kind: "counter" | "gauge",
	help: string,
	values: readonly Row[],
): string {
	const lines = values.map(({ labels = {}, value }) => {
		const pairs = Object.entries(labels).map(([k, v]) => `${k}="${v}"`);
		const braces = pairs.length > 0 ? `{${pairs.join(",")}}` : "";
		return `wattvox_${name}${braces} ${value}\n`;
	});
	return `# HELP wattvox_${name} ${help}\n# TYPE wattvox_${name} ${kind}\n${lines.join("")}`;
}
