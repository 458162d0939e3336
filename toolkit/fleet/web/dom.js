/** An element. Text is text, never HTML; null and false are left out. */
export function el(name, attributes = {}, ...children) {
	return fill(document.createElement(name), attributes, children);
}

/** The same in SVG. */
export function svg(name, attributes = {}, ...children) {
	return fill(
		document.createElementNS("http://www.w3.org/2000/svg", name),
		attributes,
		children,
	);
}

function fill(element, attributes, children) {
	for (const [key, value] of Object.entries(attributes)) {
		if (value === null || value === undefined || value === false) continue;
		if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
		else element.setAttribute(key, value === true ? "" : String(value));
	}
	element.append(...children.flat().filter((c) => c !== null && c !== false));
	return element;
}

/** Three figures that count; what nobody knows is said. */
export function three(value) {
	if (value === null || value === undefined) return "unknown";
	if (value === 0) return "0";
	const digits = 2 - Math.floor(Math.log10(Math.abs(value)));
	return value.toLocaleString("en", {
		maximumFractionDigits: Math.max(0, Math.min(6, digits)),
	});
}

const PREFIXES = [
	[1e9, "G"],
	[1e6, "M"],
	[1e3, "k"],
	[1, ""],
];

/** An amount with its unit: 12.3 kJ. */
export function amount(value, unit) {
	if (value === null || value === undefined) return "unknown";
	const [size, prefix] = PREFIXES.find(([s]) => Math.abs(value) >= s) ?? [
		1,
		"",
	];
	return `${three(value / size)} ${prefix}${unit}`;
}

/** Watt-hours, which bills are in, from joules. */
export function wattHours(joules) {
	return joules === null ? "unknown" : amount(joules / 3600, "Wh");
}

export function count(value) {
	return value.toLocaleString("en");
}

/** "3 min ago" */
export function ago(at, now = Date.now()) {
	if (!at) return "not yet";
	const seconds = Math.max(0, (now - at) / 1000);
	for (const [size, name] of [
		[86400, "d"],
		[3600, "h"],
		[60, "min"],
	])
		if (seconds >= size) return `${Math.floor(seconds / size)} ${name} ago`;
	return `${Math.floor(seconds)} s ago`;
}

/** A digest as people recognise it. */
export function short(digest) {
	return digest ? digest.slice(0, 12) : "none";
}

/** "3.2 h" */
export function duration(seconds) {
	if (seconds >= 7200) return `${three(seconds / 3600)} h`;
	return seconds >= 120 ? `${three(seconds / 60)} min` : `${three(seconds)} s`;
}
