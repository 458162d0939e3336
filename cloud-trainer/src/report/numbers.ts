/**
 * A number as people read it: three significant digits, whole numbers in full with thin spaces.
 * @param value null or not finite: "unknown"
 */
export function formatNumber(value: number | null): string {
	if (value === null || !Number.isFinite(value)) return "unknown";
	const size = Math.abs(value);
	if (size >= 1000 || Number.isInteger(value))
		return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
	return String(Number(value.toPrecision(size < 0.001 ? 2 : 3)));
}

/** A share of the largest as a CSS percentage, so that anything above 0 can be seen. */
export function barWidth(value: number, most: number): string {
	if (!(value > 0 && most > 0)) return "0";
	return `${Math.max(0.8, (100 * value) / most).toFixed(1)}%`;
}
